"""Lowers a graph node by node: chooses precision and layout, and writes the operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from ..graph.graph import INPUT, Graph
from ..graph.nodes import (
    MOVERS,
    Affine,
    Binary,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Function,
    MatMul,
    Node,
    Normalise,
    Pad,
    Permute,
    Pool,
    PRelu,
    Recurrent,
    Reduce,
    Reshape,
    Resize,
    Reverse,
    Slice,
    Softmax,
    SpatialTransform,
    Unary,
)
from ..recipe import Recipe
from . import elements, maps, moves, recurrent
from .layouts import channels_first, takes_channels_first
from .writer import PROBABILITIES, Form, Place, Value, Writer

Lowering: TypeAlias = Callable[..., str]
"""Takes the place, the node and the tensors of its inputs; gives the tensor of its value."""

LOWERINGS: Mapping[type[Node], Lowering] = {
    Affine: elements.affine,
    Binary: elements.binary,
    Concat: moves.concat,
    Conv: maps.conv,
    ConvTranspose: maps.conv_transpose,
    Dense: elements.dense,
    MatMul: elements.matmul,
    Normalise: elements.normalise,
    Pad: moves.pad,
    Permute: moves.permute,
    Pool: maps.pool,
    PRelu: elements.prelu,
    Recurrent: recurrent.recurrent,
    Reduce: elements.reduce,
    Reshape: moves.reshape,
    Resize: maps.resize,
    Reverse: moves.reverse,
    Slice: moves.slice_,
    Softmax: elements.softmax,
    SpatialTransform: maps.spatial_transform,
    Unary: elements.unary,
}
"""All primitives except `Constant`, which is stored in the forms that nodes take."""

_WIDE_FUNCTIONS: frozenset[Function] = frozenset({"exp", "log", "mish", "rsqrt", "softplus", "sqrt", "square"})
"""Functions whose values or intermediate results may leave the range of float16 although their inputs do not."""


def lower(writer: Writer, graph: Graph, recipe: Recipe, image: str) -> str:
    """Write all nodes, and return the tensor of the output: float32, in the graph's axes, for every sample.

    Args:
        writer: the file that the nodes are added to.
        graph: the graph, which is lowered as it is.
        recipe: one of `ONNX_RECIPES`, perhaps with layers in float32.
        image: the tensor of the graph's input.
    """
    return _Lowering(writer, graph, recipe, image).run()


def computes_in_float32(node: Node) -> bool:
    """Return whether a node is always computed in float32, since float16 has too few digits or too small a range."""
    match node:
        case Softmax() | Normalise() | SpatialTransform():
            return True
        case Reduce(mode=mode):
            return mode in ("mean", "sum")
        case Unary(function=function):
            return function in _WIDE_FUNCTIONS
        case _:
            return False


class _Lowering:
    def __init__(self, writer: Writer, graph: Graph, recipe: Recipe, image: str) -> None:
        self._writer = writer
        self._graph = graph
        self._recipe = recipe
        self._first = channels_first(graph)
        self._values = {INPUT: Value(Form(), {Form(): image})}
        self._image = image
        self._batch: str | None = None

    def run(self) -> str:
        for node in self._graph.nodes:
            self._values[node.name] = self._lower(node)
        return self._end()

    def _lower(self, node: Node) -> Value:
        if isinstance(node, Constant):
            return Value(Form(), {}, per_sample=False, constant=node.value)
        values = [self._values[name] for name in node.inputs]
        half = self._is_half(node, values)
        first = takes_channels_first(node, self._graph, self._first)
        if _is_identity(node):
            return self._values[node.inputs[0]]
        tensors = [self._take(node.name, name, half, first) for name in node.inputs]
        per_sample = any(value.per_sample for value in values)
        if isinstance(node, Concat | SpatialTransform) and per_sample:
            tensors = [
                tensor if value.per_sample else self._repeat(node.name, tensor, len(self._graph.shapes[name]))
                for tensor, value, name in zip(tensors, values, node.inputs, strict=True)
            ]
        gives_first = node.name in self._first
        place = Place(self._writer, node.name, self._graph.input_shapes(node), half, first, gives_first)
        form = Form(half, gives_first)
        return Value(form, {form: LOWERINGS[type(node)](place, node, *tensors)}, per_sample)

    def _is_half(self, node: Node, values: list[Value]) -> bool:
        """Return whether a node is float16; a node that computes nothing keeps the precision of its inputs.

        The network's input is the exception: it becomes float16 as early as possible.
        """
        recipe = self._recipe
        if node.name in recipe.float_layers or computes_in_float32(node):
            return False
        precisions = {value.origin.half for value in values if value.constant is None}
        moves = isinstance(node, (*MOVERS, Pool)) and (bool(recipe.float_layers) or INPUT not in node.inputs)
        if (moves or _is_identity(node)) and len(precisions) == 1:
            return precisions.pop()
        return (recipe.head if node.name in self._graph.head else recipe.stack) == "half"

    def _take(self, node: str, name: str, half: bool, first: bool) -> str:
        form = Form(half, first and len(self._graph.shapes[name]) == 3)
        return self._values[name].take(self._writer, node, form, name)

    def _repeat(self, node: str, tensor: str, rank: int) -> str:
        """Repeat a value without a batch for every image."""
        if self._batch is None:
            shape = self._writer.add("Shape", INPUT, [self._image])
            place = self._writer.integers(INPUT, "axis", [0])
            self._batch = self._writer.add("Gather", INPUT, [shape, place], axis=0)
        ones = self._writer.integers(node, "ones", [1] * rank)
        shape = self._writer.add("Concat", node, [self._batch, ones], axis=0)
        return self._writer.add("Expand", node, [tensor, shape])

    def _end(self) -> str:
        name = self._graph.output
        value = self._values[name]
        value.take(self._writer, PROBABILITIES, Form(value.origin.half), name)  # transposed where it is smaller
        tensor = value.take(self._writer, PROBABILITIES, Form(), name)
        return tensor if value.per_sample else self._repeat(PROBABILITIES, tensor, len(self._graph.output_shape))


def _is_identity(node: Node) -> bool:
    return isinstance(node, Unary) and node.function == "linear"
