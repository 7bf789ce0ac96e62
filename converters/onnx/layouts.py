"""Decides which feature maps are channels first in the file, as a pure function of the graph.

Convolutions, pools and resizing run channels first. A node that works on elements or on mapped axes keeps the layout of
its inputs, so that nothing is transposed between the convolutions of a network.
"""

from __future__ import annotations

from ..graph.graph import Graph
from ..graph.nodes import (
    Affine,
    Binary,
    Concat,
    Conv,
    ConvTranspose,
    Node,
    Normalise,
    Pad,
    Pool,
    PRelu,
    Reduce,
    Reshape,
    Resize,
    Reverse,
    Shape,
    Slice,
    Unary,
)

TO_FIRST = (0, 3, 1, 2)
"""The permutation from (N, rows, columns, channels) to channels first."""
TO_LAST = (0, 2, 3, 1)
"""The permutation back."""

_FIRST = (Conv, ConvTranspose, Pool, Resize)
_EITHER = (Affine, Binary, Concat, Normalise, Pad, PRelu, Reverse, Slice, Unary)


def channels_first(graph: Graph) -> frozenset[str]:
    """Return the names of the nodes whose values are channels first."""
    taken_first = _taken_first(graph)
    first: set[str] = set()
    for node in graph.nodes:
        if len(graph.shapes[node.name]) == 3 and (
            isinstance(node, _FIRST)
            or (_takes_either(node, graph) and not first.isdisjoint(node.inputs))
            or (node.name in taken_first and (_takes_either(node, graph) or _gives_either(node)))
        ):
            first.add(node.name)
    return frozenset(first)


def takes_channels_first(node: Node, graph: Graph, first: frozenset[str]) -> bool:
    """Return whether a node takes its inputs channels first; `first` is the result of `channels_first`."""
    if isinstance(node, _FIRST):
        return True
    if isinstance(node, Reshape):
        return node.inputs[0] in first and _is_one_pixel(graph.shapes[node.inputs[0]])
    if not _takes_either(node, graph):
        return False
    return node.name in first or not first.isdisjoint(node.inputs)


def file_axis(axis: int, first: bool) -> int:
    """Return the axis in the file of a sample's axis; `first` says that the map is channels first."""
    return TO_FIRST.index(axis + 1) if first else axis + 1


def _taken_first(graph: Graph) -> set[str]:
    """Return the values that a node takes channels first, directly or through nodes that work in either layout."""
    taken: set[str] = set()
    for node in reversed(graph.nodes):
        if isinstance(node, _FIRST) or (node.name in taken and _takes_either(node, graph)):
            taken.update(node.inputs)
    return taken


def _takes_either(node: Node, graph: Graph) -> bool:
    """Return whether a node works in the layout of its inputs."""
    shapes = graph.input_shapes(node)
    if not shapes or len(shapes[0]) != 3:
        return False
    if isinstance(node, Reduce):
        # Otherwise the remaining axes would be in another order.
        return node.keepdims or 2 in node.axes or {0, 1} <= set(node.axes)
    return isinstance(node, _EITHER)


def _gives_either(node: Node) -> bool:
    return isinstance(node, Reshape) and _is_one_pixel(node.target)


def _is_one_pixel(shape: Shape) -> bool:
    """Return whether a map has a single pixel, so that both layouts have the same order of elements."""
    return len(shape) == 3 and shape[:2] == (1, 1)
