"""The command `edge-crnn slim`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_crnn.cli.command import Command, at_least, between
from edge_crnn.cli.folders import add_recursive_argument
from edge_crnn.dataset import Dataset
from edge_crnn.errors import InputError, OutputError
from edge_crnn.files import require_place, write_atomically
from edge_crnn.model.artifact import sidecar

from ..slim.images import WHATS, drawn, sampled
from ..slim.job import MOST, SHARE, Student, slim_model
from ..source import Source
from .arguments import add_structure_arguments, source_of
from .places import check_places


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
        "--seed", type=at_least(0), default=0, metavar="N", help="number of the random series (default: %(default)s)"
    )
    group = parser.add_argument_group("images")
    group.add_argument(
        "--images", type=Path, metavar="DIR", action="append", default=[],
        help="images like those that the model will read; they need no labels; may be repeated",
    )  # fmt: skip
    add_recursive_argument(group)
    group.add_argument("--draw", choices=WHATS, help="draw images instead, as synth does, mild and heavy ones")
    group.add_argument("--fonts", type=Path, metavar="DIR", help="folder of fonts to draw with (default: as for synth)")
    group.add_argument(
        "--count",
        type=at_least(1),
        default=MOST,
        metavar="N",
        help="most images to use; at least a third of them is held back to compare both models (default: %(default)s)",
    )
    add_structure_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Slim the model, and print how the smaller one reads."""
    target: Path = arguments.output
    _check_images(arguments)
    if target.suffix != ".keras":
        raise OutputError(f"{target}: the output must end in .keras; name it {target.stem}.keras")
    inputs = [arguments.model, sidecar(arguments.model), *filter(None, [arguments.spec])]
    check_places(inputs, [target, sidecar(target)])
    source = source_of(arguments.model, arguments)
    beside = sidecar(source.path)
    if source.unwritten is not None:
        require_place(beside)
    student = slim_model(
        source, _images(arguments, source), target, share=arguments.to, lose=arguments.lose, seed=arguments.seed
    )
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
    if arguments.fonts is not None and arguments.draw is None:
        raise InputError("--fonts does not apply to --images; leave it out")
    if arguments.recursive and arguments.draw is not None:
        raise InputError("--recursive does not apply to --draw; leave it out")


def _images(arguments: argparse.Namespace, source: Source) -> Dataset:
    if arguments.draw is None:
        return sampled(arguments.images, arguments.count, arguments.recursive)
    return drawn(arguments.draw, source.spec, arguments.count, arguments.seed, arguments.fonts)


def _show(student: Student) -> None:
    """Print what is left of the network, and how it reads."""
    for trial in student.trials:
        print(f"  tried {trial.share:.1%} of the multiplications: same text on {trial.same:,} of {student.judged:,}")
    for group, (kept, total) in student.kept.items():
        print(f"  {group}: {kept} of {total}")
    print(
        f"wrote {student.path}: {student.teacher.headline}; same text on {student.same:,} of {student.judged:,} images"
        f" that were held back ({student.same / student.judged:.2%})"
    )


SLIM = Command(
    "make a trained model smaller so that it reads the same text",
    add_arguments,
    run,
    details="Removes channels and units, and fits the weights that are left, without training and without labels. The"
    " result is a trained model like any other; convert verifies it against its teacher.",
    examples=(
        "slim model.keras --images images -o small.keras",
        "slim model.keras --draw plates -o small.keras --to 0.3",
    ),
)
