"""Tells probabilities at the end of a model from logits that still need a softmax.

A model may combine probabilities after their softmax: average two heads, drop steps, put the classes in another order.
A second softmax would flatten them. So the sum over the classes is followed from each softmax to the model's end: where
it is still 1, the values are probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ...graph.nodes import (
    Affine,
    Binary,
    Concat,
    Constant,
    MatMul,
    Node,
    Permute,
    Pool,
    Reduce,
    Reshape,
    Resize,
    Reverse,
    Shape,
    Slice,
    Softmax,
)

_MAX_DEPTH = 64

Lookup = Callable[[str], Node | None]
"""Name of a value → the node that computes it; None: the graph's input."""
Shapes = Callable[[str], Shape]
"""Name of a value → its shape."""


def are_probabilities(name: str, node_of: Lookup, shape_of: Shapes) -> bool:
    """Return whether a value is made of softmaxes so that it sums to 1 over its last axis."""
    sums: dict[str, float | None] = {}

    def row_sum(name: str, depth: int) -> float | None:
        if name not in sums:
            node = node_of(name)
            sums[name] = None
            if node is not None and depth < _MAX_DEPTH:
                sums[name] = _row_sum(node, node_of, shape_of, lambda source: row_sum(source, depth + 1))
        return sums[name]

    total = row_sum(name, 0)
    return total is not None and math.isclose(total, 1, rel_tol=1e-4)


def _row_sum(node: Node, node_of: Lookup, shape_of: Shapes, row_sum: Callable[[str], float | None]) -> float | None:
    """Compute the sum over the last axis of a value that is made of softmaxes; None: unknown."""
    shapes = [shape_of(source) for source in node.inputs]

    def before(place: int) -> float | None:
        return row_sum(node.inputs[place])

    match node:
        case Softmax():
            return 1.0
        case Reshape() | Slice() | Resize() if shape_of(node.name)[-1] == shapes[0][-1]:
            return before(0)
        case Reverse() | Pool(mode="average") | Permute() if _keeps_last(node):
            return before(0)
        case Concat(axis=axis) if axis < len(shapes[0]) - 1:
            return _common([before(place) for place in range(len(shapes))])
        case Concat():
            source = _reordered(node, node_of, shape_of)
            return None if source is None else row_sum(source)
        case Reduce(mode="mean", axes=axes) if len(shapes[0]) - 1 not in axes:
            return before(0)
        case Reduce(mode="sum", axes=axes) if len(shapes[0]) - 1 not in axes:
            return _times(before(0), math.prod(shapes[0][axis] for axis in axes))
        case Affine(scale=scale, shift=shift) if not shift.any() and np.ptp(scale) == 0 and scale[0] > 0:
            return _times(before(0), float(scale[0]))
        case Binary(operator="add") if shapes[0][-1] == shapes[1][-1]:
            sums = [before(0), before(1)]
            return None if None in sums else float(np.sum([sums]))
        case Binary(operator="multiply" | "divide" as operator):
            factor = node_of(node.inputs[1])
            if isinstance(factor, Constant) and factor.value.size == 1 and factor.value.item() > 0:
                number = float(factor.value.item())
                return _times(before(0), number if operator == "multiply" else 1 / number)
        case MatMul(transposed=False):  # rows of weights, times rows of probabilities
            weights = before(0)
            return None if weights is None else _times(before(1), weights)
    return None


def _keeps_last(node: Node) -> bool:
    return not isinstance(node, Permute) or node.axes[-1] == len(node.axes) - 1


def _common(sums: Sequence[float | None]) -> float | None:
    return sums[0] if len(set(sums)) == 1 else None


def _times(total: float | None, factor: float) -> float | None:
    return None if total is None else total * factor


def _reordered(node: Concat, node_of: Lookup, shape_of: Shapes) -> str | None:
    """Return the value whose classes are reordered, each used once; None: there is none."""
    parts = [node_of(name) for name in node.inputs]
    slices = [part for part in parts if isinstance(part, Slice)]
    if len(slices) < len(parts) or len({part.inputs for part in slices}) > 1:
        return None
    (source,) = slices[0].inputs
    classes = sorted(index for part in slices for index in range(part.starts[-1], part.stops[-1], part.steps[-1]))
    return source if classes == list(range(shape_of(source)[-1])) else None
