"""Draws blank plates and the car around them, at PX_PER_MM."""

from __future__ import annotations

from functools import cache

import numpy as np

from .degrade import PX_PER_MM, Image


def px(mm: float) -> int:
    """Convert millimetres to whole pixels."""
    return round(mm * PX_PER_MM)


@cache
def blank_plate(width: float, height: float) -> tuple[Image, Image]:
    """Draw the outline of a plate of that size in millimetres, and the ink of its frame: (H, W) uint8 both."""
    import cv2

    rows, columns = px(height), px(width)
    outline = _rounded(rows, columns, px(10))
    inner = np.zeros_like(outline)
    edge, line = px(4), px(4)
    inner[edge:-edge, edge:-edge] = _rounded(rows - 2 * edge, columns - 2 * edge, px(8))
    frame = cv2.subtract(inner, cv2.erode(inner, np.ones((2 * line + 1, 2 * line + 1), np.uint8)))
    return outline, frame.astype(np.uint8, copy=False)


def _rounded(height: int, width: int, radius: int) -> Image:
    import cv2

    box = np.zeros((height, width), np.uint8)
    box[radius:-radius] = 255
    box[:, radius:-radius] = 255
    for row in (radius, height - 1 - radius):
        for column in (radius, width - 1 - radius):
            cv2.circle(box, (column, row), radius, 255, -1)
    return box


def draw_car(height: int, width: int, rng: np.random.Generator) -> Image:
    """Draw the car's body, (height, width, 3) uint8: one colour, lighter or darker from place to place."""
    import cv2

    colour = rng.uniform(10, 220) + rng.uniform(-25, 25, 3)
    patches = np.clip(colour + rng.uniform(-30, 30, (3, 5, 1)), 0, 255).astype(np.uint8)
    return cv2.resize(patches, (width, height)).astype(np.uint8, copy=False)
