"""Crops: the pixels of a quadrilateral, rectified."""

from __future__ import annotations

import numpy as np

from ..frame import Pixels, Quad
from ..opencv import opencv

_MOST_PX = 256
"""Greatest side of a crop; the network's input is smaller."""


def crop_of(pixels: Pixels, quad: Quad) -> Pixels:
    """Return what a quadrilateral shows, as a rectangle of its mean size: (h, w, 3) BGR uint8.

    What lies outside of the frame repeats its edge.
    """
    cv2 = opencv()
    top, right, bottom, left = np.hypot(*(np.roll(quad, -1, axis=0) - quad).T).tolist()
    width, height = max((top + bottom) / 2, 2.0), max((left + right) / 2, 2.0)
    shrunk = min(1.0, _MOST_PX / max(width, height))
    size = (max(round(width * shrunk), 2), max(round(height * shrunk), 2))
    flat = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float32) - np.float32(0.5)
    matrix = cv2.getPerspectiveTransform(quad.astype(np.float32) - np.float32(0.5), flat)
    crop: Pixels = cv2.warpPerspective(pixels, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return crop


def varied(quad: Quad) -> list[Quad]:
    """Return the quadrilateral a little larger, smaller, shifted and sheared: windows that may fit the plate better."""
    return [
        _moved(quad, shifts)
        for shifts in (
            ((-0.08, 0), (0, 0), (0, 0), (-0.08, 0)),  # wider to the left
            ((0, 0), (0.08, 0), (0.08, 0), (0, 0)),  # wider to the right
            ((0, -0.15), (0, -0.15), (0, 0), (0, 0)),  # higher
            ((0, 0), (0, 0), (0, 0.15), (0, 0.15)),  # lower
            ((0.04, 0.08), (-0.04, 0.08), (-0.04, -0.08), (0.04, -0.08)),  # smaller
            ((0.05, 0), (0.05, 0), (-0.05, 0), (-0.05, 0)),  # sheared
            ((-0.05, 0), (-0.05, 0), (0.05, 0), (0.05, 0)),
        )
    ]


def widened(quad: Quad) -> Quad:
    """Return the quadrilateral wider to the left, where a cut plate may go on."""
    return _moved(quad, ((-0.15, 0), (0, 0), (0, 0), (-0.15, 0)))


def _moved(quad: Quad, shifts: tuple[tuple[float, float], ...]) -> Quad:
    """Move every corner by shares of the quadrilateral's width and height."""
    across = (quad[1] - quad[0] + quad[2] - quad[3]) / 2
    down = (quad[3] - quad[0] + quad[2] - quad[1]) / 2
    moves = np.array(shifts, np.float32)
    result: Quad = (quad + moves[:, :1] * across + moves[:, 1:] * down).astype(np.float32)
    return result
