"""Paints a plate of one of the forms on a car: glyphs, bolts, strip, holder, and the light that falls on them."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from ..canvas import Floats, blank_plate, coloured, draw_car, levels, px, worn_colours
from ..degrade import PX_PER_MM, Image
from ..glyphs import FILL_ACROSS, FILL_DOWN, Face
from .form import Cell, Colour, Form, Paint, Strip

Light = Literal["day", "infrared", "night"]
LIGHTS: tuple[Light, ...] = get_args(Light)
_LIGHT_SHARES = (0.7, 0.15, 0.15)

PAD = px(90)
"""Pixels of car body drawn around a plate."""

BOLT_MM = (20.0, 25.0)
"""Least and greatest width of the head of a bolt."""
_BOLTS_CHANCE = 0.85
_RIM_CHANCE = 0.8
_HOLDER_CHANCE = 0.4

# Few sizes, since a face keeps every size of a glyph.
_ACROSS = (0.78, 0.82, 0.86, 0.9)
"""Widths of the widest digit as shares of its cell."""
_SYLLABLE_SIZES = 3
_SYLLABLE_ACROSS = 0.84
_BAND_MM = (12, 18, 24, 30)
"""Heights of the part of a holder that bears text."""
_REGION_ACROSS = 0.94
_WIDEST_SYLLABLE = 0.95
"""Greatest width of a syllable as a share of its height."""


def paint(form: Form, label: str, face: Face, rng: np.random.Generator, light: Light | None = None) -> Image:
    """Paint the plate on a car, head on: (H, W, 3) uint8, BGR, at PX_PER_MM, with PAD around it.

    Args:
        form: the form of the plate.
        label: one of the form's labels.
        face: draws its glyphs.
        rng: decides all else.
        light: day, infrared or night; None leaves it to `rng`.
    """
    import cv2

    if light is None:
        light = LIGHTS[rng.choice(len(LIGHTS), p=_LIGHT_SHARES)]
    colours = form.paints[rng.integers(len(form.paints))]
    ground, ink_colour = _nuanced(colours, light, rng)
    outline, rim = blank_plate(form.width, form.height)
    ink = rim.copy() if rng.random() < _RIM_CHANCE else np.zeros_like(rim)
    _write(ink, form, label, face, rng)
    plate = coloured(ink, ground, ink_colour, colours.least_ink, rng)
    if form.strip is not None:
        _draw_strip(plate, form.strip, rng)
    if form.emblem:
        _draw_letters(plate, form.emblem, px(8), px(38), px(form.height * 0.76), (150, 110, 40))
    if rng.random() < _BOLTS_CHANCE:
        _draw_bolts(plate, form, ground, rng)

    canvas = draw_car(outline.shape[0] + 2 * PAD, outline.shape[1] + 2 * PAD, rng)
    seen = outline
    if rng.random() < _HOLDER_CHANCE:
        seen = _draw_holder(canvas, outline, form, face, rng)
    cv2.copyTo(plate, seen, canvas[PAD:-PAD, PAD:-PAD])
    if light == "night":
        return _at_night(canvas, outline, colours, rng)
    if light == "infrared":
        grey = cv2.cvtColor(canvas, cv2.COLOR_BGR2GRAY)
        return cv2.merge([grey] * 3).astype(np.uint8, copy=False)
    return canvas


def _nuanced(colours: Paint, light: Light, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the colours of ground and ink of one plate, (3,) BGR each."""
    if light == "infrared":
        grey = colours.infrared[rng.integers(len(colours.infrared))]
        ground, ink = (np.full(3, level + rng.uniform(-25, 25)) for level in grey)
        return ground, ink
    return worn_colours(colours.ground, colours.ink, rng)


def _write(ink: Image, form: Form, label: str, face: Face, rng: np.random.Generator) -> None:
    """Write the label into the cells."""
    across = _ACROSS[rng.integers(len(_ACROSS))]
    syllable = np.linspace(*form.syllable, _SYLLABLE_SIZES)[rng.integers(_SYLLABLE_SIZES)]
    bar = rng.uniform(0.17, 0.24)
    for text, cell in zip(form.texts(label), form.cells, strict=True):
        if text == "1" and form.has_bare_one:
            place = _scaled(cell, bar, 1)
            ink[px(place.y) : px(place.y + place.height), px(place.x) : px(place.x + place.width)] = 255
        elif len(text) == 2 and form.is_stacked:
            half = cell.height / 2
            for upper, part in enumerate(text):
                place = cell._replace(y=cell.y + upper * half, height=half)
                _put(ink, face, part, form.suffix, _scaled(place, across, FILL_DOWN))
        elif len(text) == 2:
            _put(ink, face, text, form.suffix, _scaled(cell, _REGION_ACROSS, 1))
        elif text.isascii():
            _put(ink, face, text, form.suffix, _scaled(cell, across, 1))
        else:
            widest = _WIDEST_SYLLABLE * syllable * cell.height / cell.width
            _put(ink, face, text, form.suffix, _scaled(cell, min(_SYLLABLE_ACROSS, widest), syllable))


def _scaled(cell: Cell, across: float, down: float) -> Cell:
    """Return the cell scaled about its centre."""
    width, height = cell.width * across, cell.height * down
    return Cell(cell.x + (cell.width - width) / 2, cell.y + (cell.height - height) / 2, width, height)


def _put(ink: Image, face: Face, text: str, suffix: str, place: Cell) -> None:
    """Draw a glyph whose ink fills `place`, in millimetres."""
    box = _scaled(place, 1 / FILL_ACROSS, 1 / FILL_DOWN)
    glyph = face(text, suffix, px(box.width), px(box.height))
    _stamp(ink, glyph, px(box.y), px(box.x))


def _stamp(ink: Image, glyph: Image, row: int, column: int) -> None:
    """Add a glyph, of which the part within `ink` shows."""
    top, left = max(0, -row), max(0, -column)
    cell = ink[row + top : row + glyph.shape[0], column + left : column + glyph.shape[1]]
    np.maximum(cell, glyph[top : top + cell.shape[0], left : left + cell.shape[1]], out=cell)


def _draw_strip(plate: Image, strip: Strip, rng: np.random.Generator) -> None:
    import cv2

    fade = rng.uniform(0.85, 1.1)
    height, width = plate.shape[0], px(strip.width)
    plate[:, :width] = levels(np.array(strip.colour) * fade)
    centre, radius = (width // 2, height // 4), round(height * 0.13)
    cv2.circle(plate, centre, radius + 1, (235, 235, 235), -1, cv2.LINE_AA)
    for start, colour in zip((180, 0), strip.disc, strict=True):
        cv2.ellipse(plate, centre, (radius, radius), 0, start, start + 180, colour, -1, cv2.LINE_AA)
    _draw_letters(plate, strip.letters, round(width * 0.15), round(width * 0.85), round(height * 0.8), (245, 245, 245))


def _draw_letters(plate: Image, letters: str, left: int, right: int, middle: int, colour: Colour) -> None:
    """Draw small Latin letters, as wide as there is room, but no taller than a third of it."""
    import cv2

    (width, height), _ = cv2.getTextSize(letters, cv2.FONT_HERSHEY_DUPLEX, 1, 1)
    scale = min((right - left) / width, (right - left) / 2 / height)
    place = round((left + right - width * scale) / 2), round(middle + height * scale / 2)
    cv2.putText(plate, letters, place, cv2.FONT_HERSHEY_DUPLEX, scale, colour, 1, cv2.LINE_AA)


def _draw_bolts(plate: Image, form: Form, ground: Floats, rng: np.random.Generator) -> None:
    """Draw bolts of one sort: bright, dark, painted like the plate, or rusty; now and then, one is missing."""
    import cv2

    sorts = (
        np.full(3, rng.uniform(160, 250)),
        np.full(3, rng.uniform(20, 80)),
        ground * rng.uniform(0.85, 1.1),
        np.array([45, 75, 125]) * rng.uniform(0.7, 1.3),
    )
    colour = sorts[rng.integers(len(sorts))]
    radius = rng.uniform(*BOLT_MM) / 2 * PX_PER_MM
    for x, y in form.bolts:
        if rng.random() < 0.95:
            # Eight fractional bits place the circle to a part of a pixel.
            centre, size = (round(x * PX_PER_MM * 256), round(y * PX_PER_MM * 256)), round(radius * 256)
            cv2.circle(plate, centre, size, levels(colour).tolist(), -1, cv2.LINE_AA, 8)
            cv2.circle(plate, centre, size, levels(colour * 0.6).tolist(), 1, cv2.LINE_AA, 8)
            cv2.circle(plate, centre, size // 2, levels(colour * 0.85).tolist(), 1, cv2.LINE_AA, 8)


def _draw_holder(canvas: Image, outline: Image, form: Form, face: Face, rng: np.random.Generator) -> Image:
    """Draw a holder with a dealer's text below or above the plate; return what it leaves visible of the plate."""
    import cv2

    level = rng.uniform(15, 235)
    band = _BAND_MM[rng.integers(len(_BAND_MM))]
    is_above = rng.random() < 0.2
    side, other = (px(mm) for mm in rng.uniform(3, 14, 2))
    lip = px(rng.uniform(0, 3))
    above, below = (px(band), other) if is_above else (other, px(band))
    height, width = canvas.shape[:2]
    corners = (PAD - side, PAD - above), (width - PAD + side - 1, height - PAD + below - 1)
    cv2.rectangle(canvas, *corners, (level,) * 3, -1)

    # The plate's own glyphs are the text that is most easily taken for a part of the label.
    letters = [text for text in form.glyphs if len(text) == 1]
    size = px(band * 0.6)
    text = [letters[place] for place in rng.integers(len(letters), size=rng.integers(4, 13))]
    ink = np.zeros((height, width), np.uint8)
    row = (corners[0][1] if is_above else height - PAD) + (px(band) - size) // 2
    start = (width - size * len(text)) // 2
    for place, letter in enumerate(text):
        _stamp(ink, face(letter, form.suffix, size, size), row, start + place * size)
    canvas[ink > 127] = 235 if level < 125 else 25

    seen = np.zeros_like(outline)
    inner = np.s_[lip : seen.shape[0] - lip, lip : seen.shape[1] - lip]
    seen[inner] = outline[inner]
    return seen


def _at_night(canvas: Image, outline: Image, colours: Paint, rng: np.random.Generator) -> Image:
    """Light the plate by headlights or its own lamp, which leave the car dark; a ground that shines glows."""
    import cv2

    dark = rng.uniform(0.05, 0.35)
    bright = rng.uniform(0.6, 1.25) if colours.shines else rng.uniform(0.4, 0.9)
    mask = cv2.copyMakeBorder(outline, PAD, PAD, PAD, PAD, cv2.BORDER_CONSTANT, value=0).astype(np.float32)[..., None]
    lit = canvas * (dark + (bright - dark) * mask / 255)
    if colours.shines:
        lit += cv2.GaussianBlur(lit, (0, 0), rng.uniform(2, 6) * PX_PER_MM) * rng.uniform(0, 0.35)
    return levels(lit * rng.uniform(0.85, 1.0, 3))
