"""Renders images that a plate reader must reject: they have no text, or none that its symbols can spell.

They are what a detector that errs passes on, and plates that nobody can read or that belong to another alphabet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from string import ascii_letters, digits

import numpy as np

from ..ctc.korean_plates import LabelSet
from . import scenes
from .degrade import HEAVY, Image, Preset, find_preset, photograph
from .fonts import find_fonts, find_line_fonts
from .layouts import HANGUL, label_at
from .lines import LineRenderer
from .plates.form import REGIONS, Form
from .plates.table import FORMS, NEGATIVES
from .synthetic import Plate, Renderer

Rng = np.random.Generator

_WORDS = (2, 12)
"""Fewest and most letters of a line."""


def _cropped(preset: Preset, form: Form, rng: Rng) -> Preset:
    """Cut some 20 to 50 % of the width or 40 to 60 % of the height away at one side, so that a symbol is missing."""
    # A plate with three digits whose first is cut away looks like a whole plate with two.
    has_three = isinstance(form.labels, LabelSet) and form.labels.digits == 3
    # At least 40 % of the glyphs of a line are hidden, however wide the ground above or below them is.
    above = min(cell.y + 0.4 * cell.height for cell in form.cells) / form.height
    below = min(form.height - cell.y - 0.6 * cell.height for cell in form.cells) / form.height
    cuts = (0.35 if has_three else 0.2, 0.5), (max(0.4, above), 0.6), (0.2, 0.5), (max(0.4, below), 0.6)
    side = int(rng.integers(4))
    share = rng.uniform(*cuts[side])
    left, top, right, bottom = (share if place == side else 0.0 for place in range(4))
    return replace(preset, cut=(left, top, right, bottom))


def _smeared(preset: Preset, _form: Form, _rng: Rng) -> Preset:
    """Move the plate by one to three widths of a digit during the exposure."""
    return replace(preset, motion_chance=1.0, motion_mm=(60.0, 150.0))


def _tiny(preset: Preset, _form: Form, _rng: Rng) -> Preset:
    """Take the plate from so far away that a digit is two to four pixels wide."""
    return replace(preset, px_per_mm=(0.03, 0.06))


_SCENES: Mapping[str, Callable[[Rng], scenes.Canvas]] = {
    "plain": scenes.plain,
    "gradient": scenes.gradient,
    "noise": scenes.noise,
    "cloud": scenes.cloud,
    "courses": scenes.courses,
    "shapes": scenes.shapes,
}
_LINES: Mapping[str, str] = {
    "latin": ascii_letters,
    "hangul": "".join(sorted({letter for text in (*HANGUL.values(), *REGIONS.values()) for letter in text})),
    "numbers": digits,
}
"""Kind of line → its letters, of which any sequence is drawn."""
_LETTERED: Mapping[str, Callable[[Rng, Sequence[Path]], scenes.Canvas]] = {
    "sign": scenes.sign,
    "badge": scenes.badge,
}
_UNREADABLE: Mapping[str, Callable[[Preset, Form, Rng], Preset]] = {
    "cropped": _cropped,
    "smeared": _smeared,
    "tiny": _tiny,
}
"""Legal plates → the preset that makes them unreadable."""

OTHER_KINDS = (*_SCENES, *_LINES, *_LETTERED, *_UNREADABLE)
"""The kinds that are no form of plate. The seed of an image has the place of its kind, so new ones go to the end."""
KINDS = (*NEGATIVES, *OTHER_KINDS)
"""All kinds of negatives: the forms of `plates.table.NEGATIVES`, and OTHER_KINDS."""


class NegativeRenderer:
    """Renders negatives; keeps fonts and glyphs that it has opened.

    Args:
        fonts: font files with digits, Latin letters and Hangul; by default those of `find_fonts()`, and those of
            `find_line_fonts()` for Latin text.
        glyphs: a folder of glyph images for plates; see `Renderer`.
        kinds: those of KINDS that it can render.

    Raises:
        DatasetError: a font lacks a glyph, or the folder lacks an image and there are no fonts.
        BackendUnavailable: Pillow or OpenCV is not installed.
    """

    def __init__(
        self, fonts: Sequence[Path] | None = None, glyphs: Path | None = None, kinds: Sequence[str] = KINDS
    ) -> None:
        self.kinds = tuple(kinds)
        self._fonts = fonts
        forms = [kind for kind in kinds if kind in NEGATIVES]
        if any(kind in _UNREADABLE for kind in kinds):
            forms += FORMS
        self._plates = Renderer(fonts, glyphs, forms) if forms else None
        self._lines = cache(lambda alphabet: LineRenderer(self._fonts_of(alphabet), alphabet, _WORDS))

    def draw(self, kind: str, seed: int, index: int, preset: Preset | str = HEAVY) -> Plate:
        """Render image `index` of run `seed`; its label is empty. It depends on these, the preset and the fonts alone.

        Raises:
            ValueError: the renderer was made for other kinds.
        """
        if kind not in self.kinds:
            raise ValueError(f"kind {kind!r}: this renderer renders {', '.join(self.kinds)}; make one for that kind")
        preset = find_preset(preset)
        if kind in NEGATIVES:
            assert self._plates is not None
            rng = np.random.default_rng((seed, index))
            return self._plates.render(rng, preset, kind, label_at(seed, index, kind))._replace(label="")
        image = self._other(kind, preset, np.random.default_rng((seed, OTHER_KINDS.index(kind), index)))
        return Plate("", kind, image)

    def _other(self, kind: str, preset: Preset, rng: Rng) -> Image:
        """Render a kind in OTHER_KINDS."""
        if kind in _LINES:
            return self._lines(_LINES[kind]).render(rng, preset).image
        if kind in _UNREADABLE:
            assert self._plates is not None
            name, form = list(FORMS.items())[rng.integers(len(FORMS))]
            return self._plates.render(rng, _UNREADABLE[kind](preset, form, rng), name).image
        canvas = _SCENES[kind](rng) if kind in _SCENES else _LETTERED[kind](rng, self._fonts_of(""))
        return photograph(np.rint(canvas).astype(np.uint8), scenes.PAD, preset, rng)

    def _fonts_of(self, alphabet: str) -> Sequence[Path]:
        if self._fonts is not None:
            return self._fonts
        return find_line_fonts() if alphabet and alphabet.isascii() else find_fonts()


def generate_negatives(
    n: int,
    seed: int = 0,
    preset: Preset | str = HEAVY,
    *,
    kind: str | None = None,
    start: int = 0,
    renderer: NegativeRenderer | None = None,
) -> Iterator[Plate]:
    """Render negatives `start` to `start + n - 1` of run `seed`, of `kind` or in rotation of the renderer's kinds.

    The default renderer renders all kinds, or `kind` alone. See `NegativeRenderer.draw`.

    Raises:
        DatasetError: the fonts of the default set are not installed.
        BackendUnavailable: Pillow or OpenCV is not installed.
    """
    if renderer is None:
        renderer = NegativeRenderer() if kind is None else NegativeRenderer(kinds=(kind,))
    for index in range(start, start + n):
        shape = renderer.kinds[index % len(renderer.kinds)] if kind is None else kind
        yield renderer.draw(shape, seed, index, preset)
