"""Lowers a graph to ONNX, in float32 or typed float16.

The file uses opset 17, the newest that TensorRT 8.6 parses completely. Convolutions run channels first (see
`layouts`), and `lowering` lists how each primitive is written. A recurrent layer becomes one `LSTM` or `GRU` op, which
engines run as one kernel; a written-out recurrence would be thousands of nodes.

Half precision is in the types of the file itself, both weights and activations. A flag of the engine would not do:
TensorRT 11 has none any more, and older versions may ignore it silently. The softmax is always float32, and so are a
float input and the output, so that a caller need not know the recipe. Intermediate results that float16 cannot hold,
such as a norm's sums, are float32 too. ONNX Runtime has hardly any float16 kernels for a CPU and puts casts around
float32 kernels; this is no faster than float32, and rounds and overflows less than a GPU does (see `graph.half`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import InputSpec

from ..graph.graph import INPUT, Graph
from ..graph.nodes import Shape
from ..recipe import ONNX_RECIPES, Recipe
from .lowering import lower
from .writer import FLOAT, IMAGE, PROBABILITIES, Writer

_OPSET = 17
_IR_VERSION = 8  # the one that came with opset 17: an older engine refuses the file by it


def to_onnx(graph: Graph, recipe: Recipe = ONNX_RECIPES["float32"], image: InputSpec | None = None) -> bytes:
    """Return the ONNX file of a graph: `image` → `probabilities` (N, steps, classes) float32; N is free.

    Args:
        graph: the graph, folded or not, which is lowered as it is.
        recipe: one of `ONNX_RECIPES`, perhaps with layers in float32.
        image: the file's input. uint8: (N, height, width, channels) pixels, which are already turned; the file
            transposes, inverts, scales and shifts them. float32 or None: (N, *graph.input_shape) as the network takes
            it.

    Raises:
        ConversionError: the image does not fit the network, a weight exceeds float16, or the result is not valid ONNX.
    """
    if image is not None and image.shape != graph.input_shape:
        raise ConversionError(
            f"the spec's input is {image.shape}, the network takes {graph.input_shape}; mend the spec"
        )
    writer = Writer()
    taken, value = _input(writer, graph, image)
    value = lower(writer, graph, recipe, value)
    if not writer.operations or writer.operations[-1].output[0] != value:
        writer.add("Identity", PROBABILITIES, [value])
    writer.operations[-1].output[0] = PROBABILITIES
    return _finish(graph, writer, taken)


def _input(writer: Writer, graph: Graph, image: InputSpec | None) -> tuple[Any, str]:
    """Return the file's input, and the network's own float32 input made from it."""
    if image is None or image.dtype == "float32":
        return _value(IMAGE, FLOAT, graph.input_shape), IMAGE
    # The cast comes first: it is all that TensorRT lets a uint8 value go into.
    x = writer.add("Cast", INPUT, [IMAGE], to=FLOAT)
    if image.axes == "WHC":
        x = writer.add("Transpose", INPUT, [x], perm=(0, 2, 1, 3))
    scale, offset = image.scaling
    x = writer.add("Mul", INPUT, [x, writer.weight(INPUT, "scale", np.array(scale), half=False)])
    x = writer.add("Add", INPUT, [x, writer.weight(INPUT, "offset", np.array(offset), half=False)])
    width, height = image.turned
    return _value(IMAGE, onnx.TensorProto.UINT8, (height, width, image.channels)), x


def _value(name: str, kind: int, shape: Shape) -> Any:
    return onnx.helper.make_tensor_value_info(name, kind, ("N", *shape))


def _finish(graph: Graph, writer: Writer, taken: Any) -> bytes:
    probabilities = _value(PROBABILITIES, FLOAT, graph.output_shape)
    body = onnx.helper.make_graph(writer.operations, "crnn", [taken], [probabilities], writer.constants)
    opset = onnx.helper.make_opsetid("", _OPSET)
    model = onnx.helper.make_model(body, producer_name="edge-crnn", opset_imports=[opset], ir_version=_IR_VERSION)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the ONNX graph is not valid ({error}); this is a defect of edge-crnn") from error
    return bytes(model.SerializeToString())
