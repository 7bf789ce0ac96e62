"""Builds a TensorRT engine from an ONNX artifact, on the device that will run it.

    edge-crnn build-engine plates.onnx -o plates.engine

An engine runs only with the TensorRT and on the kind of GPU that built it, so carry the `.onnx` to the device.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_crnn.backends.tensorrt.build import BuildOptions
from edge_crnn.backends.tensorrt.process import TIMEOUT_S, make_engine
from edge_crnn.bounds import BATCH
from edge_crnn.cli.command import at_least
from edge_crnn.errors import EdgeCrnnError, InputError
from edge_crnn.model.artifact import Artifact, load

_FAILED = 1
_HINT = """Copy {onnx} to the device and build the engine there, for its own GPU:
    edge-crnn build-engine {name} -o {engine} --batches {batches}"""


def to_engine(onnx: Path, target: Path, options: BuildOptions | None = None, timeout: float = TIMEOUT_S) -> Artifact:
    """Build an engine from an ONNX artifact and write it to `target`, with its spec beside it.

    Args:
        onnx: an artifact that `edge-crnn convert --to onnx` wrote.
        target: NAME.engine.
        options: options of the build; None: the defaults.
        timeout: seconds after which the build is stopped.

    Raises:
        ArtifactError: `onnx` is damaged or has no spec.
        InputError: `onnx` or `target` has another suffix, or `onnx` does not exist.
        BackendUnavailable: TensorRT is not installed.
        BackendError: the build failed, took too long, or gave an engine that does not meet the options.
        OutputError: `target` cannot be written.
    """
    if onnx.suffix != ".onnx" or target.suffix != ".engine":
        raise InputError(
            f"found {onnx.name} and {target.name}, expected NAME.onnx to build from and NAME.engine to make"
        )
    return make_engine(load(onnx), target, options, timeout)


def how_to_build(onnx: Path, target: Path, options: BuildOptions) -> str:
    """Return instructions for building the engine on the device, for a machine without TensorRT."""
    batches = " ".join(map(str, options.batches))
    return _HINT.format(onnx=onnx, name=onnx.name, engine=target.name, batches=batches)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`."""
    usual = BuildOptions()
    parser.add_argument("onnx", type=Path, metavar="ONNX", help="an .onnx that edge-crnn convert wrote")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="ENGINE", help="the engine to write, NAME.engine"
    )
    parser.add_argument(
        "--batches", type=at_least(*BATCH), nargs=3, default=usual.batches, metavar=("MIN", "OPT", "MAX"),
        help="images per call: minimum, number to optimise for, and maximum (default: 1 8 32)",
    )  # fmt: skip
    parser.add_argument(
        "--workspace", type=int, default=usual.workspace, metavar="BYTES",
        help=f"GPU memory that a layer may use as scratch space (default: {usual.workspace >> 20} MiB)",
    )  # fmt: skip
    parser.add_argument(
        "--timing-cache", type=Path, metavar="FILE", help="keep TensorRT's measurements, so that the next build is fast"
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="write TensorRT's whole log to this file")
    parser.add_argument(
        "--tactic-sources", nargs="*", metavar="NAME",
        help="kernel libraries that TensorRT may choose from (default: its own choice)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="SECONDS",
        help="stop the build after this time (default: %(default)g)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Build the engine and print what it is; raises as `to_engine`."""
    sources = None if arguments.tactic_sources is None else tuple(arguments.tactic_sources)
    options = BuildOptions(
        tuple(arguments.batches), arguments.workspace, arguments.timing_cache, arguments.log, sources
    )
    engine = to_engine(arguments.onnx, arguments.output, options, arguments.timeout)
    assert engine.spec.artifact is not None  # `make_engine` wrote it
    tools = engine.spec.artifact.tools
    sys.stdout.write(f"{engine.path}: {len(engine.payload):,} bytes, {tools['engine']}, {tools['precision']}\n")
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Run as a module, the former name of `edge-crnn build-engine`; return 0, or 1 with a line on stderr."""
    sys.stderr.write("python -m converters.tensorrt.to_engine is now edge-crnn build-engine\n")
    parser = argparse.ArgumentParser("python -m converters.tensorrt.to_engine")
    add_arguments(parser)
    try:
        return run(parser.parse_args(words))
    except EdgeCrnnError as error:
        sys.stderr.write(f"{error}\n")
        return _FAILED


if __name__ == "__main__":
    sys.exit(main())
