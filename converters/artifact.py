"""Makes an artifact in memory from a graph: payload and spec. Checks that any LiteRT can run a `.tflite`."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from ai_edge_litert import schema_py_generated as schema

from edge_crnn import __version__
from edge_crnn.errors import BackendUnavailable, ConversionError, ModelSpecError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import Artifact
from edge_crnn.model.spec import ArtifactFacts, Calibration, InputSpec, ModelSpec, OutputSpec, Quantisation

from .graph.graph import Graph, Ranges
from .recipe import Recipe
from .tflite.quantisation import SIGMOID_OUT
from .tflite.to_tflite import to_tflite

_WRITERS: dict[str, str] = {"tflite": "ai-edge-litert", "onnx": "onnx"}
"""Format → package that its file is written with."""
_STATEFUL = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "CUSTOM")


def make_tflite(
    path: Path,
    graph: Graph,
    spec: ModelSpec,
    recipe: Recipe,
    source_sha256: str,
    ranges: Ranges | None = None,
    calibration: Calibration | None = None,
    *,
    batch: int = 1,
    takes_pixels: bool = True,
) -> Artifact:
    """Convert a folded graph; nothing is written.

    Args:
        path: where the artifact is going to live.
        graph: folded.
        spec: of the trained model.
        recipe: how precisely.
        source_sha256: of the trained model's file.
        ranges: from calibration, where the recipe needs them.
        calibration: the images behind them.
        batch: images per call.
        takes_pixels: uint8 images in, with transposition, inversion, scale and offset inside the artifact. Without it,
            and for images that are standardised or go through a user's function, the network's own float32 input.

    Raises:
        ModelSpecError: the spec does not describe this graph.
        ConversionError: the conversion is not possible, or gave something that must not be shipped.
    """
    check_spec(spec, graph)
    image = _taken(spec.input, takes_pixels)
    payload = to_tflite(graph, image, recipe, ranges, batch)
    check_payload(payload)
    facts = _facts("tflite", recipe, batch, payload, source_sha256, calibration if recipe.needs_calibration else None)
    return _described(path, payload, spec, facts, image, SIGMOID_OUT if recipe.head == "static" else None)


def make_onnx(
    path: Path, graph: Graph, spec: ModelSpec, recipe: Recipe, source_sha256: str, *, takes_pixels: bool = True
) -> Artifact:
    """Convert a folded graph; nothing is written. Arguments as in `make_tflite`; the file takes any number of images.

    Raises:
        ModelSpecError: the spec does not describe this graph.
        ConversionError: the conversion is not possible.
        BackendUnavailable: the package `onnx` is not installed.
    """
    check_spec(spec, graph)
    try:
        from .onnx.to_onnx import to_onnx
    except ImportError as error:
        raise BackendUnavailable(
            f"{path.name}: ONNX is written with the package onnx ({error}); pip install 'edge-crnn[onnx]'"
        ) from error
    image = _taken(spec.input, takes_pixels)
    payload = to_onnx(graph, recipe, image)
    facts = _facts("onnx", recipe, 1, payload, source_sha256, None)
    return _described(path, payload, spec, facts, image)


def _taken(image: InputSpec, pixels: bool) -> InputSpec:
    """Return the file's input: pixels if `pixels` is true and they suffice, otherwise the network's own input."""
    return replace(image, dtype="uint8" if pixels and image.affine else "float32")


def _described(
    path: Path,
    payload: bytes,
    spec: ModelSpec,
    facts: ArtifactFacts,
    image: InputSpec,
    quantisation: Quantisation | None = None,
) -> Artifact:
    if image.dtype == "uint8":
        image = replace(image, axes="HWC")  # it transposes itself
    output = replace(spec.output, quantisation=quantisation)
    described = replace(spec, input=image, output=output, artifact=facts, parity=None, lambdas=None)
    return Artifact(path, described, payload)


def _facts(
    kind: Literal["tflite", "onnx"],
    recipe: Recipe,
    batch: int,
    payload: bytes,
    source_sha256: str,
    calibration: Calibration | None,
) -> ArtifactFacts:
    tools = (_WRITERS[kind], "numpy")
    return ArtifactFacts(
        format=kind,
        recipe=recipe.name,
        batch=batch,
        payload_sha256=sha256(payload),
        source_sha256=source_sha256,
        calibration=calibration,
        float_layers=recipe.float_layers or None,
        tools={"edge-crnn": __version__, **{tool: version(tool) for tool in tools}},
    )


def check_spec(spec: ModelSpec, graph: Graph) -> None:
    """Refuse a spec of another network.

    Raises:
        ModelSpecError: input or output differ.
    """
    steps, classes = graph.output_shape
    stated = (spec.input.shape, OutputSpec(spec.output.steps, spec.output.classes))
    if stated != (graph.input_shape, OutputSpec(steps, classes)):
        raise ModelSpecError(
            f"spec of {spec.name!r}: input {spec.input.shape} and {spec.output.steps} steps of {spec.output.classes}"
            f" classes; the network takes {graph.input_shape} and gives {steps} steps of {classes}: mend the spec"
        )


def check_payload(payload: bytes) -> None:
    """Refuse a TFLite file with a custom or Flex op, state between calls, a missing weight, or an op of no use.

    LiteRT before 2.1 crashes on the latter.

    Raises:
        ConversionError: it has one.
    """
    model = schema.ModelT.InitFromPackedBuf(payload, 0)
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "unknown") for code in model.operatorCodes]
    if bad := sorted({code for code in codes if code in _STATEFUL or code == "unknown" or code.endswith("LSTM")}):
        raise ConversionError(f"the result has the ops {', '.join(bad)}, expected stateless builtin ops only")
    for subgraph in model.subgraphs:
        filled = {int(index) for op in subgraph.operators for index in op.outputs} | set(map(int, subgraph.inputs))
        used = {int(index) for op in subgraph.operators for index in op.inputs} | set(map(int, subgraph.outputs))
        for index in sorted(used - filled - {-1}):
            tensor = subgraph.tensors[index]
            data = model.buffers[tensor.buffer].data
            if data is None or len(data) == 0:
                raise ConversionError(
                    f"tensor {tensor.name.decode()!r} has no value: no op computes it, and no weight is stored"
                )
        for op in subgraph.operators:
            if used.isdisjoint(map(int, op.outputs)):
                raise ConversionError(f"no op uses the tensor {subgraph.tensors[op.outputs[0]].name.decode()!r}")
