"""`edge-crnn read`: images → text, a line each.

    IMAGE <TAB> TEXT <TAB> CONFIDENCE [<TAB> rescued] [<TAB> rejected]

An image that cannot be read has no line of text: its error goes to stderr. With `--format jsonl` each image has its
object, with an `error` where it could not be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from ..dataset import find_images
from ..errors import ImageError
from ..model.spec import DecoderSpec
from ..progress import progress
from ..reading import Reading
from .command import Command
from .reader import add_reader_arguments, json_line, reader_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `read`."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE|DIR", help="cropped plates, or folders of them")
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="text: image, text, confidence; jsonl: all, for programs",
    )
    add_reader_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Return 1 if an image could not be read, else 0."""
    paths = list(_paths(arguments.images))
    as_json: bool = arguments.format == "jsonl"
    errors: list[ImageError] = []
    rejected = 0
    with reader_of(arguments) as reader:
        results = zip(paths, reader.read_each(paths), strict=True)
        for path, result in progress(results, len(paths), "reading"):
            if as_json:
                print(json_line(path, result))
            if isinstance(result, ImageError):
                errors.append(result)
                if not as_json:
                    _tell(str(result))
                continue
            rejected += not result.accepted
            if not as_json:
                print(_text(path, result))
        decoder = reader.spec.decoder
    sys.stdout.flush()
    if errors:
        detail = f"; {errors[0]}" if as_json else ""
        _tell(f"{len(errors)} of {len(paths)} images could not be read{detail}")
    if rejected and sys.stderr.isatty():
        _tell(_about_rejected(rejected, len(paths) - len(errors), decoder))
    return 1 if errors else 0


def _about_rejected(rejected: int, readings: int, decoder: DecoderSpec) -> str:
    """Say how many readings were rejected, why, and which option changes that."""
    reasons = []
    if decoder.reject_below:
        reasons.append(f"confidence below {decoder.reject_below:.4f}")
    if decoder.grammar is not None:
        reasons.append("no match with the grammar")
    advice = "; --min-confidence sets another threshold, and 0 accepts all" if decoder.reject_below else ""
    return f"{rejected} of {readings} readings are marked as rejected ({' or '.join(reasons)}){advice}"


def _paths(given: list[Path]) -> Iterator[Path]:
    for path in given:
        if _is_folder(path):
            yield from find_images(path)
        else:
            yield path


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # the name is too long, or not ours to look at: reading the image gives the error
        return False


def _text(path: Path, reading: Reading) -> str:
    marks = "\trescued" * reading.rescued + "\trejected" * (not reading.accepted)
    return f"{path}\t{reading.text}\t{reading.confidence:.4f}{marks}"


def _tell(message: str) -> None:
    """Write one line on stderr."""
    print(f"edge-crnn read: {' '.join(message.splitlines())}", file=sys.stderr)


COMMAND = Command(
    "read the text in images",
    add_arguments,
    run,
    details="Readings whose confidence is below a threshold are marked as rejected; their text is printed all the same."
    " By default the threshold is the one in the model's spec, which calibration has chosen and which edge-crnn info"
    " shows: the model `plates` rejects below 0.9889, which marks 18 of the 500 sample plates. To accept all readings,"
    " add --min-confidence 0; to ask for a share of correct readings among the accepted ones, add --target-precision."
    " The threshold also holds with --grammar, --lexicon and --prior, but was chosen without them.",
    examples=("read samples/plates", "read --min-confidence 0.9 --format jsonl plate.jpg"),
)
