"""Declarations about a model on the command line, and their union with the spec beside the model.

A draft is the JSON form of a spec in which any field may be missing.
"""

from __future__ import annotations

import argparse
import copy
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from edge_crnn.cli.command import at_least, lambda_declaration
from edge_crnn.errors import InputError, ModelSpecError
from edge_crnn.model.digest import without_field
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec
from edge_crnn.model.typed import check

from .scales import SCALES

Draft: TypeAlias = dict[str, Any]
"""The JSON form of a spec in which any field may be missing."""

FUNCTION = "input.function"
"""The field that --preprocess sets."""
_PARTS = {"input": InputSpec, "output": OutputSpec}
"""Parts of a spec in which any field may be missing, too."""
_Class: TypeAlias = int | Literal["first", "last"]
_CLASSES: Mapping[str, Any] = {"blank": _Class, "unused": tuple[_Class, ...]}
"""Fields that a draft can state in words."""
_MAX_ALPHABET_BYTES = 1 << 20


@dataclass(frozen=True)
class Option:
    """An option of the command line, and the field of the spec that it sets."""

    flag: str
    key: str
    """Path of the field, such as `input.scale`."""
    help: str
    read: Callable[[str], Any] | None = None
    """The parser of its value; None: the option takes no value, and --no-… declares the opposite."""
    metavar: str | None = None
    choices: tuple[Any, ...] | None = None
    repeated: bool = False
    """True if the option can be repeated, which makes a list."""

    @property
    def name(self) -> str:
        """The option's name in argparse's namespace."""
        return self.flag.lstrip("-").replace("-", "_")

    def typed(self, value: Any) -> str:
        """Return the option and its value as the user typed them."""
        flag = f"--no-{self.flag.lstrip('-')}" if self.read is None and not value else self.flag
        return f"{flag} says {_shown(value)}"


def number(text: str) -> float:
    """Read a number such as `0.5`, or a quotient such as `1/255`.

    Raises:
        argparse.ArgumentTypeError: the text is neither.
    """
    dividend, _, divisor = text.partition("/")
    try:
        return float(dividend) / float(divisor or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number such as 0.5 or 1/255") from error


def numbers(text: str) -> float | list[float]:
    """Read a number, or three with commas between them."""
    parts = [number(part) for part in text.split(",")]
    if len(parts) not in (1, 3):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected one number, or three separated by commas")
    return parts[0] if len(parts) == 1 else parts


def class_index(text: str) -> int | str:
    """Read a class: `first`, `last` or its index."""
    if text in ("first", "last"):
        return text
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected first, last or the index of a class") from error


def padding(text: str) -> int | list[int] | str:
    """Read a grey level, three levels with commas between them, or `edge`."""
    if text == "edge":
        return text
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if len(levels) not in (1, 3):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a level from 0 to 255, three of them, or edge")
    return levels[0] if len(levels) == 1 else levels


def alphabet(text: str) -> list[str]:
    """Return symbols in the order of their classes: the characters of a text, or those in a file of that name.

    A file has a symbol on every line, or all characters on a single line.

    Raises:
        InputError: the file cannot be read.
    """
    path = Path(text)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        return list(text)
    try:
        content = path.read_bytes()[: _MAX_ALPHABET_BYTES + 1]
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as an alphabet ({error}); save it in UTF-8, one symbol per line"
        ) from error
    if len(content) > _MAX_ALPHABET_BYTES:
        raise InputError(f"{path}: more than {_MAX_ALPHABET_BYTES:,} bytes; expected one symbol per line")
    return lines if len(lines) > 1 else list(lines[0])


def _choice(field: str) -> tuple[Any, ...]:
    """Return the values that a field of `InputSpec` can have."""
    return typing.get_args(typing.get_type_hints(InputSpec)[field])


def _choosing(field: str, help_: str) -> Option:
    choices = _choice(field)
    return Option(f"--{field.replace('_', '-')}", f"input.{field}", help_, type(choices[0]), None, choices)


OPTIONS: Sequence[Option] = (
    Option("--name", "name", "name of the model (default: that of the file)", str, "NAME"),
    Option(
        "--alphabet", "symbols", "symbols in the order of their classes, without the blank, or a file with one symbol"
        " per line", alphabet, "TEXT|FILE",
    ),
    Option(
        "--blank", "blank", "class of the CTC blank: last with ctc_batch_cost, first with keras.ops.ctc_loss",
        class_index, "first|last|N",
    ),
    Option(
        "--unused", "unused", "class that occurs in no text, such as [UNK] of StringLookup; may be repeated",
        class_index, "CLASS", repeated=True,
    ),
    Option("--skip-steps", "skip_steps", "leading time steps that the training loss ignored", at_least(0), "N"),
    Option("--width", "input.width", "width of the image in pixels, if it is None in the file", at_least(1), "N"),
    Option("--height", "input.height", "height of the image in pixels, if it is None in the file", at_least(1), "N"),
    _choosing("axes", "order of the axes: HWC, or WHC for a network that takes transposed images"),
    _choosing("colour", "channels of the image that the network sees"),
    Option(
        "--pixels", "input.pixels", "how pixels are scaled, instead of --scale and --offset: "
        + "; ".join(f"{name} ({scale.meaning})" for name, scale in SCALES.items()),
        str, "NAME", tuple(SCALES),
    ),
    Option(
        "--scale", "input.scale", "the network sees pixel * SCALE + OFFSET; one number, or one per channel",
        numbers, "SCALE",
    ),
    Option("--offset", "input.offset", "see --scale; write several as --offset=-1,-1,-1", numbers, "OFFSET"),
    Option(
        "--standardise", "input.standardise", "subtract the mean of each image and divide by its standard deviation"
    ),
    Option("--invert", "input.invert", "the network sees 255 - pixel"),
    _choosing("resize", "stretch: fill the canvas; fit: keep the aspect ratio; height: scale to the height and squeeze"
              " images that are too wide; paste: crop without scaling"),
    _choosing("align", "place of an image that is narrower than the canvas"),
    _choosing("align_vertical", "place of an image that is lower than the canvas"),
    _choosing("odd_pixel", "side of a centred image that gets the odd pixel: after (right or below), or before"),
    _choosing("rounding", "how the size of a scaled image is rounded"),
    _choosing("interpolation", "linear as in OpenCV and tf.image, area as in OpenCV, pil-… as in Pillow"),
    Option(
        "--reduce", "input.reduce", "area: first average an image more than twice as wide or high as its target", str,
        choices=("area",),
    ),
    Option("--padding", "input.padding", "grey level around the image, or one per channel", padding, "LEVEL|edge"),
    _choosing("rotate", "degrees by which the canvas is turned clockwise"),
    Option(
        "--filter", "input.filters", "filter for the pixels, such as 'otsu', 'adaptive mean 11 2' or 'clahe 2 8'; may"
        " be repeated", str, "FILTER", repeated=True,
    ),
)  # fmt: skip
"""The options that `convert`, `verify` and `spec` take."""


def add_declarations(parser: argparse.ArgumentParser) -> None:
    """Add the options that declare what a model file lacks."""
    group = parser.add_argument_group(
        "settings that the model file lacks", "stored in MODEL.json; edge-crnn spec measures most of them"
    )
    for option in OPTIONS:
        if option.read is None:
            group.add_argument(option.flag, action=argparse.BooleanOptionalAction, help=option.help)
            continue
        group.add_argument(
            option.flag, type=option.read, choices=option.choices, metavar=option.metavar, help=option.help,
            action="append" if option.repeated else "store",
        )  # fmt: skip
    group.add_argument(
        "--lambda", dest="lambdas", action="append", type=lambda_declaration, metavar="LAYER=WORDS",
        help="what a Lambda does, such as 'lambda_1=squeeze 1'; may be repeated (see docs/declare.md)",
    )  # fmt: skip


def declared_by(arguments: argparse.Namespace) -> Draft:
    """Return the part of a spec that the options declare."""
    draft: Draft = {}
    for option in OPTIONS:
        value = getattr(arguments, option.name)
        if value is not None:
            put(draft, option.key, value)
    if arguments.lambdas:
        draft["lambdas"] = dict(arguments.lambdas)
    return draft


def put(draft: Draft, key: str, value: Any) -> None:
    """Set a field by its path."""
    *path, last = key.split(".")
    for name in path:
        draft = draft.setdefault(name, {})
    draft[last] = value


def get(draft: Mapping[str, Any], key: str) -> Any:
    """Return a field by its path; None: it is missing."""
    value: Any = draft
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def read_draft(path: Path) -> Draft:
    """Read a spec in which any field may be missing.

    Raises:
        ModelSpecError: the file cannot be read, or holds no JSON object.
    """
    try:
        text, _ = without_field(path.read_bytes())  # the digest of an engine's spec, of which this may be a copy
        draft = json.loads(text)
    except OSError as error:
        raise ModelSpecError(f"{path}: cannot be read ({error.strerror}); name a spec in JSON") from error
    except (ValueError, RecursionError) as error:
        raise ModelSpecError(f"{path}: no JSON ({error}); write the spec again") from error
    if not isinstance(draft, dict):
        raise ModelSpecError(f"{path}: found {type(draft).__name__}, expected a JSON object")
    return draft


def join(written: Draft, declared: Draft, origin: object) -> Draft:
    """Join a spec with the declarations of the options.

    Args:
        written: the spec in a file.
        declared: the declarations, from `declared_by`.
        origin: the name of the file in an error.

    Raises:
        InputError: the two disagree.
    """
    check_draft(written, origin)
    joined = copy.deepcopy(written)
    conflicts = []
    for option in OPTIONS:
        ours = get(declared, option.key)
        theirs = get(written, option.key)
        if ours is None:
            continue
        if theirs is None or _agree(option.key, ours, theirs, get(written, "output.classes")):
            put(joined, option.key, ours if theirs is None else theirs)
        else:
            conflicts.append(f"{option.key} {_shown(theirs)}, {option.typed(ours)}")
    function = get(declared, FUNCTION)
    stated = get(written, FUNCTION)
    if function is not None:
        put(joined, FUNCTION, function)
        if stated not in (None, function):
            conflicts.append(f"{FUNCTION} {stated}, --preprocess says {function}")
    for name, words in declared.get("lambdas", {}).items():
        meaning = joined.setdefault("lambdas", {}).setdefault(name, words)
        if meaning != words:
            conflicts.append(f"lambdas.{name} {meaning!r}, --lambda says {words!r}")
    if conflicts:
        raise InputError(
            f"{origin} says {'; it says '.join(conflicts)}; leave out the option, correct the file, or measure again:"
            " edge-crnn spec MODEL --anew"
        )
    return joined


def _agree(key: str, ours: Any, theirs: Any, classes: int | None) -> bool:
    """Check that an option and a spec agree: an alphabet can be a text or a list, a class a word or a number."""
    if key == "symbols":
        return list(ours) == list(theirs)
    if key not in ("blank", "unused"):
        return bool(ours == theirs)
    first, second = (
        [class_index_of(place, classes) for place in (value if isinstance(value, list) else [value])]
        for value in (ours, theirs)
    )
    if None in (*first, *second):
        return ours == theirs or not (isinstance(ours, str) and isinstance(theirs, str))
    return set(first) == set(second)


def class_index_of(place: int | str, classes: int | None) -> int | None:
    """Return the index of a class that `class_index` read; None: it depends on the number of classes."""
    match place:
        case "first":
            return 0
        case "last":
            return None if classes is None else classes - 1
        case int():
            return place
    return None


def check_draft(draft: Draft, origin: object) -> None:
    """Check the types of the fields in a draft, any of which may be missing.

    Raises:
        ModelSpecError: a field is unknown or of another type.
    """
    _check(ModelSpec, draft, str(origin))


def _check(kind: type, fields: object, where: str) -> None:
    if not isinstance(fields, dict):
        raise ModelSpecError(f"{where}: found {type(fields).__name__}, expected an object")
    hints = typing.get_type_hints(kind)
    for name, value in fields.items():
        place = f"{where}: {name}"
        if kind is ModelSpec and name in ("version", "$schema"):
            continue
        if kind is ModelSpec and name in _PARTS:
            _check(_PARTS[name], value, place)
        elif kind is ModelSpec and name in _CLASSES:
            check(_CLASSES[name], value, place, ModelSpecError)
        elif kind is InputSpec and name == "pixels":
            if not isinstance(value, str) or value not in SCALES:
                raise ModelSpecError(f"{place}: found {value!r}, expected {', '.join(SCALES)}")
        elif name not in hints:
            raise ModelSpecError(f"{place}: unknown field; known are {', '.join(hints)}")
        else:
            check(hints[name], value, place, ModelSpecError)


def _shown(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "".join(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
