"""The command `edge-crnn build-engine`."""

from __future__ import annotations

from edge_crnn.cli.command import Command

from ..tensorrt.to_engine import add_arguments, run

BUILD_ENGINE = Command(
    "build a TensorRT engine for this machine's GPU",
    add_arguments,
    run,
    details="An engine only runs with the version of TensorRT and on the kind of GPU that built it, so copy the .onnx"
    " to the device and build the engine there.",
    examples=("build-engine plates.onnx -o plates.engine",),
)
