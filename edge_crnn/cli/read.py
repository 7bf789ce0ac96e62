"""`edge-crnn read`: images → text, a line each."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from ..artifact import load
from ..backends import ENGINES
from ..dataset import find_images
from ..errors import ImageError
from ..progress import progress
from ..reader import DEFAULT_MODEL, MOST, Reader, open_reader
from ..reading import Reading
from .command import Command, at_least, share
from .decoding import add_decoder_arguments, decoder_of
from .knowledge import add_knowledge_arguments, lexicon_of, prior_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `read`."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE|DIR", help="cropped plates, or folders of them")
    parser.add_argument("--model", type=Path, metavar="M", help="a converted model (default: Korean plates, int8)")
    parser.add_argument(
        "--engine", choices=ENGINES, help="tensorrt: run an .onnx as an engine, built once, which takes minutes"
    )
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="text: image, text, confidence; jsonl: all, for programs",
    )
    parser.add_argument(
        "--workers", type=at_least(1, MOST), metavar="N", help="engines side by side (default: one per core)"
    )
    parser.add_argument(
        "--threads", type=at_least(1, MOST), default=1, metavar="N", help="threads of each engine (default: 1)"
    )
    add_decoder_arguments(parser)
    add_knowledge_arguments(parser)
    parser.add_argument(
        "--n-best", type=at_least(1, MOST), default=1, metavar="N", help="texts per image, best first (jsonl)"
    )
    rejection = parser.add_mutually_exclusive_group()
    rejection.add_argument("--min-confidence", type=share, metavar="P", help="mark readings below it as rejected")
    rejection.add_argument(
        "--target-precision",
        type=share,
        metavar="P",
        help="mark as many as rejected as it takes that, of the others, this share is right, such as 0.999; for a model"
        " that edge-crnn calibrate has calibrated",
    )


def run(arguments: argparse.Namespace) -> int:
    """1 if an image could not be read, else 0."""
    paths = list(_paths(arguments.images))
    errors = []
    with _open(arguments) as reader:
        results = zip(paths, reader.read_each(paths), strict=True)
        for path, result in progress(results, len(paths), "reading"):
            if isinstance(result, ImageError):
                errors.append(result)
            print(_json(path, result) if arguments.format == "jsonl" else _text(path, result))
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


def _open(arguments: argparse.Namespace) -> Reader:
    artifact = load(arguments.model or DEFAULT_MODEL)
    decoder = decoder_of(arguments, artifact.spec.decoder)
    if arguments.min_confidence is not None:
        decoder = replace(decoder, reject_below=arguments.min_confidence)
    return open_reader(
        artifact,
        workers=arguments.workers,
        threads=arguments.threads,
        decoder=decoder,
        n_best=arguments.n_best,
        target_precision=arguments.target_precision,
        lexicon=lexicon_of(arguments, artifact.spec.alphabet),
        prior=prior_of(arguments, artifact.spec.alphabet),
        engine=arguments.engine,
    )


def _text(path: Path, result: Reading | ImageError) -> str:
    if isinstance(result, ImageError):
        return f"{path}\terror\t{' '.join(str(result).splitlines())}"
    marks = "\trescued" * result.rescued + "\trejected" * (not result.accepted)
    return f"{path}\t{result.text}\t{result.confidence:.4f}{marks}"


def _json(path: Path, result: Reading | ImageError) -> str:
    unread = {"text": None, "label": None, "confidence": None}
    said = {**unread, "error": str(result)} if isinstance(result, ImageError) else asdict(result)
    line = json.dumps({"image": str(path), **said}, ensure_ascii=False)
    return line.encode("utf-8", "backslashreplace").decode()  # a byte of a name that is no UTF-8, as JSON spells it


COMMAND = Command("read the text in images", add_arguments, run)
