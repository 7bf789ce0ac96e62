"""Makes the network's input from pixels inside the file: transposes, inverts, scales and shifts them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge_crnn.model.spec import InputSpec, Quantisation

from ..graph.graph import INPUT, Graph
from ..graph.nodes import Affine, Conv, Dense, Node, Permute, Pool, Reshape, Resize, Reverse, Slice
from .ops import Ops
from .writer import Tensor

IMAGE = "image"
"""Name of the file's input."""

_WEIGHTED = (Conv, Dense, Affine)
_MOVING = (Permute, Reshape, Reverse, Slice)
"""Nodes that turn a negated value into the negated result, in its own quantisation."""
_PASSING = (*_MOVING, Pool, Resize)
"""Nodes that turn a shifted value into the shifted result."""


@dataclass(frozen=True)
class Lack:
    """The difference between the input tensor and what the network sees, which is sign · (tensor + shift).

    The layers that take the input make up for it in their weights, at no cost.
    """

    shift: float = 0.0
    sign: int = 1
    takers: frozenset[str] = frozenset()
    """Names of the layers that compensate for it."""

    def made_up(self, node: Node) -> Node:
        """Return a node that computes from the tensor what `node` computes from what the network sees.

        Exact but for windows that reach into the padding, where what the shift moves counts as zero. With pixels scaled
        to -1..1 the shift is half a grey level.
        """
        if node.name not in self.takers:
            return node
        if self.sign < 0:
            node = _negated(node)
        return _shifted(node, self.shift) if self.shift else node


def network_input(ops: Ops, image: InputSpec, batch: int, graph: Graph) -> tuple[Tensor, Tensor, Lack]:
    """Return the tensor of the pixels, the network's input, and the difference that its layers must make up for."""
    main = ops.subgraph
    width, height = image.turned
    exact = _exactly(image, graph) if ops.static else None
    quantisation = None if exact is None else exact[0]
    pixels = main.tensor(IMAGE, (batch, height, width, image.channels), "uint8", quantisation)
    upright = ops.transpose("input:transposed", pixels, (0, 2, 1, 3)) if image.axes == "WHC" else pixels
    if exact is not None:
        quantisation, lack = exact
        lower = Quantisation(quantisation.scale, quantisation.zero_point - 128)
        integers = main.tensor(INPUT, upright.shape, "int8", lower)
        return pixels, ops.op("QUANTIZE", [upright], integers, schema.QuantizeOptionsT()), lack
    plain = Ops(main, "float32")
    real = main.tensor("input:real", upright.shape)
    options = schema.CastOptionsT(inDataType=schema.TensorType.UINT8, outDataType=schema.TensorType.FLOAT32)
    plain.op("CAST", [upright], real, options)
    scale, offset = (np.atleast_1d(np.asarray(value, np.float32)) for value in image.scaling)
    scaled = plain.binary("MUL", "input:scaled", real, main.constant("input/scale", scale))
    return pixels, plain.binary("ADD", INPUT, scaled, main.constant("input/offset", offset)), Lack()


def _exactly(image: InputSpec, graph: Graph) -> tuple[Quantisation, Lack] | None:
    """Find an int8 form of the pixels, p - 128 at the same scale, that needs no arithmetic; None: there is none.

    The zero point has to be whole, and the scale positive; the layers behind make up for what that changes.
    """
    scale, offset = image.scaling
    if isinstance(scale, tuple) or isinstance(offset, tuple):
        return None
    zero_point = round(-offset / scale)
    sign = 1 if scale > 0 else -1
    lack = Lack(sign * (offset + scale * zero_point), sign)
    if not 0 <= zero_point <= 255:
        return None
    if lack != Lack():
        takers = input_takers(graph, _PASSING if sign > 0 else _MOVING)
        if takers is None:
            return None
        lack = replace(lack, takers=takers)
    return Quantisation(abs(scale), zero_point), lack


def input_takers(graph: Graph, passing: tuple[type[Node], ...] = _PASSING) -> frozenset[str] | None:
    """Return the nodes that compensate for a change of the input, if all nodes that it reaches can; otherwise None."""
    changed = {INPUT}
    takers = set()
    for node in graph.nodes:
        if changed.isdisjoint(node.inputs):
            continue
        if isinstance(node, _WEIGHTED):
            takers.add(node.name)
        elif isinstance(node, passing):
            changed.add(node.name)
        else:
            return None
    return None if graph.output in changed else frozenset(takers)


def _negated(node: Node) -> Node:
    if isinstance(node, Affine):
        return replace(node, scale=-node.scale)
    assert isinstance(node, Conv | Dense)
    return replace(node, kernel=-node.kernel)


def _shifted(node: Node, shift: float) -> Node:
    if isinstance(node, Affine):
        return replace(node, shift=node.shift + np.float32(shift) * node.scale)
    assert isinstance(node, Conv | Dense)
    over_inputs = tuple(range(node.kernel.ndim - 1))
    return replace(node, bias=node.bias + np.float32(shift) * node.kernel.sum(axis=over_inputs))
