"""The options that open a reader, and the JSON line of a reading, for every command that reads."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from ..backends import ENGINES
from ..board.threads import limit_opencv
from ..bounds import N_BEST
from ..errors import ImageError
from ..preprocess.function import load_function
from ..reader import MOST, Reader, load, open_reader
from ..reading import Reading
from ..terminal import printable_json
from .command import at_least, share
from .decoding import add_decoder_arguments, decoder_wishes
from .knowledge import add_knowledge_arguments, lexicon_of, prior_of


def add_reader_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `reader_of`."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        default="plates",
        metavar="MODEL",
        help="a converted model, or the name of a model (default: plates, Korean plates in int8)",
    )
    group.add_argument(
        "--engine",
        choices=ENGINES,
        help="engine that runs the model (default: by its suffix); tensorrt builds an engine from an .onnx once, which"
        " may take minutes, and runs it",
    )
    group.add_argument(
        "--workers",
        type=at_least(1, MOST),
        metavar="N",
        help="engines in parallel (default: one per usable core, fewer if memory is short, one for a GPU)",
    )
    group.add_argument(
        "--threads", type=at_least(1, MOST), default=1, metavar="N", help="threads per engine (default: 1)"
    )
    add_preprocess_argument(group)
    group = parser.add_argument_group("decoding")
    add_decoder_arguments(group)
    add_knowledge_arguments(group)
    group.add_argument(
        "--n-best",
        type=at_least(*N_BEST),
        default=1,
        metavar="N",
        help="number of texts per image in the JSON, best first (default: 1)",
    )
    rejection = parser.add_argument_group("rejection").add_mutually_exclusive_group()
    rejection.add_argument(
        "--min-confidence",
        type=share,
        metavar="P",
        help="reject readings whose confidence is below P, instead of below the model's own threshold; 0: no threshold",
    )
    rejection.add_argument(
        "--target-precision",
        type=share,
        metavar="P",
        help="reject low-confidence readings so that at least this share of the accepted ones is correct, such as"
        " 0.999; the model must be calibrated (edge-crnn calibrate)",
    )


def add_preprocess_argument(parser: argparse._ActionsContainer) -> None:
    """Add `--preprocess`, for `load_function`."""
    parser.add_argument(
        "--preprocess",
        metavar="FILE:FUNCTION",
        help="run this Python file, for a model with your own preprocessing function",
    )


def reader_of(arguments: argparse.Namespace) -> Reader:
    """Open the reader that the options describe; for errors, see `open_reader`, `lexicon_of` and `prior_of`."""
    limit_opencv()
    artifact = load("plates" if arguments.model is None else arguments.model)
    return open_reader(
        artifact,
        workers=arguments.workers,
        threads=arguments.threads,
        n_best=arguments.n_best,
        min_confidence=arguments.min_confidence,
        target_precision=arguments.target_precision,
        lexicon=lexicon_of(arguments, artifact.spec.alphabet),
        prior=prior_of(arguments, artifact.spec.alphabet),
        engine=arguments.engine,
        preprocess=None if arguments.preprocess is None else load_function(arguments.preprocess),
        **decoder_wishes(arguments),
    )


def json_line(path: Path, result: Reading | ImageError, **more: str | int) -> str:
    """Return one JSON object without a line break: `more`, the image, and the reading or its error."""
    unread = {"text": None, "label": None, "confidence": None}
    outcome = {**unread, "error": str(result)} if isinstance(result, ImageError) else asdict(result)
    return printable_json(json.dumps({**more, "image": str(path), **outcome}, ensure_ascii=False))
