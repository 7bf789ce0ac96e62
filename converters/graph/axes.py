"""Finds the axis of the image along which the text runs: the one that becomes the steps of the output.

The search tracks, for every axis of every value, which axes of the image (0 and 1) it distinguishes positions of. A
convolution or a pool keeps positions in order; a matrix product over an axis mixes its positions, so they are lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from .graph import INPUT, Graph
from .nodes import (
    Binary,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    MatMul,
    Node,
    Permute,
    Recurrent,
    Reduce,
    Reshape,
    Shape,
)

Origin: TypeAlias = frozenset[int]
"""The axes of the image, 0 and 1, whose positions an axis of a value keeps apart."""
Origins: TypeAlias = tuple[Origin, ...]
"""The origin of each axis of a value."""

_NONE: Origin = frozenset()


def step_axis(graph: Graph) -> int | None:
    """Return the axis of the image, 0 or 1, that the steps of the output run along; None: both, or neither."""
    origins_of: dict[str, Origins] = {INPUT: (frozenset({0}), frozenset({1}), *(_NONE,) * (len(graph.input_shape) - 2))}
    for node in graph.nodes:
        shapes, shape = graph.input_shapes(node), graph.shapes[node.name]
        origins = _origins(node, [origins_of[name] for name in node.inputs], shapes, shape)
        # An axis of length 1 has one position, so it tells nothing apart.
        origins_of[node.name] = tuple(
            origin if length > 1 else _NONE for origin, length in zip(origins, shape, strict=True)
        )
    steps = origins_of[graph.output][0]
    return next(iter(steps)) if len(steps) == 1 else None


def _origins(node: Node, sources: Sequence[Origins], shapes: Sequence[Shape], shape: Shape) -> Origins:
    match node:
        case Constant():
            return (_NONE,) * len(shape)
        case Conv() | ConvTranspose() | Dense() | Recurrent():
            return (*sources[0][:-1], _NONE)
        case MatMul(transposed=transposed):
            first, second = sources
            return (*_united([first[:-2], second[:-2]]), first[-2], second[-2 if transposed else -1])
        case Binary() | Concat():
            return _united(sources)
        case Permute(axes=axes):
            return tuple(sources[0][axis] for axis in axes)
        case Reduce(axes=axes, keepdims=False):
            return tuple(origin for axis, origin in enumerate(sources[0]) if axis not in axes)
        case Reshape():
            return _reshaped(sources[0], shapes[0], shape)
    return sources[0]  # of an element-wise node, or one that moves or repeats values along their own axis


def _united(sources: Sequence[Origins]) -> Origins:
    return tuple(frozenset().union(*origins) for origins in zip(*sources, strict=True))


def _reshaped(origins: Origins, before: Shape, after: Shape) -> Origins:
    """Return the origins after a row-major reshape: an axis of the result has the origins of the axes that form it."""
    result = [_NONE] * len(after)
    for sources, targets in _blocks(before, after):
        whole = frozenset().union(*(origins[axis] for axis in sources))
        for axis in targets:
            result[axis] = whole
    return tuple(result)


def _blocks(before: Shape, after: Shape) -> Iterator[tuple[list[int], list[int]]]:
    """Split the axes before and after a reshape into the shortest runs with equal numbers of elements.

    Axes of length 1 are left out.
    """
    rest = [axis for axis, length in enumerate(before) if length > 1]
    rest_after = [axis for axis, length in enumerate(after) if length > 1]
    while rest and rest_after:
        sources = [rest.pop(0)]
        targets = [rest_after.pop(0)]
        while (count := math.prod(before[axis] for axis in sources)) != (
            count_after := math.prod(after[axis] for axis in targets)
        ):
            if count < count_after:
                sources.append(rest.pop(0))
            else:
                targets.append(rest_after.pop(0))
        yield sources, targets
