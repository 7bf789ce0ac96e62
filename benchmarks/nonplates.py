"""Draw pictures without a plate, as a detector that errs passes them on: seeded, and of nine kinds.

All go through the camera of preset `heavy`, like the plates that they are mixed with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from string import ascii_letters, digits

import numpy as np

from edge_crnn.alphabet import KOREAN_PLATES
from edge_crnn.training.degrade import HEAVY, Image, photograph
from edge_crnn.training.fonts import find_fonts, find_line_fonts
from edge_crnn.training.lines import LineRenderer

Rng = np.random.Generator

_PAD = 24
"""Pixels around the crop."""
_WORDS = (2, 12)
"""Fewest and most letters of a line."""


def pictures(kind: str, n: int, seed: int = 0) -> Iterator[Image]:
    """`n` pictures of one of `KINDS`, (H, W, 3) uint8 BGR, in the sizes that plates have.

    Raises:
        DatasetError: the fonts of the default set are not installed.
        BackendUnavailable: Pillow or OpenCV is not installed.
    """
    for index in range(n):
        yield KINDS[kind](np.random.default_rng((seed, list(KINDS).index(kind), index)))


def _plain(rng: Rng) -> Image:
    """Draw a single colour."""
    return _seen(np.ones((*_size(rng), 1)) * _colour(rng), rng)


def _gradient(rng: Rng) -> Image:
    """Draw a gradient between two colours, along a line or around a point."""
    height, width = _size(rng)
    down, across = np.mgrid[0:height, 0:width] / width
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        place = np.cos(angle) * across + np.sin(angle) * down
    else:
        place = np.hypot(across - rng.uniform(0, 1), down - rng.uniform(0, height / width))
    return _seen(_blended((place - place.min()) / np.ptp(place), rng), rng)


def _noise(rng: Rng) -> Image:
    """Draw random levels in cells of one to twenty pixels, grey or coloured, in all or some of the cells."""
    height, width = _size(rng)
    cell = round(np.exp(rng.uniform(0, np.log(20))))
    shape = height // cell + 1, width // cell + 1, rng.choice([1, 3])
    levels = rng.uniform(0, 255, shape)
    if rng.random() < 0.3:
        levels = np.where(rng.random(shape[:2])[..., None] < rng.uniform(0.02, 0.3), levels, rng.uniform(0, 255))
    return _seen(np.ones(3) * np.kron(levels, np.ones((cell, cell, 1)))[:height, :width], rng)


def _cloud(rng: Rng) -> Image:
    """Draw asphalt, plaster or leaves: noise whose power falls with the frequency."""
    height, width = _size(rng)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) * frequency ** -rng.uniform(0.5, 2.5)
    field = np.fft.irfft2(spectrum, (height, width))
    return _seen(_blended(np.clip(0.5 + field / (rng.uniform(2, 6) * field.std()), 0, 1), rng), rng)


def _courses(rng: Rng) -> Image:
    """Draw bricks, slats or a fence: a pattern that repeats, with joints."""
    height, width = _size(rng)
    high, wide = rng.uniform(6, 40), rng.uniform(6, 90)
    joint = rng.uniform(0.05, 0.5)
    down, across = np.mgrid[0:height, 0:width].astype(float)
    row = down / high + rng.random()
    column = across / wide + rng.random() + (np.floor(row) % 2) * rng.choice([0.0, 0.5])
    gaps = {
        "bricks": (row % 1 < joint) | (column % 1 < joint * high / wide),
        "slats": row % 1 < joint,
        "fence": column % 1 < joint,
    }
    gap = gaps[str(rng.choice(list(gaps)))]
    shade = rng.uniform(0, 1, (int(row.max()) + 1, int(column.max()) + 1)) * rng.uniform(0, 0.5)
    level = np.where(gap, 1.0, shade[row.astype(int), column.astype(int)])
    return _seen(_blended(level, rng), rng)


def _shapes(rng: Rng) -> Image:
    """Draw lamps, badges and bumpers: rectangles, ellipses, lines and polygons, on top of each other."""
    import cv2

    height, width = _size(rng)
    image = np.ascontiguousarray(np.ones((height, width, 1)) * _colour(rng), np.uint8)
    for _ in range(rng.integers(2, 16)):
        colour = _colour(rng).tolist()
        points = (rng.random((int(rng.integers(3, 7)), 2)) * (width, height)).astype(np.int32)
        first, second = (tuple(point.tolist()) for point in points[:2])
        thickness = int(rng.integers(1, 12))
        shape = rng.integers(4)
        if shape == 0:
            cv2.rectangle(image, first, second, colour, -1 if rng.random() < 0.5 else thickness)
        elif shape == 1:
            axes = tuple((rng.uniform(0.02, 0.4, 2) * (width, height)).astype(int).tolist())
            cv2.ellipse(
                image, first, axes, rng.uniform(0, 180), 0, 360, colour, -1 if rng.random() < 0.5 else thickness
            )
        elif shape == 2:
            cv2.line(image, first, second, colour, thickness, cv2.LINE_AA)
        else:
            cv2.fillPoly(image, [points], colour)
    return _seen(image, rng)


def _latin(rng: Rng) -> Image:
    """Draw a line of Latin letters, in fonts of three families."""
    return _line(ascii_letters, rng)


def _hangul(rng: Rng) -> Image:
    """Draw a line of the Hangul syllables of plates and regions, which form no plate."""
    return _line("".join(sorted({letter for text in KOREAN_PLATES.values() for letter in text.strip()})), rng)


def _numbers(rng: Rng) -> Image:
    """Draw a line of digits, such as a telephone number, a house number or a price."""
    return _line(digits, rng)


KINDS: Mapping[str, Callable[[Rng], Image]] = {
    "plain": _plain,
    "gradient": _gradient,
    "noise": _noise,
    "cloud": _cloud,
    "courses": _courses,
    "shapes": _shapes,
    "latin": _latin,
    "hangul": _hangul,
    "numbers": _numbers,
}
"""The functions that draw a picture, by kind."""


def _size(rng: Rng) -> tuple[int, int]:
    """Return height and width in pixels of a long or a short plate as it is drawn, with `_PAD` around it."""
    height, width = (82, 390) if rng.random() < 0.5 else (125, 250)
    return round(height * rng.uniform(0.8, 1.25)) + 2 * _PAD, round(width * rng.uniform(0.8, 1.25)) + 2 * _PAD


def _colour(rng: Rng) -> np.ndarray:
    return np.clip(rng.uniform(0, 255) + rng.uniform(-60, 60, 3) * rng.random(), 0, 255)


def _blended(share: np.ndarray, rng: Rng) -> np.ndarray:
    """Map (H, W) shares in [0, 1] to levels between two colours, (H, W, 3)."""
    first, second = _colour(rng), _colour(rng)
    return np.asarray(first + share[..., None] * (second - first))


def _seen(page: np.ndarray, rng: Rng) -> Image:
    return photograph(np.rint(page).astype(np.uint8), _PAD, HEAVY, rng)


@cache
def _renderer(alphabet: str) -> LineRenderer:
    fonts = find_line_fonts() if alphabet.isascii() else find_fonts()
    return LineRenderer(fonts, alphabet, _WORDS)


def _line(alphabet: str, rng: Rng) -> Image:
    return _renderer(alphabet).render(rng, HEAVY).image
