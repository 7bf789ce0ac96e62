"""Reads the values of a graph's nodes inside an artifact, computed by the engine that runs it.

Engines show only the outputs of a file, so a copy is run in which every node's tensor is an output:

- `.tflite`, in memory, by LiteRT with the kernels that ship. (LiteRT can keep all tensors of the file itself, but only
  without XNNPACK, whose kernels round differently: in int8 by one or two steps at nearly every layer.)
- `.onnx`, in memory, by ONNX Runtime.
- `.engine`: TensorRT shows nothing inside an engine. A second engine is built from the same `.onnx`, with the same
  options and the outputs marked, as `polygraphy run --trt-outputs mark all` does. This takes as long as the first
  build, and memory for all values of the largest batch. TensorRT does not fuse across an output and chooses its kernels
  anew, so the second engine is fused less and does not show a fault that only fusion causes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_crnn.errors import ArtifactError, BackendUnavailable, InputError, ModelSpecError, VerificationError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import Artifact, load
from edge_crnn.model.spec import InputSpec

from ..graph.cells import Array
from ..graph.graph import Graph
from ..graph.nodes import Constant, Node, Recurrent
from ..recipe import ONNX_RECIPES

_ONNX_QUIET = 4  # only fatal errors: all others are raised as well
_NAMED = 20
"""Most layers that an error names."""

Batch: TypeAlias = npt.NDArray[Any]
Probe: TypeAlias = Callable[[Batch], dict[str, Array]]
"""Maps a batch, as the artifact takes it, to the real value of every node that has a tensor, in the graph's axes."""


@contextmanager
def probing(artifact: Artifact, graph: Graph, image: InputSpec) -> Iterator[Probe]:
    """Open a probe into an artifact.

    Args:
        artifact: a `.tflite`, `.onnx` or `.engine`.
        graph: the folded graph that it was converted from.
        image: the image that the graph takes, in float32.

    Raises:
        VerificationError: the artifact has no tensor with the name of a node.
        InputError: the `.onnx` that an engine was built from is missing.
        ArtifactError: an engine does not say how it was built.
        BackendUnavailable: its engine, or for an `.onnx` or `.engine` the package `onnx`, is not installed.
        BackendError: the engine rejects the copy.
    """
    match artifact.path.suffix:
        case ".tflite":
            yield _in_litert(artifact, graph)
        case ".onnx":
            yield _in_onnxruntime(_marked(artifact, artifact.payload, graph))
        case _:
            with _in_tensorrt(artifact, graph, image) as probe:
                yield probe


def computed(graph: Graph) -> list[Node]:
    """Return all nodes except constants, which are part of the nodes that take them."""
    return [node for node in graph.nodes if not isinstance(node, Constant)]


def _refuse_none(artifact: Artifact, graph: Graph, tensors: Mapping[str, object]) -> None:
    if tensors:
        return
    names = [node.name for node in computed(graph)]
    listed = names if len(names) <= _NAMED else [*names[:_NAMED], f"… ({len(names)} in all)"]
    raise VerificationError(
        f"{artifact.path}: has no tensor named after any of the layers {', '.join(listed)}; convert the model again"
    )


def _in_litert(artifact: Artifact, graph: Graph) -> Probe:
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    from ..tflite.writer import pack

    model = schema.ModelT.InitFromPackedBuf(artifact.payload, 0)
    main = model.subgraphs[0]
    results = {main.tensors[index].name.decode(): int(index) for op in main.operators for index in op.outputs}
    tensors = {node.name: results[name] for node in computed(graph) for name in _tensor_names(node) if name in results}
    _refuse_none(artifact, graph, tensors)
    ends = [int(index) for index in main.outputs]
    main.outputs = [*ends, *dict.fromkeys(index for index in tensors.values() if index not in ends)]
    interpreter = Interpreter(model_content=pack(model), num_threads=1)
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]["index"]
    quantisations = {detail["index"]: detail["quantization"] for detail in interpreter.get_output_details()}

    def value(index: int) -> Array:
        stored, (scale, zero_point) = interpreter.get_tensor(index), quantisations[index]
        real = stored.astype(np.float32)
        return np.asarray((real - np.float32(zero_point)) * np.float32(scale) if scale else real)

    def probe(batch: Batch) -> dict[str, Array]:
        interpreter.set_tensor(image, batch)
        interpreter.invoke()
        return {name: value(index) for name, index in tensors.items()}

    return probe


def _tensor_names(node: Node) -> list[str]:
    """Return the names that a node's value may have in a `.tflite`; the last one that exists holds it."""
    if isinstance(node, Recurrent) and len(node.cells) == 1:  # a single direction is not merged
        return [f"{node.name}/{node.cells[0][0]}/hidden:samples", node.name]
    return [node.name]


@dataclass(frozen=True)
class _Marked:
    """An ONNX file that outputs every node's value."""

    payload: bytes
    tensors: dict[str, str]
    """Node → output."""
    added: tuple[str, ...]
    """Outputs that the file itself does not have."""
    channels_first: frozenset[str]
    """Nodes whose values are channels first in the file."""

    def values(self, outputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, Array]:
        """Return the value of every node from the file's outputs."""
        values = {}
        for node, name in self.tensors.items():
            value = outputs[name]
            if node in self.channels_first:
                value = value.transpose(0, 2, 3, 1)
            values[node] = np.asarray(value, np.float32)
        return values


def _marked(artifact: Artifact, payload: bytes, graph: Graph) -> _Marked:
    """Return a copy of an ONNX file in which every node's value is an output."""
    try:
        import onnx

        from ..onnx.layouts import channels_first
    except ImportError as error:
        raise BackendUnavailable(
            f"{artifact.path.name}: comparing its layers needs the package onnx ({error}); pip install"
            " 'edge-crnn[onnx]'"
        ) from error
    model = onnx.load_model_from_string(payload)
    # An operation is named NODE/OPERATION, and the last one of a node gives its value.
    last = {operation.name.rpartition("/")[0]: operation.output[0] for operation in model.graph.node}
    tensors = {node.name: last[node.name] for node in computed(graph) if node.name in last}
    _refuse_none(artifact, graph, tensors)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    typed = {value.name: value for value in inferred.value_info}
    ends = {value.name for value in model.graph.output}
    added = tuple(name for name in tensors.values() if name not in ends)
    model.graph.output.extend(typed[name] for name in added)  # TensorRT takes no output without its type
    return _Marked(model.SerializeToString(), tensors, added, channels_first(graph))


def _in_onnxruntime(marked: _Marked) -> Probe:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ONNX_QUIET
    session = onnxruntime.InferenceSession(marked.payload, options, ["CPUExecutionProvider"])
    image = session.get_inputs()[0].name
    names = [*marked.tensors.values()]
    return lambda batch: marked.values(dict(zip(names, session.run(names, {image: batch}), strict=True)))


@contextmanager
def _in_tensorrt(engine: Artifact, graph: Graph, image: InputSpec) -> Iterator[Probe]:
    from edge_crnn.backends.tensorrt.engine import TrtBackend
    from edge_crnn.backends.tensorrt.process import make_engine, options_of

    options = options_of(engine)
    marked = _marked(engine, _onnx_of(engine, graph, image), graph)
    with TemporaryDirectory() as folder:
        # A build needs only those parts of the `.onnx`'s spec that the engine's spec has as well.
        network = replace(engine, payload=marked.payload)
        second = make_engine(network, Path(folder) / f"{engine.path.stem}-marked.engine", options)
    with closing(TrtBackend(second, graphs=0, also=marked.added)) as backend:
        yield lambda batch: marked.values(backend.values(batch))


def _onnx_of(engine: Artifact, graph: Graph, image: InputSpec) -> bytes:
    """Return the ONNX file that an engine was built from: the one beside it, or one lowered anew with the same hash."""
    facts = engine.spec.artifact
    assert facts is not None  # `artifact.load` makes sure of it
    expected = facts.tools.get("onnx sha256")
    beside = engine.path.with_suffix(".onnx")
    with suppress(ArtifactError, ModelSpecError):  # it is missing or damaged
        payload = load(beside).payload
        if sha256(payload) == expected:
            return payload
    if facts.recipe in ONNX_RECIPES:
        from ..onnx.to_onnx import to_onnx

        recipe = replace(ONNX_RECIPES[facts.recipe], float_layers=tuple(facts.float_layers or ()))
        payload = to_onnx(graph, recipe, replace(image, dtype=engine.spec.input.dtype))
        if sha256(payload) == expected:
            return payload
    raise InputError(
        f"{engine.path}: was built from an .onnx with SHA-256 {str(expected)[:12]}…, but neither {beside.name} nor a"
        " new conversion of the model has that hash; put that .onnx beside the engine, or build the engine again"
    )
