"""Provides the glyphs of plates, from open fonts or a folder of glyph images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from ..errors import DatasetError
from .degrade import Image
from .fonts import draw_text, open_font, require_glyphs
from .layouts import HANGUL_2019, LAYOUTS
from .plates.form import CAPITALS, DIGITS, REGIONS, SYLLABLES
from .plates.table import ROAD

_KEYS = {text: key for key, text in (SYLLABLES | REGIONS).items()}
"""Syllable or name of a region → the name of its file in a glyph folder."""
_HALVES = {name[place]: (name, place) for name in REGIONS.values() for place in (0, 1) if name[place] not in _KEYS}
"""Syllable without an image of its own → a region that has it, and its place in the name."""

FILL_ACROSS = 0.84
FILL_DOWN = 0.92
"""Width and height of a font's ink as shares of its cell, as on the plates themselves."""

Face = Callable[[str, str, int, int], Image]
"""(text, suffix in a glyph folder, width, height) → the ink of that glyph, (height, width) uint8."""


def font_face(path: Path, kinds: Sequence[str]) -> Face:
    """Return the glyphs of a font file that plates of those kinds need, stretched to fill their cells.

    Raises:
        DatasetError: it is no font, or lacks a digit or a syllable that plates need.
    """
    font = open_font(path, 160)
    require_glyphs(font, path, dict.fromkeys(text for kind in kinds for text in _glyphs(kind)))

    # Digits keep their proportions to one another: all are stretched by the same two factors. Capitals follow them.
    digits = {digit: _trimmed(draw_text(font, digit)) for digit in DIGITS}
    tallest, widest = (max(ink.shape[axis] for ink in digits.values()) for axis in (0, 1))

    @cache
    def face(text: str, _suffix: str, width: int, height: int) -> Image:
        ink = digits[text] if text in digits else _trimmed(draw_text(font, text))
        if text not in digits and text not in CAPITALS:
            return _centred(ink, width, height, 1, 1)
        return _centred(ink, width, height, min(1, ink.shape[1] / widest), min(1, ink.shape[0] / tallest))

    return face


def _glyph_file(text: str, suffix: str) -> str:
    """Return the name of the image of a glyph in a folder; digits and capital letters are in the same subfolder."""
    text, _ = _HALVES.get(text, (text, 0))
    if text.isascii():
        return f"num{suffix}/{text}.jpg"
    group = "region" if _KEYS[text] in REGIONS else "char1"
    return f"{group}{suffix}/{_KEYS[text]}.jpg"


def _glyphs(kind: str) -> Sequence[str]:
    """Return all texts that plates of a kind have in one cell, or in half of one."""
    if kind in ROAD:
        return ROAD[kind].glyphs
    layout = LAYOUTS[kind]
    syllables = (HANGUL_2019[spelling] for spelling in layout.labels.spellings)
    return (*DIGITS, *syllables, *(REGIONS.values() if layout.has_region else ()))


def _places(kinds: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Yield the texts of those kinds, with the suffix of the folders that have them."""
    for kind in kinds:
        suffix = ROAD[kind].suffix if kind in ROAD else LAYOUTS[kind].suffix
        for text in _glyphs(kind):
            yield text, suffix


def folder_faces(folder: Path, kinds: Sequence[str], fonts: Sequence[Face] = ()) -> list[Face]:
    """Return the glyphs of a folder of images that plates of those kinds need; margins are a part of a glyph.

    A syllable that has no image of its own is half of that of a region.

    Args:
        folder: the folder.
        kinds: kinds in LAYOUTS or forms in `plates.table.ROAD`.
        fonts: faces that render the glyphs that the folder lacks.

    Returns:
        A single face if the folder has all glyphs, otherwise one for every font.

    Raises:
        DatasetError: an image is missing and there is no font; or, when it is rendered, cannot be read.
    """
    names = {_glyph_file(text, suffix) for text, suffix in _places(kinds)}
    lacking = {name for name in names if not (folder / name).is_file()}
    if lacking and not fonts:
        more = f" and {len(lacking) - 1} more are" if len(lacking) > 1 else " is"
        raise DatasetError(f"{folder}: {min(lacking)}{more} missing: name a folder with all of them, or add fonts")
    images = _image_face(folder)

    def filled(font: Face) -> Face:
        def face(text: str, suffix: str, width: int, height: int) -> Image:
            source = font if _glyph_file(text, suffix) in lacking else images
            return source(text, suffix, width, height)

        return face

    return [filled(font) for font in fonts] if lacking else [images]


def _image_face(folder: Path) -> Face:
    """Return the glyphs of a folder of images."""
    import cv2

    @cache
    def face(text: str, suffix: str, width: int, height: int) -> Image:
        path = folder / _glyph_file(text, suffix)
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise DatasetError(f"{path}: cannot be read as an image: replace it")
        # Ink and ground of white, green and yellow plates differ most in red.
        red = image[..., 2].astype(np.float32)
        ink = abs(red - np.median(np.concatenate([red[0], red[-1]])))
        ink = np.clip(ink * (255 / max(1.0, float(ink.max()))), 0, 255).astype(np.uint8)
        if text in _HALVES:
            middle = ink.shape[1] // 2
            ink = ink[:, middle:] if _HALVES[text][1] else ink[:, :middle]
        return _resized(ink, width, height)

    return face


def _trimmed(ink: Image) -> Image:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centred(ink: Image, width: int, height: int, across: float, down: float) -> Image:
    """Place `ink` in the middle of a cell, filling that part of the cell's inner box both ways."""
    inner = _resized(ink, max(1, round(width * FILL_ACROSS * across)), max(1, round(height * FILL_DOWN * down)))
    cell = np.zeros((height, width), np.uint8)
    row, column = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    cell[row : row + inner.shape[0], column : column + inner.shape[1]] = inner
    return cell


def _resized(image: Image, width: int, height: int) -> Image:
    import cv2

    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
