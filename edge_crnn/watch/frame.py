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


def box_of(quad: Quad) -> tuple[float, float, float, float]:
    """Return the least and the greatest x and y of a quadrilateral: (left, top, right, bottom)."""
    left, top = quad.min(axis=0)
    right, bottom = quad.max(axis=0)
    return float(left), float(top), float(right), float(bottom)
