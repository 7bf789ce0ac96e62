"""Counts the work of running a graph."""

from __future__ import annotations

import math

from .graph import Graph
from .nodes import Conv, ConvTranspose, Dense, MatMul, Node, Recurrent, Shape


def multiplications(graph: Graph) -> int:
    """Count the multiplications for one image in convolutions and matrix products, which are nearly all of the work."""
    return sum(node_multiplications(node, graph.input_shapes(node), graph.shapes[node.name]) for node in graph.nodes)


def node_multiplications(node: Node, shapes: tuple[Shape, ...], shape: Shape) -> int:
    """Count the multiplications of a node, from the shapes of its inputs and of its value."""
    match node:
        case Conv(kernel=kernel):
            return math.prod(shape) * math.prod(kernel.shape[:3])
        case ConvTranspose(kernel=kernel):
            return math.prod(shapes[0][:2]) * kernel.size
        case Dense(kernel=kernel):
            return math.prod(shapes[0][:-1]) * kernel.size
        case MatMul():
            return math.prod(shape) * shapes[0][-1]
        case Recurrent():
            return shape[0] * sum(cell.kernel.size + cell.recurrent.size for _, cell in node.cells)
    return 0
