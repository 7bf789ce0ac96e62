"""Render seeded images of text lines, always dark ink on light paper, so that an inversion shows.

A network that reads both polarities, or all colours alike, reads nothing that tells their conventions apart. Some
lines have two inks: the label in a reddish one, and other letters, which are not to be read, in a bluish one. Whoever
swaps red and blue reads the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_crnn.training.degrade import MILD, PX_PER_MM, Image, Range, photograph
from edge_crnn.training.fonts import draw_text, open_font, pick_fonts

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_LINE = round(72 * PX_PER_MM)
"""The height of capitals in pixels, before the camera."""
_PAD = 24
"""The paper around the box, in pixels."""


@dataclass(frozen=True)
class Style:
    """The look of the lines of a network."""

    alphabet: str = "0123456789"
    length: tuple[int, int] = (3, 8)
    """The fewest and the most letters."""
    px_per_mm: Range = (0.42, 0.62)
    """Resolution of the files; a letter is 72 mm high."""
    noise: Range = MILD.noise
    """The standard deviation of the grain, in levels of 255."""
    two_inks: bool = False


def render_lines(style: Style, count: int, seed: int) -> Iterator[tuple[Image, str]]:
    """Yield the images 0 to `count` - 1 of a run, (H, W, 3) uint8 BGR, with their labels, which may repeat."""
    for index in range(count):
        yield render_line(style, np.random.default_rng((seed, index)))


def render_line(style: Style, rng: np.random.Generator) -> tuple[Image, str]:
    """Render an image, (H, W, 3) uint8 BGR, and return it with its label."""
    label = _letters(style, rng)
    ink = _boxed(_written(label, rng), rng)
    paper = rng.uniform(175, 245) + rng.uniform(-10, 10, 3)
    if style.two_inks:
        canvas = paper * _through(ink, rng.uniform((0.05, 0.15, 0.55), (0.2, 0.4, 0.8)))
        if rng.random() < 0.85:
            canvas = canvas * _through(_other(style, ink, rng), rng.uniform((0.6, 0.35, 0.05), (0.85, 0.55, 0.2)))
    else:
        canvas = paper * _through(ink, rng.uniform(0.05, 0.45) + rng.uniform(-0.05, 0.05, 3))
    preset = replace(MILD, px_per_mm=style.px_per_mm, noise=style.noise)
    return photograph(np.clip(canvas, 0, 255).astype(np.uint8), _PAD, preset, rng), label


def _letters(style: Style, rng: np.random.Generator) -> str:
    length = int(rng.integers(style.length[0], style.length[1] + 1))
    return "".join(style.alphabet[place] for place in rng.integers(len(style.alphabet), size=length))


@cache
def _fonts() -> tuple[FreeTypeFont, ...]:
    return tuple(open_font(path, _LINE / 0.73) for path in pick_fonts(None, lines=True))


def _written(text: str, rng: np.random.Generator) -> Image:
    """Return the ink of the text in its bounding box, (H, W) uint8."""
    import cv2

    fonts = _fonts()
    ink = draw_text(fonts[rng.integers(len(fonts))], text)
    size = max(1, round(ink.shape[1] * rng.uniform(0.8, 1.25))), ink.shape[0]
    return cv2.resize(ink, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _boxed(ink: Image, rng: np.random.Generator) -> Image:
    """Return the ink in a box as a detector would find it, with `_PAD` around the box."""
    above, below, left, right = (rng.uniform((0.05, 0.05, 0.06, 0.06), (0.25, 0.25, 0.4, 0.4)) * _LINE).astype(int)
    return np.pad(ink, ((above + _PAD, below + _PAD), (left + _PAD, right + _PAD)))


def _other(style: Style, ink: Image, rng: np.random.Generator) -> Image:
    """Return the ink of other letters somewhere on a page of the same size."""
    import cv2

    height, width = ink.shape
    page = np.zeros_like(ink)
    other = _written(_letters(style, rng), rng)
    scale = rng.uniform(0.6, 1.0) * min(1.0, (width - 2 * _PAD) / other.shape[1])
    size = max(1, round(other.shape[1] * scale)), max(1, round(other.shape[0] * scale))
    small = cv2.resize(other, size, interpolation=cv2.INTER_AREA)
    row, column = (int(rng.integers(0, room + 1)) for room in (height - small.shape[0], width - small.shape[1]))
    page[row : row + small.shape[0], column : column + small.shape[1]] = small
    return page


def _through(ink: Image, passed: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the share of light that an ink lets pass, (H, W, 3); it is `passed` where the ink is full."""
    share: npt.NDArray[np.float64] = 1 - ink[..., None] / 255 * (1 - passed)
    return share
