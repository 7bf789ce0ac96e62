"""`edge-crnn read`: images → text, a line each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from ..dataset import find_images
from ..errors import ImageError
from ..progress import progress
from ..reading import Reading
from .command import Command
from .reader import add_reader_arguments, json_line, reader_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `read`."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE|DIR", help="cropped plates, or folders of them")
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="text: image, text, confidence; jsonl: all, for programs",
    )
    add_reader_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """1 if an image could not be read, else 0."""
    paths = list(_paths(arguments.images))
    errors = []
    with reader_of(arguments) as reader:
        results = zip(paths, reader.read_each(paths), strict=True)
        for path, result in progress(results, len(paths), "reading"):
            if isinstance(result, ImageError):
                errors.append(result)
            print(json_line(path, result) if arguments.format == "jsonl" else _text(path, result))
    if errors:
        sys.stdout.flush()
        told = f"{len(errors)} of {len(paths)} images could not be read; {errors[0]}"
        print(f"edge-crnn read: {' '.join(told.splitlines())}", file=sys.stderr)
    return 1 if errors else 0


def _paths(given: list[Path]) -> Iterator[Path]:
    for path in given:
        if _is_folder(path):
            yield from find_images(path)
        else:
            yield path


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # the name is too long, or not ours to look at: who reads the image tells it
        return False


def _text(path: Path, result: Reading | ImageError) -> str:
    if isinstance(result, ImageError):
        return f"{path}\terror\t{' '.join(str(result).splitlines())}"
    marks = "\trescued" * result.rescued + "\trejected" * (not result.accepted)
    return f"{path}\t{result.text}\t{result.confidence:.4f}{marks}"


COMMAND = Command("read the text in images", add_arguments, run)
