"""Provides the glyphs of plates, from open fonts or a folder of glyph images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from ..errors import DatasetError
from .degrade import Image
from .fonts import draw_text, open_font, require_glyphs
from .layouts import HANGUL_2019, KINDS, LAYOUTS, REGIONS, PlateKind

_DIGITS = dict(zip("0123456789", "0123456789", strict=True))
_TEXTS = {**_DIGITS, **HANGUL_2019, **REGIONS}
"""Part of a label → the text that a font writes for it."""

_FILL_ACROSS, _FILL_DOWN = 0.84, 0.92
"""How much of its cell a font's ink fills, as it does on the plates themselves."""

Face = Callable[[str, str, int, int], Image]
"""(part of a label, colour suffix, width, height) → the ink of that glyph, (height, width) uint8."""


def font_face(path: Path, kinds: Sequence[PlateKind] = KINDS) -> Face:
    """Return the glyphs of a font file that plates of those kinds need, stretched to fill their cells.

    Raises:
        DatasetError: it is no font, or lacks a digit or a syllable that plates need.
    """
    font = open_font(path, 160)
    require_glyphs(font, path, dict.fromkeys(_TEXTS[part] for kind in kinds for part in _parts(kind)))

    # Digits keep their proportions to one another: all are stretched by the same two factors.
    digits = {digit: _trimmed(draw_text(font, digit)) for digit in _DIGITS}
    tallest, widest = (max(ink.shape[axis] for ink in digits.values()) for axis in (0, 1))

    @cache
    def face(part: str, _suffix: str, width: int, height: int) -> Image:
        ink = digits[part] if part in digits else _trimmed(draw_text(font, _TEXTS[part]))
        across, down = (ink.shape[1] / widest, ink.shape[0] / tallest) if part in digits else (1.0, 1.0)
        return _centred(ink, width, height, across, down)

    return face


def _glyph_file(part: str, suffix: str) -> str:
    if part in _DIGITS:
        group = "num"
    elif part in REGIONS:
        group = "region"
    else:
        group = "char1"
    return f"{group}{suffix}/{part}.jpg"


def _parts(kind: PlateKind) -> list[str]:
    """Return all parts that labels of a kind are made of."""
    layout = LAYOUTS[kind]
    return [*_DIGITS, *layout.form.spellings, *(REGIONS if layout.has_region else ())]


def folder_face(folder: Path, kinds: Sequence[PlateKind] = KINDS) -> Face:
    """Return the glyphs of a folder of images that plates of those kinds need; margins are a part of a glyph.

    Raises:
        DatasetError: an image is missing; or, when it is drawn, cannot be read.
    """
    import cv2

    names = sorted({_glyph_file(part, LAYOUTS[kind].suffix) for kind in kinds for part in _parts(kind)})
    lacking = [name for name in names if not (folder / name).is_file()]
    if lacking:
        more = f" and {len(lacking) - 1} more are" if len(lacking) > 1 else " is"
        raise DatasetError(f"{folder}: {lacking[0]}{more} missing: name a folder with all of them, or use fonts")

    @cache
    def face(part: str, suffix: str, width: int, height: int) -> Image:
        path = folder / _glyph_file(part, suffix)
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise DatasetError(f"{path}: cannot be read as an image: replace it")
        # Ink and ground of white, green and yellow plates differ most in red.
        red = picture[..., 2].astype(np.float32)
        ink = abs(red - np.median(np.concatenate([red[0], red[-1]])))
        ink = np.clip(ink * (255 / max(1.0, float(ink.max()))), 0, 255).astype(np.uint8)
        return _resized(ink, width, height)

    return face


def _trimmed(ink: Image) -> Image:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centred(ink: Image, width: int, height: int, across: float, down: float) -> Image:
    """Place `ink` in the middle of a cell, filling that part of the cell's inner box both ways."""
    inner = _resized(ink, max(1, round(width * _FILL_ACROSS * across)), max(1, round(height * _FILL_DOWN * down)))
    cell = np.zeros((height, width), np.uint8)
    row, column = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    cell[row : row + inner.shape[0], column : column + inner.shape[1]] = inner
    return cell


def _resized(image: Image, width: int, height: int) -> Image:
    import cv2

    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
