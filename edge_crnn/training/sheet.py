"""A contact sheet: many small images with their captions on one large one, for people to look at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .degrade import Image
from .fonts import open_font

_COLUMNS = 10
_WIDTH = 208
_HEIGHT = 96
_GAP = 8
_TEXT = 15
_PAPER = 245
_INK = 30
_LARGEST = 3.0
"""Times that a small image is enlarged at most, so that it still looks as small as it is."""


def contact_sheet(images: Iterable[tuple[str, Image]], font: Path) -> Image:
    """Draw images with their captions below, ten in a row: (H, W, 3) uint8, BGR.

    Each image is (H, W, 3) uint8, BGR, and keeps its aspect; captions are written in `font`, and cut where they
    are longer than an image is wide.

    Raises:
        DatasetError: the font is none.
    """
    from PIL import Image as PillowImage
    from PIL import ImageDraw

    shown = list(images)
    cell_width, cell_height = _WIDTH + _GAP, _HEIGHT + _TEXT + 2 * _GAP
    columns = max(1, min(_COLUMNS, len(shown)))
    rows = -(-len(shown) // columns)
    sheet = np.full((rows * cell_height + _GAP, columns * cell_width + _GAP, 3), _PAPER, np.uint8)
    places = [
        (row * cell_height + _GAP, column * cell_width + _GAP) for row in range(rows) for column in range(columns)
    ]
    for (top, left), (_, image) in zip(places, shown, strict=False):
        small = _fitted(image)
        row, column = top + (_HEIGHT - small.shape[0]) // 2, left + (_WIDTH - small.shape[1]) // 2
        sheet[row : row + small.shape[0], column : column + small.shape[1]] = small
    page = PillowImage.fromarray(sheet)
    pen = ImageDraw.Draw(page)
    face = open_font(font, _TEXT)
    for (top, left), (caption, _) in zip(places, shown, strict=False):
        while caption and face.getlength(caption) > _WIDTH:
            caption = caption[:-1]
        start = left + (_WIDTH - face.getlength(caption)) / 2
        pen.text((start, top + _HEIGHT + 2), caption, fill=(_INK,) * 3, font=face)
    return np.asarray(page)


def _fitted(image: Image) -> Image:
    import cv2

    height, width = image.shape[:2]
    scale = min(_WIDTH / width, _HEIGHT / height, _LARGEST)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return cv2.resize(image, size, interpolation=way).astype(np.uint8, copy=False)
