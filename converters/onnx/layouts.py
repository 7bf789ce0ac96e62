"""Decides which feature maps are channels first in the file, as a pure function of the graph.

Convolutions, pools and resizing run channels first. What works on elements or on mapped axes stays in the layout that
its inputs have, so that between the convolutions of a network nothing is transposed.
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

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Permutations of (N, rows, columns, channels) and back."""

_FIRST = (Conv, ConvTranspose, Pool, Resize)
_EITHER = (Affine, Binary, Concat, Normalise, Pad, PRelu, Reverse, Slice, Unary)


def channels_first(graph: Graph) -> frozenset[str]:
    """Names of the nodes whose values are channels first."""
    wanted = _wanted_first(graph)
    first: set[str] = set()
    for node in graph.nodes:
        if len(graph.shapes[node.name]) == 3 and (
            isinstance(node, _FIRST)
            or (_takes_either(node, graph) and not first.isdisjoint(node.inputs))
            or (node.name in wanted and (_takes_either(node, graph) or _gives_either(node)))
        ):
            first.add(node.name)
    return frozenset(first)


def takes_channels_first(node: Node, graph: Graph, first: frozenset[str]) -> bool:
    """Whether a node takes its inputs channels first, where `first` is what `channels_first` gives."""
    if isinstance(node, _FIRST):
        return True
    if isinstance(node, Reshape):
        return node.inputs[0] in first and _is_one_pixel(graph.shapes[node.inputs[0]])
    if not _takes_either(node, graph):
        return False
    return node.name in first or not first.isdisjoint(node.inputs)


def file_axis(axis: int, first: bool) -> int:
    """An axis of a sample → the axis in the file; `first`: of a map that is channels first."""
    return TO_FIRST.index(axis + 1) if first else axis + 1


def _wanted_first(graph: Graph) -> set[str]:
    """Values that some node, or one that takes what that gives in either layout, takes channels first."""
    wanted: set[str] = set()
    for node in reversed(graph.nodes):
        if isinstance(node, _FIRST) or (node.name in wanted and _takes_either(node, graph)):
            wanted.update(node.inputs)
    return wanted


def _takes_either(node: Node, graph: Graph) -> bool:
    """Whether a node works in the layout of its inputs."""
    shapes = graph.input_shapes(node)
    if not shapes or len(shapes[0]) != 3:
        return False
    if isinstance(node, Reduce):
        # Else the axes that are left would be in another order.
        return node.keepdims or 2 in node.axes or {0, 1} <= set(node.axes)
    return isinstance(node, _EITHER)


def _gives_either(node: Node) -> bool:
    return isinstance(node, Reshape) and _is_one_pixel(node.target)


def _is_one_pixel(shape: Shape) -> bool:
    """Whether a map has the same order of elements in both layouts."""
    return len(shape) == 3 and shape[:2] == (1, 1)
