"""Seeded images of Korean number plates, cropped, with their labels.

`layouts` and `plates.table` describe plates, `glyphs` and `plates.painting` draw them, `degrade` shows them as a
camera would. Needs Pillow and OpenCV, no Keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DatasetError
from .canvas import blank_plate, coloured, draw_car, px, worn_colours
from .degrade import MILD, Image, Preset, check_installed, find_preset, photograph
from .fonts import find_fonts
from .glyphs import Face, folder_faces, font_face
from .layouts import HANGUL_2019, LAYOUTS, Layout, check_label, label_at
from .plates import painting
from .plates.form import REGIONS
from .plates.table import FORMS, ROAD

_PAD = px(60)
"""Pixels of car body drawn around a plate of LAYOUTS."""
_MARGIN = 0.25
"""Least bound of a preset's margin for a plate of ROAD, in heights of the plate: detectors leave 5 % of the width."""
_TEXTS = HANGUL_2019 | REGIONS
"""Part of a label → the text on the plate; a digit stands for itself."""


class Plate(NamedTuple):
    """A rendered plate."""

    label: str
    kind: str
    image: Image
    """(H, W, 3) uint8, BGR, cropped."""


class Renderer:
    """Renders plates; keeps each glyph that it has drawn.

    Args:
        fonts: font files with the digits and Hangul of plates; by default those of `find_fonts()`, or none with
            `glyphs`.
        glyphs: a folder of glyph images: `num`, `char1` for white plates, with `_g` for green and `_y` for yellow
            ones, `region_g`, `region_y`; files named `7.jpg`, `sk.jpg`, `A.jpg`. A glyph that the folder lacks comes
            from a font; without fonts, the folder must have all.
        kinds: names of kinds in LAYOUTS or forms in `plates.table.ROAD`, those that it can render; by default all forms
            that are on the road.

    Raises:
        DatasetError: a font lacks a glyph, or the folder lacks an image.
        BackendUnavailable: Pillow or OpenCV is not installed.
    """

    def __init__(
        self,
        fonts: Sequence[Path] | None = None,
        glyphs: Path | None = None,
        kinds: Sequence[str] = tuple(FORMS),
    ) -> None:
        check_installed()
        self.kinds = tuple(kinds)
        if fonts is None:
            fonts = () if glyphs else find_fonts()
        self._faces: list[Face] = [font_face(Path(font), kinds) for font in fonts]
        if glyphs is not None:
            self._faces = folder_faces(Path(glyphs), kinds, self._faces)
        if not self._faces:
            raise DatasetError("no fonts: give at least one with Hangul")

    def render(
        self,
        rng: np.random.Generator | int,
        preset: Preset | str = MILD,
        kind: str | None = None,
        label: str | None = None,
    ) -> Plate:
        """Render a plate, and its kind and label too if they are None.

        Raises:
            AlphabetError: `label` is none of a plate of that kind.
            ValueError: the renderer was made for other kinds.
        """
        rng = np.random.default_rng(rng)
        kind = self.kinds[rng.integers(len(self.kinds))] if kind is None else kind
        if kind not in self.kinds:
            raise ValueError(f"kind {kind!r}: this renderer renders {', '.join(self.kinds)}; make one for that kind")
        label = label_at(int(rng.integers(1 << 32)), 0, kind) if label is None else label
        check_label(label, kind)
        preset = find_preset(preset)
        face = self._faces[rng.integers(len(self._faces))]
        if kind in LAYOUTS:
            return Plate(label, kind, photograph(_draw(label, LAYOUTS[kind], face, rng), _PAD, preset, rng))
        canvas = painting.paint(ROAD[kind], label, face, rng)
        return Plate(label, kind, photograph(canvas, painting.PAD, _with_margin(preset), rng))


def _with_margin(preset: Preset) -> Preset:
    """Return the preset with margins up to _MARGIN, unless it has none at all."""
    low, high = preset.margin
    return replace(preset, margin=(low, max(high, _MARGIN))) if high else preset


def _draw(label: str, layout: Layout, face: Face, rng: np.random.Generator) -> Image:
    """Render the plate on a car, head on: (H, W, 3) uint8, BGR, at PX_PER_MM, with _PAD around it."""
    import cv2

    body, frame = blank_plate(layout.width, layout.height)
    ink = frame.copy() if rng.random() < 0.8 else np.zeros_like(frame)
    for first, length, x, y, width, height in layout.slots:
        part = label[first : first + length]
        glyph = face(_TEXTS.get(part, part), layout.suffix, px(width), px(height))
        row, column = px(y), px(x)
        cell = ink[row : row + glyph.shape[0], column : column + glyph.shape[1]]
        np.maximum(cell, glyph, out=cell)

    background, colour = worn_colours(layout.background, layout.ink, rng)
    plate = coloured(ink, background, colour, layout.least_ink, rng)
    if rng.random() < 0.7:
        metal = int(rng.integers(90, 210))
        for x, y in layout.bolts:
            centre = (px(x), px(y))
            cv2.circle(plate, centre, px(6), (metal,) * 3, -1, cv2.LINE_AA)
            cv2.circle(plate, centre, px(6), (metal // 2,) * 3, 1, cv2.LINE_AA)

    canvas = draw_car(body.shape[0] + 2 * _PAD, body.shape[1] + 2 * _PAD, rng)
    cv2.copyTo(plate, body, canvas[_PAD:-_PAD, _PAD:-_PAD])
    return canvas


def generate(
    n: int,
    seed: int = 0,
    preset: Preset | str = MILD,
    *,
    kind: str | None = None,
    start: int = 0,
    renderer: Renderer | None = None,
) -> Iterator[Plate]:
    """Render plates `start` to `start + n - 1` of run `seed`, in rotation of the renderer's kinds unless `kind` is set.

    The default renderer renders all forms, or `kind` alone. A plate depends on the seed, its own index, the preset and
    the glyphs alone, so any worker can render any of them. No two of a run have the same label, but for foreign plates
    and for kinds of LAYOUTS mixed with others.
    """
    if renderer is None:
        renderer = Renderer() if kind is None else Renderer(kinds=(kind,))
    for index in range(start, start + n):
        shape = renderer.kinds[index % len(renderer.kinds)] if kind is None else kind
        rng = np.random.default_rng((seed, index))
        yield renderer.render(rng, preset, shape, label_at(seed, index, shape))
