"""Frames of a camera, and places in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, BGR."""
Quad: TypeAlias = npt.NDArray[np.float32]
"""(4, 2) float32: corners (x, y) in pixels of the frame, clockwise from the top left one as the text reads."""
Bounds: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom of a box."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame, as the loop gets it from `newest.Newest`."""

    number: int
    """Place of the frame in what the source has delivered, from 0. Frames that were dropped are counted."""
    seconds: float
    """Monotonic time of its arrival; for files and folders, the time within the recording."""
    time: float
    """Seconds since the epoch, at its arrival; for files and folders, the start of the reading plus `seconds`."""
    pixels: Pixels


def box_of(quad: Quad) -> Bounds:
    """Return the least and the greatest x and y of a quadrilateral: (left, top, right, bottom)."""
    left, top = quad.min(axis=0)
    right, bottom = quad.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def shared(one: Bounds, other: Bounds) -> float:
    """Return the share of the smaller box that two boxes have in common, in [0, 1]."""
    left, top, right, bottom = one
    other_left, other_top, other_right, other_bottom = other
    width = min(right, other_right) - max(left, other_left)
    height = min(bottom, other_bottom) - max(top, other_top)
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((right - left) * (bottom - top), (other_right - other_left) * (other_bottom - other_top))
    return min(width * height / smaller, 1.0)
