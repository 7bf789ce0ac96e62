"""Seeded images of text lines, cropped, with their labels: what network 2 reads.

A line is rendered LINE_MM tall, so that the presets of `degrade`, which speak of millimetres, hold for it as for a
plate. Needs Pillow and OpenCV, no Keras.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import AlphabetError, DatasetError
from .degrade import MILD, PX_PER_MM, Image, Preset, check_installed, find_preset, photograph
from .fonts import draw_text, find_line_fonts, open_font, require_glyphs

LINE_MM = 72
"""Height of the alphabet's tallest letter over its deepest; a stroke is some 9 mm wide."""

STRETCH = (0.75, 1.3)
"""Width of the letters, as a factor of the font's own."""
SPACING = (-0.02, 0.3)
"""Added between two letters, in heights of the line."""
BOLD_CHANCE = 0.15
"""Probability of strokes that are 2.7 mm wider."""
SIDES = (0.06, 0.45)
"""Margin of the detector's box on the left and right, in heights of the line."""
ABOVE = (0.04, 0.3)
"""Margin of the detector's box above and below, in heights of the line."""
LEAST_ASPECT = (1.2, 2.2)
"""Least width of the box in heights of the box; a shorter line stands somewhere in it."""
LIGHT, LEAST_CONTRAST = (150.0, 245.0), 115.0
"""Grey of the lighter one of ink and ground, of 255, before the camera, and the least that the other is darker by.

Either may be the lighter one, as often.
"""
TINT = 60.0
"""Largest change of each colour of ink and ground against their grey."""
UNEVEN = (0.0, 0.22)
"""How far a ground goes from its colour, as a fraction of the contrast: a third of all is plain, a third is graded
over the line, a third has a texture, fine or coarse, striped or not."""
PANEL_CHANCE = 0.3
"""Probability that the ground ends just outside the box, with another colour beyond."""

_PAD = 24
"""Pixels of ground drawn around the box."""
_HEIGHT = round(LINE_MM * PX_PER_MM)
_GREY = np.array([0.114, 0.587, 0.299])


class Line(NamedTuple):
    """A rendered line."""

    label: str
    kind: str
    """Name of the font's file."""
    image: Image
    """(H, W, 3) uint8, BGR, cropped."""


class _Letter(NamedTuple):
    ink: Image
    left: int
    """Left edge of the ink, from the start of the letter."""
    top: int
    """Top edge of the ink, from the top of the line."""
    advance: int
    """Distance from the start of the letter to the start of the next one."""


class _Typeface(NamedTuple):
    name: str
    letters: dict[str, _Letter]


class LineRenderer:
    """Renders lines of text; keeps each letter that it has drawn.

    Args:
        fonts: font files with the letters of the alphabet; by default those of `find_line_fonts()`.
        alphabet: the letters that lines are made of, each as often as any other.
        length: fewest and most letters to a line, each number as often as any other.

    Raises:
        AlphabetError: the alphabet is empty, or has a letter twice, white space or a combining mark.
        DatasetError: there is no font, or one lacks a letter.
        BackendUnavailable: Pillow or OpenCV is not installed.
    """

    def __init__(
        self,
        fonts: Sequence[Path] | None = None,
        alphabet: str = "0123456789",
        length: tuple[int, int] = (1, 10),
    ) -> None:
        check_installed()
        if not alphabet or len(set(alphabet)) < len(alphabet) or not all(map(_stands_alone, alphabet)):
            raise AlphabetError(
                f"alphabet {alphabet!r}: expected letters, each once, and no white space or combining mark"
            )
        if not 1 <= length[0] <= length[1]:
            raise ValueError(f"length {length}: expected the fewest letters, at least 1, and the most")
        self.alphabet = alphabet
        self.length = length
        self._typefaces = [_typeface(Path(font), alphabet) for font in (find_line_fonts() if fonts is None else fonts)]
        if not self._typefaces:
            raise DatasetError("no fonts: give at least one with the letters of the alphabet")

    def render(
        self,
        rng: np.random.Generator | int,
        preset: Preset | str = MILD,
        label: str | None = None,
    ) -> Line:
        """Render a line, and its label too unless `label` is not None.

        Raises:
            AlphabetError: `label` is empty, or has a letter that the alphabet lacks.
        """
        rng = np.random.default_rng(rng)
        if label is None:
            length = int(rng.integers(self.length[0], self.length[1] + 1))
            label = "".join(self.alphabet[place] for place in rng.integers(len(self.alphabet), size=length))
        elif not label or set(label) - set(self.alphabet):
            raise AlphabetError(f"label {label!r}: expected one or more letters of {self.alphabet}")
        typeface = self._typefaces[rng.integers(len(self._typefaces))]
        canvas = _paint(_boxed(_written(label, typeface, rng), rng), rng)
        return Line(label, typeface.name, photograph(canvas, _PAD, find_preset(preset), rng))


def generate_lines(
    n: int,
    seed: int = 0,
    preset: Preset | str = MILD,
    *,
    start: int = 0,
    renderer: LineRenderer | None = None,
) -> Iterator[Line]:
    """Render lines `start` to `start + n - 1` of run `seed`.

    A line depends on the seed, its own index, the preset and the renderer's fonts, alphabet and length alone, so
    any worker can render any of them. Labels may repeat.
    """
    renderer = LineRenderer() if renderer is None else renderer
    for index in range(start, start + n):
        yield renderer.render(np.random.default_rng((seed, index)), preset)


def _stands_alone(letter: str) -> bool:
    """Return whether the letter stays the same in any label when it is stripped and brought into NFC, as labels are."""
    return not letter.isspace() and not unicodedata.combining(letter) and unicodedata.is_normalized("NFC", letter)


def _typeface(path: Path, alphabet: str) -> _Typeface:
    """Return the letters of a font at the size at which together they fill the height of a line."""
    trial = 100.0
    font = open_font(path, trial)
    require_glyphs(font, path, alphabet)
    tall = font.getbbox(alphabet)
    font = open_font(path, trial * _HEIGHT / (tall[3] - tall[1]))
    top = int(font.getbbox(alphabet)[1])
    letters = {}
    for letter in alphabet:
        box = font.getbbox(letter)
        advance = round(font.getlength(letter))
        letters[letter] = _Letter(draw_text(font, letter), int(box[0]), int(box[1]) - top, advance)
    return _Typeface(path.name, letters)


def _written(label: str, typeface: _Typeface, rng: np.random.Generator) -> Image:
    """Draw the ink of a line from its first letter's to its last letter's, (_HEIGHT, W) uint8."""
    import cv2

    spacing = round(rng.uniform(*SPACING) * _HEIGHT)
    letters = [typeface.letters[letter] for letter in label]
    starts = np.cumsum([0, *(letter.advance + spacing for letter in letters[:-1])])
    lefts = [int(start) + letter.left for start, letter in zip(starts, letters, strict=True)]
    first = min(lefts)
    ink = np.zeros(
        (
            max(_HEIGHT, max(letter.top + letter.ink.shape[0] for letter in letters)),
            max(left + letter.ink.shape[1] for left, letter in zip(lefts, letters, strict=True)) - first,
        ),
        np.uint8,
    )
    for left, letter in zip(lefts, letters, strict=True):
        height, width = letter.ink.shape
        cell = ink[letter.top : letter.top + height, left - first : left - first + width]
        np.maximum(cell, letter.ink, out=cell)
    width = max(1, round(ink.shape[1] * rng.uniform(*STRETCH)))
    ink = cv2.resize(ink, (width, ink.shape[0]), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if rng.random() < BOLD_CHANCE:
        ink = cv2.copyMakeBorder(ink, 0, 0, 1, 1, cv2.BORDER_CONSTANT, value=0).astype(np.uint8, copy=False)
        ink = cv2.dilate(ink, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False)
    return ink


def _boxed(ink: Image, rng: np.random.Generator) -> Image:
    """Place `ink` in the box that a detector would find, with _PAD around the box."""
    height, width = ink.shape
    left, right = rng.uniform(*SIDES, 2) * height
    above, below = rng.uniform(*ABOVE, 2) * height
    box = height + above + below
    room = max(0.0, rng.uniform(*LEAST_ASPECT) * box - (left + width + right))
    column = _PAD + int(left + rng.random() * room)
    row = _PAD + int(above)
    page = np.zeros((int(box) + 1 + 2 * _PAD, int(left + width + right + room) + 1 + 2 * _PAD), np.uint8)
    page[row : row + height, column : column + width] = ink
    return page


def _paint(ink: Image, rng: np.random.Generator) -> Image:
    """Paint ink on its ground, (H, W, 3) uint8, BGR."""
    import cv2

    light = rng.uniform(*LIGHT)
    dark = rng.uniform(0, light - LEAST_CONTRAST)
    ground, colour = (_tinted(grey, rng) for grey in ((light, dark) if rng.random() < 0.5 else (dark, light)))
    palette = ground + (colour - ground) * np.linspace(0, 1, 256)[:, None]
    page = cv2.LUT(cv2.merge([ink, ink, ink]), np.rint(palette).astype(np.uint8)[None])
    kind = rng.integers(3)
    if kind:
        cells = (3, 5) if kind == 1 else np.maximum(np.array(ink.shape) // rng.integers(2, 24, 2), 2)
        most = rng.uniform(*UNEVEN) * (light - dark)
        change = cv2.resize(rng.uniform(-most, most, cells).astype(np.float32), ink.shape[::-1])
        change = change * (1 - ink * np.float32(1 / 255))
        page = cv2.add(page, cv2.merge([change] * 3), dtype=cv2.CV_8U)
    if rng.random() < PANEL_CHANCE:
        left, top, right, bottom = (int(side) for side in rng.integers(0, _PAD, 4))
        page = page[top : page.shape[0] - bottom, left : page.shape[1] - right]
        beyond = _tinted(rng.uniform(0, LIGHT[1]), rng).tolist()
        page = cv2.copyMakeBorder(page, top, bottom, left, right, cv2.BORDER_CONSTANT, value=beyond)
    return page.astype(np.uint8, copy=False)


def _tinted(grey: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Choose a colour of a grey level, as far as 0 to 255 allow: (3,), BGR."""
    tint = rng.uniform(-TINT, TINT, 3) * rng.random()
    colour: npt.NDArray[np.float64] = np.clip(grey + tint - tint @ _GREY, 0, 255)
    return colour
