"""`edge-crnn train`: trains one of the two networks on labelled or rendered images."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ..errors import InputError, OutputError
from ..tensorflow_settings import set_environment
from ..training.architectures import ARCHITECTURES, Rnn
from ..training.degrade import MILD, PRESETS, TRAINING
from ..training.folder import WHATS, Drawing, What
from ..training.fonts import HELD_OUT, FontSplit
from ..training.kinds import NEGATIVE, READABLE_CHOICES
from ..training.optimisers import RATES
from ..training.plan import MOST_SEED, Precision
from .command import Command, at_least, between, length, share
from .labels import add_label_arguments, label_rules_of
from .workers import add_workers_argument

if TYPE_CHECKING:
    from ..model.spec import ModelSpec
    from ..training.batches import Batch, Source
    from ..training.plan import Plan

_VALIDATION_SEED = 1 << 31
"""Added to the seed of rendered validation images, so that they differ from those of training."""
_APART = 1 << 32
"""Distance between the seeds of two presets, so that their images differ."""
_NEGATIVES = 0.12
"""Default share of negatives among rendered plates."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `train`."""
    add = parser.add_argument
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the model, the log and the state")
    add("--architecture", choices=list(ARCHITECTURES), required=True, help="network to train")
    add("--resume", action="store_true", help="continue the run in the folder")
    _add_network_arguments(parser)
    _add_image_arguments(parser)
    add_label_arguments(parser)
    _add_training_arguments(parser)


def _add_network_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("network").add_argument
    add("--width-factor", type=float, default=1.0, metavar="F", help="multiplies all layer widths (default: 1)")
    add("--rnn", choices=get_args(Rnn), default="lstm", help="kind of recurrent layers (default: %(default)s)")
    add("--alphabet", metavar="TEXT", help="characters to read (default: those of Korean plates, or the digits)")
    add("--size", type=_size, metavar="WxH", help="size of the network's image in pixels (default: 128x64 or 100x32)")
    add("--initial", type=Path, metavar="MODEL", help="start from this trained model; its alphabet may differ")


def _add_image_arguments(parser: argparse.ArgumentParser) -> None:
    presets = [MILD.name, TRAINING.name]
    add = parser.add_argument_group("images").add_argument
    add(
        "--images",
        type=Path,
        action="append",
        metavar="DIR",
        help="labelled images to train on; may be repeated (default: rendered images)",
    )
    add(
        "--validation",
        type=Path,
        action="append",
        metavar="DIR",
        help="labelled images to judge every epoch by, needed with --images; may be repeated (default: rendered ones)",
    )
    add(
        "--validation-count",
        type=at_least(1),
        default=1000,
        metavar="N",
        help="number of rendered images to judge every epoch by (default: %(default)s)",
    )
    add("--what", choices=WHATS, help="what to render (default: plates for architecture plates, lines for digits)")
    add(
        "--kind",
        choices=READABLE_CHOICES,
        action="append",
        metavar="KIND",
        help="kind or group of plates to render, see synth --help; may be repeated (default: all-forms)",
    )
    add(
        "--negatives",
        type=between(0, 0.9),
        metavar="SHARE",
        help=f"share of images without a text, from which the model learns to read nothing (default: {_NEGATIVES} with"
        " rendered plates, otherwise 0)",
    )
    add(
        "--leave-out",
        choices=NEGATIVE,
        action="append",
        metavar="KIND",
        help="kind of negative to keep out of training, for testing, see synth --help; may be repeated",
    )
    add(
        "--preset",
        choices=list(PRESETS),
        nargs="+",
        default=presets,
        metavar="NAME",
        help=f"how degraded rendered images are: {', '.join(PRESETS)}; several are used in turn (default:"
        f" {' '.join(presets)})",
    )
    add("--fonts", type=Path, metavar="DIR", help="folder of fonts (default: the fonts of the train extra)")
    add(
        "--font-split",
        choices=get_args(FontSplit),
        default="all",
        help="use only the font families for training, or only those held out for testing (default: %(default)s)",
    )
    add(
        "--held-out",
        type=share,
        default=HELD_OUT,
        metavar="SHARE",
        help="share of the font families that is held out, chosen by name (default: %(default)s)",
    )
    add(
        "--glyphs",
        type=Path,
        metavar="DIR",
        help="folder of glyph images, which replace fonts on every other plate; fonts render missing glyphs",
    )
    add(
        "--length",
        type=length,
        default=Drawing.length,
        metavar="A-B",
        help="minimum and maximum number of characters in a rendered line (default: {}-{})".format(*Drawing.length),
    )


def _add_training_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    add = group.add_argument
    add("--epochs", type=at_least(1), default=50, metavar="N", help="number of epochs (default: %(default)s)")
    add("--steps", type=at_least(1), default=250, metavar="N", help="batches per epoch (default: %(default)s)")
    add("--batch", type=at_least(1), default=32, metavar="N", help="images per batch (default: %(default)s)")
    add("--optimiser", choices=list(RATES), default="adamw", help="optimiser (default: %(default)s)")
    add("--learning-rate", type=float, metavar="F", help="learning rate (default: depends on the optimiser)")
    add(
        "--precision",
        choices=get_args(Precision),
        default="float32",
        help="precision that layers compute in; the model is saved in float32 (default: %(default)s)",
    )
    add("--patience", type=at_least(1), metavar="N", help="stop after N epochs without a better model")
    add("--seed", type=at_least(0, MOST_SEED), default=0, metavar="N", help="random seed (default: %(default)s)")
    add_workers_argument(group)


def run(args: argparse.Namespace) -> int:
    """Train the network and print where the best model is.

    Raises:
        OutputError: the folder has a run already, or cannot be written.
        DatasetError: images, fonts or glyphs are unusable.
        ImageError: an image cannot be decoded.
        InputError: an option is out of range or differs from that of the run in the folder, or the loss is no longer a
            finite number.
        AlphabetError: the alphabet is unusable.
    """
    from ..training.fit import MODEL, STATE, fit

    _require_matching(args)
    plan = _plan(args)
    spec = _spec(args)
    folder: Path = args.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror}); choose another folder") from error
    if (folder / STATE).exists() and not args.resume:
        raise OutputError(f"{folder}: already has a run; continue it with --resume, or choose another folder")
    set_environment()
    source, images = _images(args, spec)
    best = fit(
        plan,
        spec,
        source,
        images,
        folder,
        workers=args.workers,
        initial=args.initial,
        resume=args.resume,
        on_epoch=lambda row: print(row, flush=True),
    )
    sys.stdout.write(
        f"wrote {folder / MODEL}: epoch {best.epoch}, {best.exact:.2%} of {len(images.labels):,} texts correct\n"
    )
    return 0


def _require_matching(args: argparse.Namespace) -> None:
    """Check the options that choose kinds of images.

    Raises:
        InputError: they cannot be combined.
    """
    if args.kind and (args.images or _what(args) != "plates"):
        where = "--images" if args.images else f"--what {_what(args)}"
        raise InputError(f"--kind does not apply to {where}; leave out one of them")
    if args.negatives and not args.images and _what(args) == "lines":
        raise InputError("--negatives does not apply to --what lines, since some of them show lines; leave it out")
    if args.leave_out and not _share(args):
        raise InputError("--leave-out does not apply without negatives; add --negatives SHARE")
    if not _negative_kinds(args):
        raise InputError("--leave-out leaves no kind of negative; leave out fewer, or add --negatives 0")


def _share(args: argparse.Namespace) -> float:
    """Return the share of negatives."""
    if args.negatives is not None:
        return float(args.negatives)
    return 0.0 if args.images or _what(args) == "lines" else _NEGATIVES


def _negative_kinds(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the kinds of negatives to train with."""
    return tuple(kind for kind in NEGATIVE if kind not in (args.leave_out or ()))


def _spec(args: argparse.Namespace) -> ModelSpec:
    """Return the spec of the trained model."""
    from ..alphabet import PLATES, PLATES_2019, Alphabet
    from ..labels.places import nfc
    from ..model.spec import InputSpec, ModelSpec, OutputSpec

    architecture = ARCHITECTURES[args.architecture]
    width, height = args.size or (architecture.width_px, architecture.height_px)
    if args.alphabet is not None:
        symbols = tuple(nfc(args.alphabet))  # like labels
        alphabet = Alphabet(symbols, blank=len(symbols))
    else:
        digits = Alphabet(tuple(Drawing.alphabet), blank=len(Drawing.alphabet))
        alphabet = {"plates": PLATES, "plates-2019": PLATES_2019, "lines": digits}[_what(args)]
    return ModelSpec(
        name=args.architecture,
        symbols=alphabet.symbols,
        blank=alphabet.blank,
        input=InputSpec(width=width, height=height, axes="WHC", scale=1 / 127.5, offset=-1.0, reduce="area"),
        output=OutputSpec(steps=architecture.steps(width), classes=alphabet.classes),
        skip_steps=architecture.skip_steps,
        label_map=alphabet.label_map,
    )


def _what(args: argparse.Namespace) -> What:
    """Return the kind of images to render, which also selects the alphabet if none is named."""
    return args.what or ("plates" if args.architecture == "plates" else "lines")


def _images(args: argparse.Namespace, spec: ModelSpec) -> tuple[Source, Batch]:
    """Check all images and their labels; return the images for training and for validation."""
    from ..dataset import Dataset, load_labelled
    from ..training.batches import Folders, make_batch
    from ..training.checks import require_apart, require_readable

    rules = label_rules_of(args)
    steps = spec.output.steps - spec.skip_steps

    def load(paths: list[Path] | None) -> tuple[Dataset, ...]:
        return tuple(load_labelled(path, spec.alphabet, rules, steps=steps) for path in paths or ())

    if args.images and not args.validation:
        raise InputError("--images needs --validation DIR: labelled images to judge every epoch by")
    training = load(args.images)
    validation = load(args.validation)
    require_apart(training, validation)
    require_readable([*training, *validation])
    source = Folders(training, args.seed) if training else _drawn(args, spec, args.seed)
    source = _with_negatives(args, spec, source, args.seed)
    if validation:
        labelled = Folders(validation, seed=0)
        return source, make_batch(labelled, spec.input, len(labelled), 0)
    seed = args.seed + _VALIDATION_SEED
    drawn = _with_negatives(args, spec, _drawn(args, spec, seed), seed)
    return source, make_batch(drawn, spec.input, args.validation_count, 0)


def _with_negatives(args: argparse.Namespace, spec: ModelSpec, source: Source, seed: int) -> Source:
    from ..training.drawn import WithNegatives

    share = _share(args)
    if not share:
        return source
    return WithNegatives(source, _runs(args, spec, seed, "plates", _negative_kinds(args)), share)


def _drawn(args: argparse.Namespace, spec: ModelSpec, seed: int) -> Source:
    return _runs(args, spec, seed, _what(args), tuple(args.kind or ()))


def _runs(args: argparse.Namespace, spec: ModelSpec, seed: int, what: What, chosen: tuple[str, ...]) -> Source:
    """Return a run of images for every preset, in fonts and, if there is a glyph folder, in its glyphs."""
    from ..training.drawn import Mixture
    from ..training.fonts import pick_fonts

    fonts = pick_fonts(args.fonts, what == "lines", args.font_split, args.held_out)
    drawings = [
        Drawing(what, seed, preset, fonts, chosen=chosen, alphabet="".join(spec.symbols), length=args.length)
        for preset in args.preset
    ]
    if args.glyphs:
        drawings += [replace(drawing, glyphs=args.glyphs) for drawing in drawings]
    # Runs of the same seed have the same labels, so every run gets its own seed.
    return Mixture(tuple(replace(drawing, seed=seed + _APART * place) for place, drawing in enumerate(drawings)))


def _plan(args: argparse.Namespace) -> Plan:
    from ..training.plan import Plan

    return Plan(
        architecture=args.architecture,
        epochs=args.epochs,
        steps=args.steps,
        batch=args.batch,
        width=args.width_factor,
        rnn=args.rnn,
        optimiser=args.optimiser,
        learning_rate=args.learning_rate,
        precision=args.precision,
        patience=args.patience,
        seed=args.seed,
        data=_data(args),
    )


def _data(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options that choose the images."""
    data: dict[str, Any] = {}
    if args.images:
        data |= {"images": list(map(str, args.images)), **_label_options(args)}
    else:
        data |= {"what": _what(args), "length": args.length}
    if _what(args) == "plates" and not args.images:
        data["kinds"] = Drawing("plates", 0, MILD.name, chosen=tuple(args.kind or ())).kinds
    if _share(args):
        data["negatives"] = {"share": _share(args), "kinds": _negative_kinds(args)}
    if not args.images or _share(args):
        data |= {
            "presets": args.preset,
            "fonts": str(args.fonts or "default"),
            "font_split": args.font_split,
            "held_out": args.held_out,
            "glyphs": args.glyphs and str(args.glyphs),
        }
    return data


def _label_options(args: argparse.Namespace) -> dict[str, str]:
    """Return the options on labels that are not the defaults; a run is resumed only with the same options."""
    rules = label_rules_of(args)
    return {
        option.name: str(value) for option in fields(rules) if (value := getattr(rules, option.name)) != option.default
    }


def _size(text: str) -> tuple[int, int]:
    width, height = (int(part) for part in text.lower().split("x"))
    if min(width, height) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 128x64")
    return width, height


COMMAND = Command(
    "train a network on labelled or rendered images",
    add_arguments,
    run,
    examples=(
        "train -o run --architecture plates",
        "train -o run --architecture digits --images train --validation test",
    ),
    renamed={"--width": "--width-factor", "--validation-images": "--validation-count"},
)
