"""graph → ONNX, in float32 or typed float16.

Opset 17, the newest that TensorRT 8.6 parses whole. Convolutions run channels first; a recurrent layer becomes one
`LSTM` or `GRU` op, which engines run as one kernel, where a written-out recurrence would be thousands of nodes.

Half precision is in the types of the file itself, weights and activations, and not left to a flag of the engine:
TensorRT 11 has no such flag any more, and an older one may ignore it in silence. The softmax is float32 always, a float
input and the output too, so that whoever feeds the file need not know. ONNX Runtime has hardly any float16 kernel for a
CPU and puts casts around float32 ones: that is no faster than float32, and rounds and overflows less than a GPU does
(see `half`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import InputSpec

from ..graph.half import to_half
from ..graph.layers import (
    Activation,
    Affine,
    Array,
    Cell,
    Conv,
    Dense,
    Function,
    Graph,
    GruCell,
    Layer,
    LstmCell,
    Permute,
    Pool,
    Recurrent,
    Reshape,
    Shape,
)
from ..recipe import ONNX_RECIPES, Precision, Recipe

IMAGE, PROBABILITIES = "image", "probabilities"

_OPSET = 17
_IR_VERSION = 8  # the one that came with opset 17: an older engine refuses the file by it
_GATE_ORDER = (0, 3, 1, 2)  # Keras' i, f, g, o → ONNX' i, o, f, c
_GATE_FUNCTIONS = {"sigmoid": "Sigmoid", "hard_sigmoid_keras2": "HardSigmoid"}  # whose defaults are 0.2 and 0.5
_MERGES = {"average": "ReduceMean", "product": "ReduceProd"}
_FUNCTIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def to_onnx(graph: Graph, recipe: Recipe = ONNX_RECIPES["float32"], image: InputSpec | None = None) -> bytes:
    """The ONNX file of a graph, folded or not: `image` → `probabilities` (N, steps, classes) float32; N is free.

    Args:
        graph: every layer is lowered as it stands.
        recipe: one of `ONNX_RECIPES`.
        image: what the file takes. dtype uint8: (N, height, width, channels) pixels, transposed, scaled and shifted
            inside; float32, or None: (N, *graph.input_shape) as the network takes it.

    Raises:
        ConversionError: the image is not the network's, a weight is beyond float16, or the result is no valid ONNX.
    """
    if image is not None and image.shape != graph.input_shape:
        raise ConversionError(
            f"the spec's input is {image.shape}, the network takes {graph.input_shape}; mend the spec"
        )
    nodes = _Nodes()
    taken, value = _input(nodes, graph, image)
    precision, channels_first = recipe.stack, False
    for layer, shape, _ in graph.shapes():
        if isinstance(layer, Recurrent):
            precision = recipe.head
        if layer.name in recipe.float_layers:
            value = nodes.enter(layer.name, value, "float32")
        elif not (recipe.float_layers and _takes_what_comes(layer)):
            value = nodes.enter(layer.name, value, precision)
        wants = wants_channels_first(layer, shape)
        if wants != channels_first:
            axes = (0, 3, 1, 2) if wants else (0, 2, 3, 1)
            value = nodes.add("Transpose", layer.name, [value], perm=axes)
            channels_first = wants
        value = _lower(nodes, layer, value, shape)
    if channels_first:
        value = nodes.add("Transpose", PROBABILITIES, [value], perm=(0, 2, 3, 1))
    nodes.enter(PROBABILITIES, value, "float32")
    nodes.nodes[-1].output[0] = PROBABILITIES
    return _finish(graph, nodes, taken)


def wants_channels_first(layer: Layer, shape: Shape) -> bool:
    """Whether a layer takes an input of this shape, and gives its own value, channels first in the file."""
    return len(shape) == 3 and isinstance(layer, Conv | Pool | Affine)


def _takes_what_comes(layer: Layer) -> bool:
    return isinstance(layer, Permute | Pool | Reshape) or (
        isinstance(layer, Activation) and layer.function == "softmax"
    )


def _input(nodes: _Nodes, graph: Graph, image: InputSpec | None) -> tuple[Any, str]:
    """What the file takes, and the network's own float32 input made of it."""
    if image is None or image.dtype == "float32":
        return _value(IMAGE, onnx.TensorProto.FLOAT, graph.input_shape), IMAGE
    # The cast comes first: it is all that TensorRT lets a uint8 value go into.
    x = nodes.add("Cast", "input", [IMAGE], to=onnx.TensorProto.FLOAT)
    if image.axes == "WHC":
        x = nodes.add("Transpose", "input", [x], perm=(0, 2, 1, 3))
    x = nodes.add("Mul", "input", [x, nodes.weight("input", "scale", np.array(image.scale))])
    x = nodes.add("Add", "input", [x, nodes.weight("input", "offset", np.array(image.offset))])
    return _value(IMAGE, onnx.TensorProto.UINT8, (image.height, image.width, image.channels)), x


def _value(name: str, kind: int, shape: Shape) -> Any:
    return onnx.helper.make_tensor_value_info(name, kind, ("N", *shape))


def _finish(graph: Graph, nodes: _Nodes, taken: Any) -> bytes:
    given = _value(PROBABILITIES, onnx.TensorProto.FLOAT, graph.output_shape)
    body = onnx.helper.make_graph(nodes.nodes, "crnn", [taken], [given], nodes.constants)
    opset = onnx.helper.make_opsetid("", _OPSET)
    model = onnx.helper.make_model(body, producer_name="edge-crnn", opset_imports=[opset], ir_version=_IR_VERSION)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the ONNX graph is not valid ({error}); this is a defect of edge-crnn") from error
    return bytes(model.SerializeToString())


class _Nodes:
    """The nodes and constants so far; a node and its only result carry the same name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.half = False
        """Whether the value that flows, and the weights that meet it, are float16."""
        self._used: set[str] = set()

    def add(self, op: str, layer: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = self._name(f"{layer}/{op}")
        self.nodes.append(onnx.helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def constant(self, layer: str, what: str, value: npt.NDArray[Any]) -> str:
        name = self._name(f"{layer}/{what}")
        self.constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, layer: str, what: str, value: npt.NDArray[Any]) -> str:
        return self.constant(layer, what, to_half(f"{layer}/{what}", value) if self.half else value.astype(np.float32))

    def enter(self, layer: str, x: str, precision: Precision) -> str:
        """`x` as a layer of this precision takes it."""
        if self.half == (precision == "half"):
            return x
        self.half = not self.half
        return self.add("Cast", layer, [x], to=onnx.TensorProto.FLOAT16 if self.half else onnx.TensorProto.FLOAT)

    def integers(self, layer: str, what: str, *values: int) -> str:
        return self.constant(layer, what, np.array(values, np.int64))

    def _name(self, wish: str) -> str:
        name, number = wish, 2
        while name in self._used:
            name, number = f"{wish}:{number}", number + 1
        self._used.add(name)
        return name


def _lower(nodes: _Nodes, layer: Layer, x: str, shape: Shape) -> str:
    """`x` is channels first where a convolution, a pool or a norm takes a map, else as the graph has it."""
    name = layer.name
    match layer:
        case Conv():
            kernel = nodes.weight(name, "kernel", layer.kernel.transpose(3, 2, 0, 1))
            bias = nodes.weight(name, "bias", layer.bias)
            pads = _pads(layer.padding, shape, layer.kernel.shape[:2], layer.strides)
            x = nodes.add("Conv", name, [x, kernel, bias], strides=layer.strides, pads=pads)
            return _activate(nodes, name, layer.activation, x, axis=1)
        case Pool():
            settings: dict[str, Any] = {"kernel_shape": layer.size, "strides": layer.strides}
            settings["pads"] = _pads(layer.padding, shape, layer.size, layer.strides)
            if layer.kind == "max":
                return nodes.add("MaxPool", name, [x], **settings)
            return nodes.add("AveragePool", name, [x], count_include_pad=0, **settings)
        case Affine():
            per_channel = (-1,) if len(shape) < 3 else (-1, 1, 1)
            scale = nodes.weight(name, "scale", layer.scale.reshape(per_channel))
            shift = nodes.weight(name, "shift", layer.shift.reshape(per_channel))
            return nodes.add("Add", name, [nodes.add("Mul", name, [x, scale]), shift])
        case Activation():
            return _activate(nodes, name, layer.function, x, axis=-1)
        case Reshape():
            return nodes.add("Reshape", name, [x, nodes.integers(name, "shape", -1, *layer.shape)])
        case Permute():
            return nodes.add("Transpose", name, [x], perm=(0, *(axis + 1 for axis in layer.axes)))
        case Dense():
            product = nodes.add("MatMul", name, [x, nodes.weight(name, "kernel", layer.kernel)])
            x = nodes.add("Add", name, [product, nodes.weight(name, "bias", layer.bias)])
            return _activate(nodes, name, layer.activation, x, axis=-1)
        case Recurrent():
            return _recurrent(nodes, layer, x)


def _activate(nodes: _Nodes, name: str, function: Function, x: str, axis: int) -> str:
    """`axis` is the one of the channels."""
    if function == "linear":
        return x
    if function == "softmax":
        return nodes.add("Softmax", name, [nodes.enter(name, x, "float32")], axis=axis)
    if function == "relu6":
        bounds = [nodes.weight(name, what, np.array(value)) for what, value in (("min", 0), ("max", 6))]
        return nodes.add("Clip", name, [x, *bounds])
    return nodes.add(_FUNCTIONS[function], name, [x])


def _pads(padding: str, shape: Shape, size: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """Top, left, bottom, right; written out, since SAME_UPPER is deprecated and engines differ on it."""
    if padding == "valid":
        return (0, 0, 0, 0)
    totals = [
        max((-(-length // stride) - 1) * stride + window - length, 0)
        for length, window, stride in zip(shape, size, strides, strict=False)
    ]
    return (*(total // 2 for total in totals), *(total - total // 2 for total in totals))


def _recurrent(nodes: _Nodes, layer: Recurrent, x: str) -> str:
    """(N, T, in) → (N, T, out)."""
    name = layer.name
    by_step = nodes.add("Transpose", name, [x], perm=(1, 0, 2))
    groups = [layer.cells] if len({_form(cell) for _, cell in layer.cells}) == 1 else [(pair,) for pair in layer.cells]
    outputs = [_op(nodes, name, by_step, cells) for cells in groups]  # (T, directions, N, units)
    if len({cell.units for _, cell in layer.cells}) > 1:
        squeezed = [nodes.add("Squeeze", name, [each, nodes.integers(name, "axes", 1)]) for each in outputs]
        return nodes.add("Transpose", name, [nodes.add("Concat", name, squeezed, axis=-1)], perm=(1, 0, 2))
    hidden = outputs[0] if len(outputs) == 1 else nodes.add("Concat", name, outputs, axis=1)
    if len(layer.cells) == 1 or layer.merge == "concat":
        stacked = nodes.add("Transpose", name, [hidden], perm=(2, 0, 1, 3))
        width = sum(cell.units for _, cell in layer.cells)
        return nodes.add("Reshape", name, [stacked, nodes.integers(name, "shape", 0, 0, width)])
    if layer.merge == "sum":  # the only reduction whose axes are an input in this opset
        merged = nodes.add("ReduceSum", name, [hidden, nodes.integers(name, "axes", 1)], keepdims=0)
    else:
        merged = nodes.add(_MERGES[layer.merge], name, [hidden], axes=[1], keepdims=0)
    return nodes.add("Transpose", name, [merged], perm=(1, 0, 2))


def _form(cell: Cell) -> tuple[object, ...]:
    """What the directions of one op share: ONNX asks for the kind and the width, TensorRT for the functions too."""
    return type(cell), cell.units, isinstance(cell, GruCell) and cell.inner_bias is None, cell.recurrent_activation


def _op(nodes: _Nodes, name: str, x: str, cells: Sequence[tuple[str, Cell]]) -> str:
    """(T, N, in) → (T, directions, N, units); the cells are of one form."""
    first = cells[0][1]
    arrays = [_weights(cell) for _, cell in cells]
    constants = {what: np.stack([each[what] for each in arrays]) for what in arrays[0]}
    settings: dict[str, Any] = {}
    if isinstance(first, GruCell):
        settings["linear_before_reset"] = int(first.inner_bias is not None)
    rest = ["Tanh", "Tanh"] if isinstance(first, LstmCell) else ["Tanh"]
    return nodes.add(
        "LSTM" if isinstance(first, LstmCell) else "GRU",
        name,
        [x, *(nodes.weight(name, what, value) for what, value in constants.items())],
        hidden_size=first.units,
        direction="bidirectional" if len(cells) == 2 else {"forward": "forward", "backward": "reverse"}[cells[0][0]],
        activations=[each for _, cell in cells for each in (_GATE_FUNCTIONS[cell.recurrent_activation], *rest)],
        **settings,
    )


def _weights(cell: Cell) -> dict[str, Array]:
    """The constants of one direction, by ONNX' layout: rows are outputs, biases those of x W and then of h R."""
    match cell:
        case LstmCell():
            kernel, recurrent, bias = (_gates(each) for each in cell.weights)
            inner = np.zeros_like(bias)
        case GruCell():  # in ONNX' order, z, r, h, already
            kernel, recurrent, bias = cell.kernel, cell.recurrent, cell.bias
            inner = np.zeros_like(bias)
            if cell.inner_bias is not None:
                inner[2 * cell.units :] = cell.inner_bias
    return {"kernel": kernel.T, "recurrent": recurrent.T, "bias": np.concatenate([bias, inner])}


def _gates(weights: Array) -> Array:
    parts = np.split(weights, 4, axis=-1)
    return np.concatenate([parts[part] for part in _GATE_ORDER], axis=-1)
