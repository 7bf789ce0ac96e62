"""A line across the road, and who crosses it in which direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError
from .place import Place

Point = tuple[float, float]
"""x and y."""


@dataclass(frozen=True)
class Line:
    """A line from `start` to `end`, with names for its sides."""

    start: Point
    """In shares of the frame's width and height, from 0 to 1, from the top left corner."""
    end: Point
    """In shares, as `start`."""
    left: str = "left"
    """Name of the side to the left of somebody who looks from `start` to `end`."""
    right: str = "right"
    """Name of the other side."""

    def __post_init__(self) -> None:
        for share in (*self.start, *self.end):
            if not 0 <= share <= 1:
                raise InputError(f"line has the coordinate {share:g}, expected a share of the frame from 0 to 1")
        if self.start == self.end:
            raise InputError(f"line begins and ends at {_spelt(self.start)}, expected two different points")
        for name in (self.left, self.right):
            if not name or len(name.split()) != 1:
                raise InputError(f"a side of the line is named {name!r}, expected one word")
        if self.left == self.right:
            raise InputError(f"both sides of the line are named {self.left!r}, expected two names")

    @classmethod
    def parse(cls, text: str) -> Line:
        """Parse `X,Y X,Y [LEFT RIGHT]`, such as `0,0.6 1,0.6 out in`: what crosses it downwards goes `in`.

        Raises:
            InputError: the text has another form, or a value is out of range.
        """
        words = text.split()
        if len(words) not in (2, 4):
            raise InputError(f"line is {text!r}, expected X,Y X,Y [LEFT RIGHT], such as '0,0.6 1,0.6 out in'")
        return cls(_point(words[0]), _point(words[1]), *words[2:])

    def __str__(self) -> str:
        """Return the text that `parse` takes."""
        return f"{_spelt(self.start)} {_spelt(self.end)} {self.left} {self.right}"


class Crossing:
    """How one vehicle crosses a line.

    A plate whose centre is nearer to the line than half its height is on neither side, so a vehicle that stops on the
    line does not cross it again and again.

    Args:
        line: the line.
    """

    direction: str | None = None
    """Name of the side that it went to last; None: it has not crossed the line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._last: tuple[Point, bool] | None = None

    def move(self, place: Place, size: tuple[int, int]) -> None:
        """Take the vehicle's next place in a frame of this size (width, height)."""
        width, height = size
        start = (self._line.start[0] * width, self._line.start[1] * height)
        end = (self._line.end[0] * width, self._line.end[1] * height)
        centre = (place.x, place.y)
        # y grows downwards, so a positive product is to the right.
        product = _product(start, end, centre)
        if abs(product) < place.height / 2 * math.dist(start, end):
            return
        is_right = product > 0
        if self._last is not None and self._last[1] != is_right and _separates(self._last[0], centre, start, end):
            self.direction = self._line.right if is_right else self._line.left
        self._last = (centre, is_right)


def _product(start: Point, end: Point, point: Point) -> float:
    """Return the cross product of the line and the way to a point."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


def _separates(one: Point, other: Point, start: Point, end: Point) -> bool:
    """Return whether the ends of the line are on different sides of the way between two points."""
    return _product(one, other, start) * _product(one, other, end) <= 0


def _point(text: str) -> Point:
    parts = text.split(",")
    try:
        x, y = (float(part) for part in parts)
    except ValueError:
        raise InputError(f"line has the point {text!r}, expected X,Y in shares of the frame, such as 0.1,0.6") from None
    return x, y


def _spelt(point: Point) -> str:
    return f"{point[0]!r},{point[1]!r}"
