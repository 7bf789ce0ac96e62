"""Draws blank plates and the car around them, at PX_PER_MM."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from .degrade import PX_PER_MM, Image
from .plates.form import Colour

Floats = npt.NDArray[np.float64]


def px(mm: float) -> int:
    """Convert millimetres to whole pixels."""
    return round(mm * PX_PER_MM)


def levels(values: npt.NDArray[np.floating]) -> Image:
    """Return values as uint8; those outside 0 to 255 become the nearer end."""
    clipped: Image = np.clip(values, 0, 255).astype(np.uint8)
    return clipped


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


def worn_colours(ground: Colour, ink: Colour, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the colours of ground and ink of one plate by day, (3,) BGR each: dirty, and not exactly nominal."""
    dirt = rng.uniform(0.82, 1.0)
    return np.array(ground) * dirt + rng.uniform(-8, 8, 3), np.array(ink) * dirt + rng.uniform(-12, 12, 3)


def coloured(ink: Image, ground: Floats, colour: Floats, least_ink: float, rng: np.random.Generator) -> Image:
    """Colour a plate.

    Args:
        ink: (H, W) uint8, where 255 is full ink.
        ground: (3,) BGR.
        colour: (3,) BGR, of new ink.
        least_ink: the share of that colour that the most worn plate still has.
        rng: decides the wear.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    import cv2

    shades = ground + (colour - ground) * np.linspace(0, rng.uniform(least_ink, 1), 256)[:, None]
    return cv2.LUT(cv2.merge([ink] * 3), levels(shades)[None]).astype(np.uint8, copy=False)


def draw_car(height: int, width: int, rng: np.random.Generator) -> Image:
    """Draw the car's body, (height, width, 3) uint8: one colour, lighter or darker from place to place."""
    import cv2

    colour = rng.uniform(10, 220) + rng.uniform(-25, 25, 3)
    patches = levels(colour + rng.uniform(-30, 30, (3, 5, 1)))
    return cv2.resize(patches, (width, height)).astype(np.uint8, copy=False)
