"""Places of plates in a frame, and how near they are to each other."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .frame import Bounds, Quad, box_of, shared


class Place(NamedTuple):
    """Where a plate is, in pixels of the frame."""

    x: float
    """The centre."""
    y: float
    """The centre."""
    width: float
    """Mean length of the upper and lower edge, at least 1."""
    height: float
    """Mean length of the left and right edge, at least 1."""
    box: Bounds
    """Left, top, right and bottom."""

    @classmethod
    def of(cls, quad: Quad) -> Place:
        """Return the place of a quadrilateral."""
        x, y = quad.mean(axis=0)
        top, right, bottom, left = np.hypot(*(np.roll(quad, -1, axis=0) - quad).T).tolist()
        return cls(float(x), float(y), max((top + bottom) / 2, 1.0), max((left + right) / 2, 1.0), box_of(quad))

    def moved(self, dx: float, dy: float) -> Place:
        """Return the place shifted by some pixels."""
        left, top, right, bottom = self.box
        return Place(
            self.x + dx, self.y + dy, self.width, self.height, (left + dx, top + dy, right + dx, bottom + dy)
        )  # fmt: skip

    def distance(self, other: Place) -> float:
        """Return the distance of the centres in plate widths (the mean of both)."""
        return 2 * math.hypot(self.x - other.x, self.y - other.y) / (self.width + other.width)

    def overlap(self, other: Place) -> float:
        """Return the share of the smaller box that the boxes have in common, in [0, 1]."""
        return shared(self.box, other.box)
