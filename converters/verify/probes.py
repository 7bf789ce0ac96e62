"""The values of a graph's nodes inside an artifact, by the engine that runs it.

Engines show what a file gives, so in a copy of it every node's tensor is an output, and the copy is run instead:

- `.tflite`, in memory, by LiteRT with the kernels that ship. (It can keep all tensors without that, but only without
  XNNPACK, whose kernels round otherwise: in int8 by one or two steps at nearly every layer.)
- `.onnx`, in memory, by ONNX Runtime.
- `.engine`: TensorRT shows nothing inside an engine that is built. A second one is built of the same `.onnx`, by the
  same options, with the outputs marked, as `polygraphy run --trt-outputs mark all` does; it takes as long as the first
  build did, and memory for all values of the largest batch. An output keeps TensorRT from fusing across it, and kernels
  are chosen anew, so that these are values of a less fused engine: what only a fusion breaks, it does not show.
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
"""A batch as the artifact takes it → the value of each node that has a tensor in it, real and in the graph's axes."""


@contextmanager
def probing(artifact: Artifact, graph: Graph, image: InputSpec) -> Iterator[Probe]:
    """A probe into an artifact.

    Args:
        artifact: of any kind that is converted to.
        graph: what it was made of, folded.
        image: what the graph takes, in float32.

    Raises:
        VerificationError: none of the graph's nodes is in it by name.
        InputError: the `.onnx` that an engine was built of is not there.
        ArtifactError: an engine does not tell how it was built.
        BackendUnavailable: its engine, or for an `.onnx` or `.engine` the package `onnx`, is not installed.
        BackendError: the engine does not take the copy.
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
    """The nodes whose values are computed from something; a constant is part of what takes it."""
    return [node for node in graph.nodes if not isinstance(node, Constant)]


def _refuse_none(artifact: Artifact, graph: Graph, tensors: Mapping[str, object]) -> None:
    if tensors:
        return
    names = [node.name for node in computed(graph)]
    told = names if len(names) <= _NAMED else [*names[:_NAMED], f"… ({len(names)} in all)"]
    raise VerificationError(
        f"{artifact.path}: none of the layers {', '.join(told)} is in it by name; convert the model again"
    )


def _in_litert(artifact: Artifact, graph: Graph) -> Probe:
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    from ..tflite.writer import pack

    model = schema.ModelT.InitFromPackedBuf(artifact.payload, 0)
    main = model.subgraphs[0]
    made = {main.tensors[index].name.decode(): int(index) for op in main.operators for index in op.outputs}
    tensors = {node.name: made[name] for node in computed(graph) for name in _tensor_names(node) if name in made}
    _refuse_none(artifact, graph, tensors)
    ends = [int(index) for index in main.outputs]
    main.outputs = [*ends, *dict.fromkeys(index for index in tensors.values() if index not in ends)]
    interpreter = Interpreter(model_content=pack(model), num_threads=1)
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]["index"]
    quantisations = {told["index"]: told["quantization"] for told in interpreter.get_output_details()}

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
    """What a node's value may be called in a `.tflite`, the last one that is there being it."""
    if isinstance(node, Recurrent) and len(node.cells) == 1:  # nothing to merge: the direction's value is the node's
        return [f"{node.name}/{node.cells[0][0]}/hidden:samples", node.name]
    return [node.name]


@dataclass(frozen=True)
class _Marked:
    """An ONNX file that gives every node's value."""

    payload: bytes
    tensors: dict[str, str]
    """Node → output."""
    added: tuple[str, ...]
    """Outputs that the file itself does not have."""
    channels_first: frozenset[str]
    """Nodes whose values are."""

    def values(self, given: Mapping[str, npt.NDArray[Any]]) -> dict[str, Array]:
        """Node → value, of what each output gives."""
        return {
            node: np.asarray(
                given[name].transpose(0, 2, 3, 1) if node in self.channels_first else given[name], np.float32
            )
            for node, name in self.tensors.items()
        }


def _marked(artifact: Artifact, payload: bytes, graph: Graph) -> _Marked:
    """A copy of an ONNX file."""
    try:
        import onnx

        from ..onnx.layouts import channels_first
    except ImportError as error:
        raise BackendUnavailable(
            f"{artifact.path.name}: looking into it takes the package onnx ({error}); pip install 'edge-crnn[onnx]'"
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
    options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
    options.log_severity_level = _ONNX_QUIET
    session = onnxruntime.InferenceSession(marked.payload, options, ["CPUExecutionProvider"])
    image, names = session.get_inputs()[0].name, [*marked.tensors.values()]
    return lambda batch: marked.values(dict(zip(names, session.run(names, {image: batch}), strict=True)))


@contextmanager
def _in_tensorrt(engine: Artifact, graph: Graph, image: InputSpec) -> Iterator[Probe]:
    from edge_crnn.backends.tensorrt.engine import TrtBackend
    from edge_crnn.backends.tensorrt.process import make_engine, options_of

    options = options_of(engine)
    marked = _marked(engine, _onnx_of(engine, graph, image), graph)
    with TemporaryDirectory() as folder:
        # Of the `.onnx`'s spec, a build asks for what the engine's says as well.
        network, target = replace(engine, payload=marked.payload), Path(folder) / f"{engine.path.stem}-marked.engine"
        made = make_engine(network, target, options)
    with closing(TrtBackend(made, graphs=0, also=marked.added)) as backend:
        yield lambda batch: marked.values(backend.values(batch))


def _onnx_of(engine: Artifact, graph: Graph, image: InputSpec) -> bytes:
    """The network that an engine was built of: that of the `.onnx` beside it, or lowered anew; known by its hash."""
    facts = engine.spec.artifact
    assert facts is not None  # `artifact.load` sees to it
    wanted, beside = facts.tools.get("onnx sha256"), engine.path.with_suffix(".onnx")
    with suppress(ArtifactError, ModelSpecError):  # there is none, or none that is whole
        payload = load(beside).payload
        if sha256(payload) == wanted:
            return payload
    if facts.recipe in ONNX_RECIPES:
        from ..onnx.to_onnx import to_onnx

        recipe = replace(ONNX_RECIPES[facts.recipe], float_layers=tuple(facts.float_layers or ()))
        payload = to_onnx(graph, recipe, replace(image, dtype=engine.spec.input.dtype))
        if sha256(payload) == wanted:
            return payload
    raise InputError(
        f"{engine.path}: neither {beside.name} beside it nor what is converted from the model today is the network that"
        f" it was built of, SHA-256 {str(wanted)[:12]}…; put that .onnx beside it, or build it again"
    )
