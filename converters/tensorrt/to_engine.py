"""ONNX artifact → TensorRT engine, on the device that it is for.

    python -m converters.tensorrt.to_engine plates.onnx -o plates.engine

An engine runs on the TensorRT and the kind of GPU that built it, and on no other, so that it is the `.onnx` that
travels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_crnn.backends.tensorrt.build import BuildOptions
from edge_crnn.backends.tensorrt.process import TIMEOUT_S, make_engine
from edge_crnn.errors import EdgeCrnnError, InputError
from edge_crnn.model.artifact import Artifact, load

_FAILED = 1
_HINT = """{onnx} is what the device needs; TensorRT builds the engine there, for its own GPU:
    python -m converters.tensorrt.to_engine {name} -o {engine} --batches {batches}"""


def to_engine(onnx: Path, target: Path, options: BuildOptions | None = None, timeout: float = TIMEOUT_S) -> Artifact:
    """Build an engine of an ONNX artifact and put it at `target`, its spec beside it.

    Args:
        onnx: an artifact that `edge-crnn convert --to onnx` made.
        target: NAME.engine.
        options: of the build.
        timeout: seconds after which the build is stopped.

    Raises:
        ArtifactError: `onnx` is no sound artifact.
        InputError: `target` has another suffix, or there is nothing to build from.
        BackendUnavailable: TensorRT is not installed.
        BackendError: the build failed, took too long, or gave an engine that is not what was asked for.
        OutputError: nothing can be written at `target`.
    """
    if onnx.suffix != ".onnx" or target.suffix != ".engine":
        raise InputError(
            f"found {onnx.name} and {target.name}, expected NAME.onnx to build from and NAME.engine to make"
        )
    return make_engine(load(onnx), target, options, timeout)


def how_to_build(onnx: Path, target: Path, options: BuildOptions) -> str:
    """What to do on the device, for a person on a machine without TensorRT."""
    batches = " ".join(map(str, options.batches))
    return _HINT.format(onnx=onnx, name=onnx.name, engine=target.name, batches=batches)


def main(words: Sequence[str] | None = None) -> int:
    """The command; 0, or 1 with a line on stderr."""
    usual = BuildOptions()
    parser = argparse.ArgumentParser(
        "python -m converters.tensorrt.to_engine", description="build a TensorRT engine, here"
    )
    parser.add_argument("onnx", type=Path, help="what `edge-crnn convert --to onnx` or `--to tensorrt` made")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="NAME.engine")
    parser.add_argument(
        "--batches", type=int, nargs=3, default=usual.batches, metavar=("MIN", "OPT", "MAX"),
        help="images per call: fewest, those to be fastest at, most (default: 1 8 32)",
    )  # fmt: skip
    parser.add_argument(
        "--workspace", type=int, default=usual.workspace, metavar="BYTES", help="for a layer's own ends"
    )
    parser.add_argument("--timing-cache", type=Path, metavar="FILE", help="makes the next build take seconds")
    parser.add_argument("--log", type=Path, metavar="FILE", help="all that TensorRT says")
    parser.add_argument("--tactic-sources", nargs="*", metavar="NAME", help="default: TensorRT's own choice")
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="SECONDS", help=f"stop the build then ({TIMEOUT_S:g})"
    )
    given = parser.parse_args(words)
    sources = None if given.tactic_sources is None else tuple(given.tactic_sources)
    options = BuildOptions(tuple(given.batches), given.workspace, given.timing_cache, given.log, sources)
    try:
        made = to_engine(given.onnx, given.output, options, given.timeout)
    except EdgeCrnnError as error:
        sys.stderr.write(f"{error}\n")
        return _FAILED
    assert made.spec.artifact is not None
    tools = made.spec.artifact.tools
    sys.stdout.write(f"{made.path}: {len(made.payload):,} bytes, {tools['engine']}, {tools['precision']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
