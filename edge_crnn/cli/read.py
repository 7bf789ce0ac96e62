"""`edge-crnn read`: reads the text in images and prints one line per image.

    IMAGE <TAB> TEXT <TAB> CONFIDENCE [<TAB> rescued] [<TAB> damaged] [<TAB> rejected]

Control characters in a name or a text are escaped. An image that cannot be read has no line; its error goes to
stderr. With `--format jsonl`, every image has one JSON object, which is exact, with an `error` if it cannot be read.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..dataset import find_images
from ..errors import ImageError, InputError
from ..images import Image
from ..images.limits import current_limits
from ..model.spec import DecoderSpec
from ..progress import note, progress
from ..reader import Reader
from ..reading import Reading
from ..terminal import printable
from .command import Command, between
from .folders import add_recursive_argument
from .reader import add_reader_arguments, json_line, reader_of
from .streams import read_all

if TYPE_CHECKING:
    from ..scale.triton.client import Client

_STDIN = "-"
_Named: TypeAlias = tuple[Path, Image]
"""The name of an image in the output, and the image for the reader."""

_note = partial(note, program="edge-crnn read")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `read`."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE|DIR",
        help="images of cropped plates or text lines, or folders of them; - reads one image from standard input",
    )
    add_recursive_argument(parser)
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="text: image, text, confidence; jsonl: all fields, for programs",
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="let the Triton server at this URL read, such as http://server:8000; --model is then the name of its"
        " model, and edge-crnn export sets the other options of the reader",
    )
    parser.add_argument(
        "--timeout",
        type=between(1, 86400),
        default=60.0,
        metavar="S",
        help="with --server: give up after S seconds without an answer (default: 60)",
    )
    add_reader_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Return 1 if an image could not be read, else 0."""
    images = list(images_of(arguments.images, arguments.recursive))
    as_json: bool = arguments.format == "jsonl"
    first_error = ""
    errors = 0
    rejected = 0
    with _reader(arguments) as reader:
        results = zip(images, reader.read_each([image for _, image in images]), strict=True)
        for (path, _), result in progress(results, len(images), "reading"):
            if as_json:
                print(json_line(path, result))
            if isinstance(result, ImageError):
                errors += 1
                first_error = first_error or str(result)
                if not as_json:
                    _note(str(result))
                continue
            rejected += not result.accepted
            if not as_json:
                print(_text(path, result))
        decoder = reader.spec.decoder if isinstance(reader, Reader) else None
    if errors:
        detail = f"; {first_error}" if as_json else ""
        _note(f"{errors} of {len(images)} images could not be read{detail}")
    if rejected and sys.stderr.isatty():
        _note(_about_rejected(rejected, len(images) - errors, decoder))
    return 1 if errors else 0


def _reader(arguments: argparse.Namespace) -> Reader | Client:
    """Open the model, or the connection to a server.

    Raises:
        InputError: an option cannot be used with a server.
    """
    if arguments.server is None:
        return reader_of(arguments)
    from ..scale.triton.client import Client

    parser = argparse.ArgumentParser()
    add_reader_arguments(parser)
    for option, default in vars(parser.parse_args([])).items():
        if option != "model" and getattr(arguments, option) != default:
            raise InputError(
                f"found --{option.replace('_', '-')} with --server, which reads with the options of its model; give"
                " it to edge-crnn export"
            )
    return Client(arguments.server, arguments.model, timeout=arguments.timeout, say=_note)


def _about_rejected(rejected: int, readings: int, decoder: DecoderSpec | None) -> str:
    """Return a message with the number of rejected readings, the reason, and the option that changes it.

    None for `decoder`: a server has decided.
    """
    if decoder is None:
        return f"{rejected} of {readings} readings are marked as rejected"
    reasons = []
    if decoder.reject_below:
        reasons.append(f"confidence below {decoder.reject_below:.4f}")
    if decoder.grammar is not None:
        reasons.append("no match with the grammar")
    advice = "; --min-confidence sets another threshold, and 0 turns it off" if decoder.reject_below else ""
    return f"{rejected} of {readings} readings are marked as rejected ({' or '.join(reasons)}){advice}"


def images_of(names: Sequence[str], recursive: bool) -> Iterator[_Named]:
    """Yield the images that the arguments name.

    Raises:
        InputError: standard input is not the only argument, or cannot be read.
        DatasetError: a folder cannot be read or has no image.
    """
    if _STDIN in names:
        yield Path(_STDIN), _from_stdin(names)
        return
    for path in map(Path, names):
        if _is_folder(path):
            yield from ((image, image) for image in find_images(path, recursive))
        else:
            yield path, path


class _Piped(io.BytesIO):
    """The bytes of an image that was piped to this process."""

    name = "standard input"


def _from_stdin(names: Sequence[str]) -> _Piped:
    if len(names) > 1:
        raise InputError(
            f"found {_STDIN} among {len(names)} arguments; {_STDIN} reads one image from standard input and must be the"
            f" only argument (for a file of this name, write ./{_STDIN})"
        )
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("standard input is closed or a terminal; pipe an image to it, or name an image")
    limit = current_limits().file_bytes + 1
    try:
        data = read_all(sys.stdin.fileno(), limit)
    except OSError as error:
        raise InputError(f"standard input cannot be read ({error.strerror}); pipe an image to it") from error
    if not data:
        raise InputError("standard input is empty; pipe an image to it, or name an image")
    return _Piped(data)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # the name is too long or not available; reading the image raises the error
        return False


def _text(path: Path, reading: Reading) -> str:
    marks = "\trescued" * reading.rescued + "\tdamaged" * reading.damaged + "\trejected" * (not reading.accepted)
    return f"{printable(path)}\t{printable(reading.text)}\t{reading.confidence:.4f}{marks}"


COMMAND = Command(
    "read the text in images",
    add_arguments,
    run,
    details="Prints a line for every image: path, text and confidence. If the confidence is below a threshold, the word"
    " rejected follows. By default, the threshold is the one in the model's spec, which edge-crnn info shows. To turn"
    " it off, add --min-confidence 0. To set another one by the share of correct readings, add --target-precision. The"
    " threshold was calibrated without --grammar, --lexicon and --prior, but also applies with them.",
    examples=(
        "read samples/plates",
        "read --min-confidence 0.9 --format jsonl plate.jpg",
        "read --recursive incoming",
        "read - < plate.jpg",
        "read --server http://server:8000 incoming",
    ),
)
