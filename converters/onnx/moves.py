"""Nodes that move values."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.nodes import Concat, Pad, Permute, Reshape, Reverse, Slice
from .layouts import TO_FIRST
from .writer import Place


def concat(place: Place, node: Concat, *values: str) -> str:
    """Join values along an axis."""
    return place.add("Concat", *values, axis=place.axis(node.axis))


def slice_(place: Place, node: Slice, x: str) -> str:
    """Slice the axes that are not kept whole, and at least one axis."""
    ranges = list(zip(node.starts, node.stops, node.steps, strict=True))
    cut = [axis for axis, kept in enumerate(ranges) if kept != (0, place.shapes[0][axis], 1)] or [0]
    starts, stops, steps = zip(*(ranges[axis] for axis in cut), strict=True)
    return _slice(place, x, starts, stops, [place.axis(axis) for axis in cut], steps)


def reverse(place: Place, node: Reverse, x: str) -> str:
    """Reverse an axis by a backward slice; the only alternative in ONNX takes a length per image."""
    length = place.shapes[0][node.axis]
    return _slice(place, x, [-1], [-length - 1], [place.axis(node.axis)], [-1])


def _slice(
    place: Place, x: str, starts: Sequence[int], stops: Sequence[int], axes: Sequence[int], steps: Sequence[int]
) -> str:
    settings = {"starts": starts, "ends": stops, "axes": axes, "steps": steps}
    return place.add("Slice", x, *(place.integers(name, *values) for name, values in settings.items()))


def pad(place: Place, node: Pad, x: str) -> str:
    """Pad with a constant."""
    pads = [(0, 0), *node.pads]
    if place.first:
        pads = [pads[axis] for axis in TO_FIRST]
    before, after = zip(*pads, strict=True)
    return place.add("Pad", x, place.integers("pads", *before, *after), place.weight("value", node.value))


def reshape(place: Place, node: Reshape, x: str) -> str:
    """Reshape in row-major order; a map of one pixel is the same in both layouts."""
    target = node.target
    if place.gives_first:
        target = (target[2], *target[:2])
    return place.add("Reshape", x, place.integers("shape", -1, *target))


def permute(place: Place, node: Permute, x: str) -> str:
    """Transpose the sample's axes."""
    return place.add("Transpose", x, perm=(0, *(axis + 1 for axis in node.axes)))
