"""Writes the nodes of a graph one after another. To lower another primitive, write its function and list it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from edge_crnn.errors import ConversionError

from ..graph import nodes
from ..graph.graph import INPUT, Graph, Ranges
from ..graph.nodes import Constant, Node
from ..recipe import Recipe
from . import elements, linear, maps, moves
from .ops import Ops
from .precision import floating, follows
from .quantisation import SIGMOID_OUT
from .recurrent import recurrent
from .sampler import spatial_transform
from .writer import Subgraph, Tensor

Lowering: TypeAlias = Callable[..., Tensor]
"""Ops, the node, the result's shape with the batch, the operands → the result, in the precision of the ops."""

LOWERINGS: Mapping[type[Node], Lowering] = {
    nodes.Affine: linear.affine,
    nodes.Binary: elements.binary,
    nodes.Concat: moves.concat,
    nodes.Conv: linear.conv,
    nodes.ConvTranspose: linear.conv_transpose,
    nodes.Dense: linear.dense,
    nodes.MatMul: linear.matmul,
    nodes.Normalise: elements.normalise,
    nodes.Pad: moves.pad,
    nodes.Permute: moves.permute,
    nodes.Pool: maps.pool,
    nodes.PRelu: elements.prelu,
    nodes.Recurrent: recurrent,
    nodes.Reduce: elements.reduce,
    nodes.Reshape: moves.reshape,
    nodes.Resize: maps.resize,
    nodes.Reverse: moves.reverse,
    nodes.Slice: moves.cut,
    nodes.Softmax: elements.softmax,
    nodes.SpatialTransform: spatial_transform,
    nodes.Unary: elements.unary,
}
"""All primitives except constants, which are written where they are used."""


_MOST_AXES = 6  # of XNNPACK


class Values:
    """The values of a graph as tensors of a subgraph, in the precisions that nodes need."""

    def __init__(self, graph: Graph, recipe: Recipe, main: Subgraph, ranges: Ranges, batch: int) -> None:
        self.stack = Ops(main, recipe.stack, ranges, recipe.form)
        self._head = Ops(main, recipe.head, ranges, recipe.form)
        self._plain = Ops(main, "float32")
        self._graph = graph
        self._batch = batch
        self._floating = floating(graph, recipe)
        self._tensors: dict[tuple[str, bool], Tensor] = {}
        """Keys are the name of a value and whether the tensor is int8."""

    def put(self, name: str, tensor: Tensor) -> None:
        """Register the tensor of a value."""
        self._tensors[name, tensor.dtype == "int8"] = tensor

    def lower(self, node: Node) -> None:
        """Write a node whose inputs are present.

        Raises:
            ConversionError: it has no lowering in this recipe, or more axes than LiteRT takes.
        """
        if isinstance(node, Constant):
            return
        ops = self._ops(node)
        operands = [self._take(name, ops) for name in node.inputs]
        shape = (self._batch, *self._graph.shapes[node.name])
        if len(shape) > _MOST_AXES:
            raise ConversionError(
                f"layer {node.name!r} gives {len(shape)} axes with the batch, and LiteRT takes {_MOST_AXES}; convert to"
                " ONNX, or join axes in the model"
            )
        self.put(node.name, LOWERINGS[type(node)](ops, node, shape, *operands))

    def output(self) -> Tensor:
        """Return the graph's output in the precision of the head; int8 probabilities have the scale of a softmax."""
        name = self._graph.output
        if not self._head.static:
            return self._take(name, self._head)
        value = self._tensors.get((name, True)) or self._take(name, self._plain)
        return self._head.requantised("output", value, SIGMOID_OUT)

    def _ops(self, node: Node) -> Ops:
        ops = self._head if node.name in self._graph.head else self.stack
        stays = ops.static and follows(node) and all(map(self._is_float, node.inputs))
        return self._plain if stays or node.name in self._floating else ops

    def _is_float(self, name: str) -> bool:
        return name != INPUT and (name, True) not in self._tensors

    def _take(self, name: str, ops: Ops) -> Tensor:
        """Return a value in the form that a precision needs, converted once."""
        key = name, ops.static
        if key not in self._tensors:
            node = self._graph.by_name.get(name)
            if isinstance(node, Constant):
                self._tensors[key] = ops.constant(name, node.value, self._batch)
            else:
                self._tensors[key] = ops.enter(self._tensors[name, not ops.static], name)
        return self._tensors[key]
