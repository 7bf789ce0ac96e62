"""graph → TFLite, builtin ops only.

The file takes pixels (transposition, scale and offset inside) or the network's own float32 input, and gives
probabilities. How a recurrent layer is written is told in `recurrent`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import InputSpec, Quantisation

from ..graph.layers import Activation, Affine, Conv, Dense, Graph, Layer, Permute, Pool, Recurrent, Reshape, Shape
from ..graph.ranges import Ranges
from ..recipe import Recipe
from .ops import FUSED, Ops
from .recurrent import recurrent
from .writer import Subgraph, Tensor, Writer

SIGNATURE, IMAGE, PROBABILITIES = "read", "image", "probabilities"

_SHIFTABLE = (Conv, Dense, Affine)
_MOVERS = (Permute, Pool, Reshape)


def to_tflite(graph: Graph, image: InputSpec, recipe: Recipe, ranges: Ranges | None = None, batch: int = 1) -> bytes:
    """The TFLite file of a graph.

    Args:
        graph: folded or not; every layer is lowered as it stands. The last one must be a softmax.
        image: what the file takes. dtype uint8: (batch, height, width, channels) pixels; float32: (batch,
            *graph.input_shape) as the network takes it.
        recipe: precisions, and the form of the recurrence.
        ranges: of the graph's values, from `graph.ranges.calibrate`; needed where the recipe says so.
        batch: images per call, fixed in the file.

    Raises:
        ConversionError: ranges are missing, or a layer has no lowering in this recipe.
    """
    if recipe.needs_calibration and not ranges:
        raise ConversionError(f"recipe {recipe.name} needs calibration images; give --calibration DIR")
    if image.shape != graph.input_shape:
        raise ConversionError(
            f"the spec's input is {image.shape}, the network takes {graph.input_shape}; mend the spec"
        )
    writer = Writer(f"edge-crnn {recipe.name}")
    main = writer.subgraph("main")
    stack, head = Ops(main, recipe.stack, ranges), Ops(main, recipe.head, ranges)
    plain = Ops(main, "float32", ranges)
    layers = list(graph.shapes())
    if image.dtype == "uint8":
        taken, x, shift = _pixels(stack, image, batch, _takes_up_a_shift(graph))
    else:
        taken, x, shift = _values(main, graph, batch)

    part, name = stack, "input"
    for layer, _, shape in layers:
        if isinstance(layer, Recurrent):
            part = head
        # What only moves values leaves them as they come, or two float layers around a pool would not be joined.
        moved = recipe.float_layers and isinstance(layer, _MOVERS) and x.dtype == "float32"
        ops = plain if moved or layer.name in recipe.float_layers else part
        if isinstance(layer, _SHIFTABLE) and shift:
            layer, shift = _take_up(layer, shift), 0.0
        x = _lower(ops, layer, ops.enter(x, name), (batch, *shape), writer, recipe)
        name = layer.name
    x = head.enter(x, name)  # int8 still, where there is no recurrent layer
    main.bind([taken], [x])
    return writer.finish(SIGNATURE, {IMAGE: taken}, {PROBABILITIES: x})


def _values(main: Subgraph, graph: Graph, batch: int) -> tuple[Tensor, Tensor, float]:
    taken = main.tensor(IMAGE, (batch, *graph.input_shape))
    return taken, taken, 0.0


def _pixels(ops: Ops, image: InputSpec, batch: int, may_shift: bool) -> tuple[Tensor, Tensor, float]:
    """The pixels, the network's input made of them, and a constant that the latter lacks (see `_take_up`)."""
    main = ops.subgraph
    zero_point = round(-image.offset / image.scale)
    shift = image.offset + image.scale * zero_point
    # In int8, pixel p is p - 128 at the same scale: no arithmetic at all. Only the zero point has to be whole.
    as_they_are = ops.precision == "static" and image.scale > 0 and 0 <= zero_point <= 255 and (may_shift or shift == 0)
    quantisation = Quantisation(image.scale, zero_point) if as_they_are else None
    pixels = main.tensor(IMAGE, (batch, image.height, image.width, image.channels), "uint8", quantisation)
    upright = ops.transpose("input:transposed", pixels, (0, 2, 1, 3)) if image.axes == "WHC" else pixels
    if as_they_are:
        given = main.tensor("input", upright.shape, "int8", Quantisation(image.scale, zero_point - 128))
        main.op("QUANTIZE", [upright], [given], schema.QuantizeOptionsT(), 2)
        return pixels, given, shift
    plain = Ops(main, "float32", None)
    real = main.tensor("input:real", upright.shape)
    options = schema.CastOptionsT(inDataType=schema.TensorType.UINT8, outDataType=schema.TensorType.FLOAT32)
    main.op("CAST", [upright], [real], options)
    scaled = plain.binary(
        "MUL", "input:scaled", real, main.constant("input/scale", np.array([image.scale], np.float32))
    )
    offset = main.constant("input/offset", np.array([image.offset], np.float32))
    return pixels, plain.binary("ADD", "input", scaled, offset), 0.0


def _takes_up_a_shift(graph: Graph) -> bool:
    """Whether the first layer that does more than to move or to choose values is one that `_take_up` knows."""
    return isinstance(next((each for each in graph.layers if not isinstance(each, _MOVERS)), None), _SHIFTABLE)


def _take_up(layer: Conv | Dense | Affine, shift: float) -> Conv | Dense | Affine:
    """The layer for an input that lacks the constant `shift`; exact but for windows that reach into the padding.

    With pixels scaled to -1..1 the shift is half a grey level.
    """
    if isinstance(layer, Affine):
        return replace(layer, shift=layer.shift + np.float32(shift) * layer.scale)
    over_inputs = tuple(range(layer.kernel.ndim - 1))
    return replace(layer, bias=layer.bias + np.float32(shift) * layer.kernel.sum(axis=over_inputs))


def _lower(ops: Ops, layer: Layer, x: Tensor, shape: Shape, writer: Writer, recipe: Recipe) -> Tensor:
    match layer:
        case Conv() | Dense() if layer.activation not in FUSED:
            if ops.precision == "static":
                raise ConversionError(f"layer {layer.name!r}: int8 needs its {layer.activation} as a layer of its own")
            linear = replace(layer, name=f"{layer.name}:linear", activation="linear")
            return ops.activate(layer.name, layer.activation, _lower(ops, linear, x, shape, writer, recipe))
        case Conv():
            return ops.conv(
                layer.name, x, layer.kernel, layer.bias, layer.strides, layer.padding, layer.activation, shape
            )
        case Dense():
            return ops.matmul(layer.name, x, layer.kernel, layer.bias, layer.activation)
        case Pool():
            return ops.pool(layer.name, x, layer.kind, layer.size, layer.strides, layer.padding, shape)
        case Affine():
            return ops.affine(layer.name, x, layer.scale, layer.shift)
        case Activation():
            return ops.activate(layer.name, layer.function, x)
        case Reshape():
            return ops.reshape(layer.name, x, shape)
        case Permute():
            return ops.transpose(layer.name, x, (0, *(axis + 1 for axis in layer.axes)))
        case Recurrent():
            return recurrent(ops, layer, x, writer, recipe.form)
