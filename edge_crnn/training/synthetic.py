"""Seeded pictures of Korean number plates, cropped, with their labels.

`layouts` says what stands where, `glyphs` draws it, `degrade` pictures it. Needs Pillow and OpenCV, no Keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DatasetError
from .degrade import MILD, PX_PER_MM, Image, Preset, check_installed, find_preset, photograph
from .fonts import find_fonts
from .glyphs import folder_face, font_face
from .layouts import KINDS, LAYOUTS, Layout, PlateKind, check_label, label_at

_PAD = round(60 * PX_PER_MM)
"""Pixels of car body drawn around a plate."""


class Plate(NamedTuple):
    """A drawn plate."""

    label: str
    kind: PlateKind
    image: Image
    """(H, W, 3) uint8, BGR, cropped."""


class Renderer:
    """Draws plates; keeps each glyph that it has drawn.

    Args:
        fonts: font files with the digits and Hangul of plates; by default those of `find_fonts()`.
        glyphs: a folder of glyph images to use instead: `num`, `char1` for white plates, with `_g` for green
            and `_y` for yellow ones, `region_g`, `region_y`; files named `7.jpg`, `sk.jpg`, `A.jpg`.
        kinds: what it can draw; KINDS_2019 need three more syllables, which such folders often lack.

    Raises:
        DatasetError: a font lacks a glyph, or the folder lacks an image.
        BackendUnavailable: Pillow or OpenCV is not installed.
    """

    def __init__(
        self,
        fonts: Sequence[Path] | None = None,
        glyphs: Path | None = None,
        kinds: Sequence[PlateKind] = KINDS,
    ) -> None:
        check_installed()
        self.kinds = tuple(kinds)
        if glyphs is not None:
            if fonts is not None:
                raise ValueError("glyphs come from fonts or from a folder, not from both: give one of them")
            self._faces = [folder_face(Path(glyphs), kinds)]
        else:
            self._faces = [font_face(Path(font), kinds) for font in (find_fonts() if fonts is None else fonts)]
            if not self._faces:
                raise DatasetError("no fonts: give at least one with Hangul")

    def render(
        self,
        rng: np.random.Generator | int,
        preset: Preset | str = MILD,
        kind: PlateKind | None = None,
        label: str | None = None,
    ) -> Plate:
        """Draw a plate, and its kind and label too if they are None.

        Raises:
            AlphabetError: `label` is none of a plate of that kind.
            ValueError: the renderer was made for other kinds.
        """
        rng = np.random.default_rng(rng)
        kind = self.kinds[rng.integers(len(self.kinds))] if kind is None else kind
        if kind not in self.kinds:
            raise ValueError(f"kind {kind!r}: this renderer draws {', '.join(self.kinds)}; make one for that kind")
        label = label_at(int(rng.integers(1 << 32)), 0, kind) if label is None else label
        check_label(label, kind)
        canvas = self._draw(label, LAYOUTS[kind], rng)
        return Plate(label, kind, photograph(canvas, _PAD, find_preset(preset), rng))

    def _draw(self, label: str, layout: Layout, rng: np.random.Generator) -> Image:
        """Draw the plate on a car, head on: (H, W, 3) uint8, BGR, at PX_PER_MM, with _PAD around it."""
        import cv2

        face = self._faces[rng.integers(len(self._faces))]
        body, frame = _blank(layout)
        ink = frame.copy() if rng.random() < 0.8 else np.zeros_like(frame)
        for first, length, x, y, width, height in layout.slots:
            glyph = face(label[first : first + length], layout.suffix, _px(width), _px(height))
            row, column = _px(y), _px(x)
            cell = ink[row : row + glyph.shape[0], column : column + glyph.shape[1]]
            np.maximum(cell, glyph, out=cell)

        dirt = rng.uniform(0.82, 1.0)
        background = np.array(layout.background) * dirt + rng.uniform(-8, 8, 3)
        colour = np.array(layout.ink) * dirt + rng.uniform(-12, 12, 3)
        shades = background + (colour - background) * np.linspace(0, rng.uniform(layout.least_ink, 1), 256)[:, None]
        palette = np.clip(shades, 0, 255).astype(np.uint8)[None]
        plate = cv2.LUT(cv2.merge([ink, ink, ink]), palette)
        if rng.random() < 0.7:
            metal = int(rng.integers(90, 210))
            for x, y in layout.bolts:
                centre = (_px(x), _px(y))
                cv2.circle(plate, centre, _px(6), (metal,) * 3, -1, cv2.LINE_AA)
                cv2.circle(plate, centre, _px(6), (metal // 2,) * 3, 1, cv2.LINE_AA)

        canvas = _car(body.shape[0] + 2 * _PAD, body.shape[1] + 2 * _PAD, rng)
        cv2.copyTo(plate, body, canvas[_PAD:-_PAD, _PAD:-_PAD])
        return canvas


def generate(
    n: int,
    seed: int = 0,
    preset: Preset | str = MILD,
    *,
    kind: PlateKind | None = None,
    start: int = 0,
    renderer: Renderer | None = None,
) -> Iterator[Plate]:
    """Draw plates `start` to `start + n - 1` of run `seed`, in rotation of the renderer's kinds unless `kind` is set.

    A plate depends on the seed, its own index, the preset and the glyphs alone, so any worker can draw any of
    them. No two of a run have the same label.
    """
    if renderer is None:
        renderer = Renderer(kinds=KINDS if kind is None else (kind,))
    for index in range(start, start + n):
        shape = renderer.kinds[index % len(renderer.kinds)] if kind is None else kind
        rng = np.random.default_rng((seed, index))
        yield renderer.render(rng, preset, shape, label_at(seed, index, shape))


@cache
def _blank(layout: Layout) -> tuple[Image, Image]:
    """Draw the plate's outline, and the ink of its frame: (H, W) uint8 both."""
    import cv2

    height, width = _px(layout.height), _px(layout.width)
    outline = _rounded(height, width, _px(10))
    inner = np.zeros_like(outline)
    edge, line = _px(4), _px(4)
    inner[edge:-edge, edge:-edge] = _rounded(height - 2 * edge, width - 2 * edge, _px(8))
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


def _car(height: int, width: int, rng: np.random.Generator) -> Image:
    """Paint around the plate: one colour, lighter or darker from place to place."""
    import cv2

    colour = rng.uniform(10, 220) + rng.uniform(-25, 25, 3)
    patches = np.clip(colour + rng.uniform(-30, 30, (3, 5, 1)), 0, 255).astype(np.uint8)
    return cv2.resize(patches, (width, height)).astype(np.uint8, copy=False)


def _px(mm: float) -> int:
    return round(mm * PX_PER_MM)
