"""The options that open a reader, and the line of JSON that says what it read, for every command that reads."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from ..backends import ENGINES
from ..errors import ImageError
from ..model.artifact import load
from ..preprocess.function import load_function
from ..reader import DEFAULT_MODEL, MOST, Reader, open_reader
from ..reading import Reading
from .command import at_least, share
from .decoding import add_decoder_arguments, decoder_of
from .knowledge import add_knowledge_arguments, lexicon_of, prior_of


def add_reader_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `reader_of`."""
    parser.add_argument("--model", type=Path, metavar="M", help="a converted model (default: Korean plates, int8)")
    parser.add_argument(
        "--engine", choices=ENGINES, help="tensorrt: run an .onnx as an engine, built once, which takes minutes"
    )
    parser.add_argument(
        "--workers", type=at_least(1, MOST), metavar="N", help="engines side by side (default: one per core)"
    )
    parser.add_argument(
        "--threads", type=at_least(1, MOST), default=1, metavar="N", help="threads of each engine (default: 1)"
    )
    add_preprocess_argument(parser)
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


def add_preprocess_argument(parser: argparse.ArgumentParser) -> None:
    """`--preprocess`, as `load_function` takes it."""
    parser.add_argument(
        "--preprocess",
        metavar="FILE:FUNCTION",
        help="run this Python file, for a model whose images go through a function of your own",
    )


def reader_of(arguments: argparse.Namespace) -> Reader:
    """The reader that the options describe; see `open_reader`, `lexicon_of` and `prior_of` for what it raises."""
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
        preprocess=None if arguments.preprocess is None else load_function(arguments.preprocess),
    )


def json_line(path: Path, result: Reading | ImageError, **more: str | int) -> str:
    """One object without a line break: `more`, the image, and what was read in it or why nothing was."""
    unread = {"text": None, "label": None, "confidence": None}
    said = {**unread, "error": str(result)} if isinstance(result, ImageError) else asdict(result)
    line = json.dumps({**more, "image": str(path), **said}, ensure_ascii=False)
    return line.encode("utf-8", "backslashreplace").decode()  # a byte of a name that is no UTF-8, as JSON spells it
