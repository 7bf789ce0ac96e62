"""The network's input, made of the pixels that a file takes: transposed, scaled and shifted inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge_crnn.model.spec import InputSpec, Quantisation

from ..graph.graph import INPUT, Graph
from ..graph.nodes import Affine, Conv, Dense, Node, Permute, Pool, Reshape, Resize, Reverse, Slice
from .ops import Ops
from .writer import Tensor

IMAGE = "image"
"""Name of what the file takes."""

_SHIFTABLE = (Conv, Dense, Affine)
_PASSING = (Permute, Pool, Reshape, Resize, Reverse, Slice)
"""Nodes that give the shifted result of a shifted value."""


def network_input(ops: Ops, image: InputSpec, batch: int, may_shift: bool) -> tuple[Tensor, Tensor, float]:
    """The pixels, the network's input made of them, and a constant that the latter lacks (see `take_up`)."""
    main = ops.subgraph
    zero_point = round(-image.offset / image.scale)
    shift = image.offset + image.scale * zero_point
    # In int8, pixel p is p - 128 at the same scale: no arithmetic at all. Only the zero point has to be whole.
    as_they_are = ops.static and image.scale > 0 and 0 <= zero_point <= 255 and (may_shift or shift == 0)
    quantisation = Quantisation(image.scale, zero_point) if as_they_are else None
    pixels = main.tensor(IMAGE, (batch, image.height, image.width, image.channels), "uint8", quantisation)
    upright = ops.transpose("input:transposed", pixels, (0, 2, 1, 3)) if image.axes == "WHC" else pixels
    if as_they_are:
        integers = main.tensor(INPUT, upright.shape, "int8", Quantisation(image.scale, zero_point - 128))
        return pixels, ops.op("QUANTIZE", [upright], integers, schema.QuantizeOptionsT()), shift
    plain = Ops(main, "float32")
    real = main.tensor("input:real", upright.shape)
    options = schema.CastOptionsT(inDataType=schema.TensorType.UINT8, outDataType=schema.TensorType.FLOAT32)
    plain.op("CAST", [upright], real, options)
    scaled = plain.binary("MUL", "input:scaled", real, plain.number("input/scale", image.scale))
    return pixels, plain.binary("ADD", INPUT, scaled, plain.number("input/offset", image.offset)), 0.0


def shift_takers(graph: Graph) -> frozenset[str] | None:
    """The nodes that can take up a shift of the input, if all do that it comes to; else None."""
    shifted, takers = {INPUT}, set()
    for node in graph.nodes:
        if shifted.isdisjoint(node.inputs):
            continue
        if isinstance(node, _SHIFTABLE):
            takers.add(node.name)
        elif isinstance(node, _PASSING):
            shifted.add(node.name)
        else:
            return None
    return None if graph.output in shifted else frozenset(takers)


def take_up(node: Node, shift: float) -> Node:
    """The node for an input that lacks the constant `shift`; exact but for windows that reach into the padding.

    With pixels scaled to -1..1 the shift is half a grey level.
    """
    if isinstance(node, Affine):
        return replace(node, shift=node.shift + np.float32(shift) * node.scale)
    assert isinstance(node, Conv | Dense)
    over_inputs = tuple(range(node.kernel.ndim - 1))
    return replace(node, bias=node.bias + np.float32(shift) * node.kernel.sum(axis=over_inputs))
