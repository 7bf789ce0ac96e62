"""The primitives that move the elements of a value, or add a constant around them, and compute nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .node import Node, Shape


@dataclass(frozen=True, eq=False)
class Concat(Node):
    """Values joined along an axis."""

    arity = None
    axis: int

    def shape(self, *shapes: Shape) -> Shape:
        """The input shape with the lengths of the joined axis added up."""
        first = shapes[0]
        axis = self.axis
        self.require(0 <= axis < len(first), shapes)
        others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        self.require(len(others) == 1 and len({len(shape) for shape in shapes}) == 1, shapes)
        return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


@dataclass(frozen=True, eq=False)
class Slice(Node):
    """Every `step`-th element from `start` up to, but without, `stop`, along each axis."""

    starts: tuple[int, ...]
    stops: tuple[int, ...]
    steps: tuple[int, ...]
    """Positive steps; `Reverse` is a node of its own."""

    @property
    def index(self) -> tuple[slice, ...]:
        """The slices, as an index into a sample."""
        return tuple(map(slice, self.starts, self.stops, self.steps))

    def shape(self, *shapes: Shape) -> Shape:
        """The number of elements left along each axis."""
        (shape,) = shapes
        self.require(len(shape) == len(self.starts) == len(self.stops) == len(self.steps), shapes)
        inside = all(
            0 <= start < stop <= length and step > 0
            for start, stop, step, length in zip(self.starts, self.stops, self.steps, shape, strict=True)
        )
        self.require(inside, shapes)
        return tuple(len(range(*part.indices(length))) for part, length in zip(self.index, shape, strict=True))


@dataclass(frozen=True, eq=False)
class Pad(Node):
    """A constant before and after each axis."""

    pads: tuple[tuple[int, int], ...]
    value: float = 0.0

    def shape(self, *shapes: Shape) -> Shape:
        """The input shape, longer by the padding."""
        (shape,) = shapes
        self.require(len(shape) == len(self.pads) and min((0, *sum(self.pads, ()))) >= 0, shapes)
        return tuple(before + length + after for length, (before, after) in zip(shape, self.pads, strict=True))


@dataclass(frozen=True, eq=False)
class Reverse(Node):
    """The elements of one axis in reverse order."""

    axis: int

    def shape(self, *shapes: Shape) -> Shape:
        """The shape of the input."""
        self.require(0 <= self.axis < len(shapes[0]), shapes)
        return shapes[0]


@dataclass(frozen=True, eq=False)
class Reshape(Node):
    """A row-major reshape to `target`."""

    target: Shape

    def shape(self, *shapes: Shape) -> Shape:
        """`target`."""
        self.require(math.prod(shapes[0]) == math.prod(self.target), shapes)
        return self.target


@dataclass(frozen=True, eq=False)
class Permute(Node):
    """Axis i of the result is axis `axes[i]` of the input."""

    axes: tuple[int, ...]

    def shape(self, *shapes: Shape) -> Shape:
        """The lengths in their new order."""
        (shape,) = shapes
        self.require(sorted(self.axes) == list(range(len(shape))), shapes)
        return tuple(shape[axis] for axis in self.axes)


MOVERS = (Concat, Permute, Reshape, Reverse, Slice)
"""Nodes that only move elements."""
