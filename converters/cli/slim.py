"""The command `edge-crnn slim`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from edge_crnn.cli.command import Command, at_least, between
from edge_crnn.cli.folders import add_recursive_argument
from edge_crnn.cli.workers import add_workers_argument
from edge_crnn.dataset import Dataset
from edge_crnn.errors import InputError, OutputError
from edge_crnn.files import require_place, write_atomically
from edge_crnn.model.artifact import sidecar
from edge_crnn.progress import note
from edge_crnn.training.batches import Source as Supply
from edge_crnn.training.folder import WHATS
from edge_crnn.training.history import Row
from edge_crnn.training.optimisers import require_rate
from edge_crnn.training.plan import MOST_SEED

from ..slim.distil import Plan
from ..slim.images import Artist, lessons_in, sampled
from ..slim.job import MOST, SHARE, Student, Training, has_state, run_folder, slim_model
from ..source import Source
from .arguments import add_structure_arguments, source_of
from .places import check_places

_EPOCHS = 10
_EPOCH_IMAGES = Plan.steps * Plan.batch
"""Images of an epoch."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `slim`."""
    parser.add_argument(
        "model", type=Path, metavar="TEACHER", help="trained CRNN: .keras, .h5 or TensorFlow 1 checkpoint"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="STUDENT.keras", help="the smaller model to write"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--to",
        type=between(0.01, 1),
        default=SHARE,
        metavar="SHARE",
        help="multiplications that remain, as a share of the teacher's (default: %(default)s)",
    )
    size.add_argument(
        "--lose",
        type=between(0, 100),
        metavar="PERCENT",
        help="instead of --to: the share of texts that may change; tries several networks and keeps the smallest",
    )
    parser.add_argument(
        "--seed",
        type=at_least(0, MOST_SEED),
        default=0,
        metavar="N",
        help="seed of the random choices (default: %(default)s)",
    )
    _add_training_arguments(parser)
    group = parser.add_argument_group("images")
    group.add_argument(
        "--images", type=Path, metavar="DIR", action="append", default=[],
        help="images like those that the model will read; they need no labels; may be repeated",
    )  # fmt: skip
    add_recursive_argument(group)
    group.add_argument(
        "--draw", choices=WHATS, help="render images instead, as synth does, in the presets mild and heavy"
    )
    group.add_argument("--fonts", type=Path, metavar="DIR", help="folder of fonts to render in (default: as for synth)")
    group.add_argument(
        "--glyphs", type=Path, metavar="DIR",
        help="folder of glyph images, which replace fonts on every other plate; fonts render missing glyphs",
    )  # fmt: skip
    group.add_argument(
        "--count",
        type=at_least(1),
        default=MOST,
        metavar="N",
        help="maximum number of images to use: two thirds to fit the weights, a third to compare both models"
        " (default: %(default)s)",
    )
    add_structure_arguments(parser)


def _add_training_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    add = group.add_argument
    add(
        "--epochs",
        type=at_least(0),
        default=_EPOCHS,
        metavar="N",
        help=f"epochs of {_EPOCH_IMAGES:,} images to train with, on the probabilities of the teacher; 0: select and fit"
        " only (default: %(default)s)",
    )
    add("--resume", action="store_true", help="continue a run that was interrupted, with the same options")
    add(
        "--learning-rate",
        type=float,
        default=Training.learning_rate,
        metavar="F",
        help="highest learning rate of AdamW (default: %(default)s)",
    )
    add_workers_argument(group)


def run(arguments: argparse.Namespace) -> int:
    """Slim the model, and print how the smaller one reads."""
    target: Path = arguments.output
    _check_images(arguments)
    _check_training(arguments)
    if target.suffix != ".keras":
        raise OutputError(f"{target}: the output must end in .keras; name it {target.stem}.keras")
    inputs = [arguments.model, sidecar(arguments.model), *filter(None, [arguments.spec])]
    check_places(inputs, [target, sidecar(target)])
    source = source_of(arguments.model, arguments)
    beside = sidecar(source.path)
    if source.unwritten is not None:
        require_place(beside)
    images, supply = _images(arguments, source)
    try:
        student = slim_model(
            source,
            images,
            target,
            share=arguments.to,
            lose=arguments.lose,
            seed=arguments.seed,
            training=_training(arguments, supply),
        )
    except KeyboardInterrupt:
        if arguments.epochs and has_state(target):
            note(f"{run_folder(target)} keeps the epochs that are finished; repeat the command with --resume")
        raise
    _show(student)
    if source.unwritten is not None:
        write_atomically(beside, source.unwritten.encode())
        print(f"wrote {beside}: the spec of the trained model")
    is_beside = target.parent.resolve() == source.path.parent.resolve()
    teacher = "" if is_beside else f" --teacher {source.path}"
    print(f"next: edge-crnn convert {target}{teacher} --labelled DIR, or --images DIR without labels")
    return 0


def _check_images(arguments: argparse.Namespace) -> None:
    """Check the options about images.

    Raises:
        InputError: there are no images, or options contradict one another.
    """
    if not arguments.images and arguments.draw is None:
        raise InputError("no images to slim with; add --images DIR, or --draw plates or lines")
    if arguments.images and arguments.draw is not None:
        raise InputError("--images and --draw do not go together; leave one of them out")
    for option in ("fonts", "glyphs"):
        if getattr(arguments, option) is not None and arguments.draw is None:
            raise InputError(f"--{option} does not apply to --images; leave it out")
    if arguments.glyphs is not None and arguments.draw == "lines":
        raise InputError("--glyphs does not apply to --draw lines; leave it out")
    if arguments.recursive and arguments.draw is not None:
        raise InputError("--recursive does not apply to --draw; leave it out")


def _check_training(arguments: argparse.Namespace) -> None:
    """Check the options about training.

    Raises:
        InputError: the learning rate is not above 0, or options contradict one another.
        OutputError: the curve of the training would be among its images.
    """
    require_rate(arguments.learning_rate)
    if arguments.epochs == 0:
        if arguments.resume:
            raise InputError("--resume does not apply to --epochs 0, which trains nothing; leave one of them out")
        return
    folder = run_folder(arguments.output)
    if arguments.recursive and any(folder.resolve().is_relative_to(path.resolve()) for path in arguments.images):
        raise OutputError(f"{folder}: its curve would be one of the images; write the student to a folder outside them")


def _images(arguments: argparse.Namespace, source: Source) -> tuple[Dataset, Callable[[Dataset], Supply]]:
    """Return the images to fit and to compare, and a function that returns those to train with."""
    if arguments.draw is None:
        images = sampled(arguments.images, arguments.count, arguments.recursive)
        return images, partial(lessons_in, arguments.images, seed=arguments.seed, recursive=arguments.recursive)
    artist = Artist(arguments.draw, source.spec, arguments.fonts, arguments.glyphs)
    return artist.draw(arguments.count, arguments.seed), lambda _: artist.lessons(arguments.seed)


def _training(arguments: argparse.Namespace, supply: Callable[[Dataset], Supply]) -> Training | None:
    """Return the training that the options ask for."""
    if arguments.epochs == 0:
        return None
    names = ("images", "recursive", "draw", "fonts", "glyphs", "count")
    return Training(
        arguments.epochs,
        supply,
        learning_rate=arguments.learning_rate,
        workers=arguments.workers,
        resume=arguments.resume,
        data={name: _plain(getattr(arguments, name)) for name in names},
        on_epoch=partial(_show_epoch, epochs=arguments.epochs),
    )


def _plain(value: object) -> Any:
    """Return a value of an option as JSON has it."""
    if isinstance(value, list):
        return [str(path) for path in value]
    return str(value) if isinstance(value, Path) else value


def _show_epoch(row: Row, epochs: int) -> None:
    left = row.seconds / row.epoch * (epochs - row.epoch)
    print(
        f"epoch {row.epoch} of {epochs}: loss {row.loss:.4f} nats, same text on {row.exact:.2%} of the images held"
        f" back; {row.images / row.seconds:.0f} images/s, {left / 60:.0f} min left",
        flush=True,
    )


def _show(student: Student) -> None:
    """Print what is left of the network, and how it reads."""
    for trial in student.trials:
        print(f"  tried {trial.share:.1%} of the multiplications: same text on {trial.same:,} of {student.judged:,}")
    for group, (kept, total) in student.kept.items():
        print(f"  {group}: {kept} of {total}")
    for layer, ranks in student.ranks.items():
        print(f"  {layer}: factorised, with {ranks.first} and {ranks.last} channels between the factors")
    print(
        f"wrote {student.path}: {student.teacher.headline}; same text on {student.same:,} of {student.judged:,} images"
        f" that were held back ({student.same / student.judged:.2%})"
    )


SLIM = Command(
    "make a trained model smaller so that it reads the same text",
    add_arguments,
    run,
    details="Removes channels and units, or splits convolutions into smaller ones, fits the weights that are left, and"
    " trains them to give the probabilities of the trained model, all without labels. The result is a trained model"
    " like any other; convert verifies it against its teacher.",
    examples=(
        "slim model.keras --images images -o small.keras",
        "slim model.keras --draw plates -o small.keras --to 0.3 --epochs 0",
    ),
)
