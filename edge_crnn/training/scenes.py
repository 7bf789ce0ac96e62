"""Paints what a gate camera sees and a detector takes for a plate: walls, lamps, signs, badges.

A canvas has the size of a long or a short plate, as `photograph` takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .canvas import draw_car
from .degrade import Image
from .fonts import draw_text, open_font, require_glyphs

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Rng = np.random.Generator
Canvas = npt.NDArray[np.floating] | Image
"""(H, W, 3), BGR, levels from 0 to 255, at PX_PER_MM, with PAD around the crop."""

PAD = 24
"""Pixels around the crop."""

HANGUL_WORDS = (
    *("주차금지", "일방통행", "어린이보호구역", "공사중", "출입금지", "천천히", "양보", "진입금지", "버스전용", "택시"),
    *("주유소", "세차장", "중고차", "자동차매매", "타이어", "정비", "할인", "임대", "서울", "부산", "인천공항", "제주"),
    *("고속도로", "시청", "교차로", "우회전", "견인지역", "정지", "비보호", "서행", "터널", "하이패스", "무료", "상담"),
)
LATIN_WORDS = (
    *("STOP", "ONE WAY", "EXIT", "SALE", "NO PARKING", "SLOW", "TAXI", "BUS", "HOTEL", "SCHOOL", "CAR WASH", "SERVICE"),
    *("Auto", "Motors", "Rent a Car", "Seoul", "Busan", "Used Cars", "OPEN", "P", "ZONE", "TOLL", "Hi-pass", "TEST"),
)
_NUMBERS = ("00", "000", "00km", "0.0t", "0.0m", "00 00", "000-0000", "00:00", "0,000", "0F")
"""Patterns of the numbers on signs; 0 stands for a digit."""
_NAMES = ("A0", "AA0", "A00", "AAA", "AA 000", "000a", "AAA 0.0", "Aaaaaa", "AAAAAA", "AAAAAAA", "0.0 AA", "aAaaaa")
"""Patterns of the names on badges: A is a capital letter, a is a small one."""
_SIGNS = (
    *(((150, 80, 20), (245, 245, 245)), ((80, 110, 20), (245, 245, 245)), ((245, 245, 245), (30, 25, 25))),
    *(((245, 245, 245), (160, 70, 20)), ((30, 190, 245), (30, 30, 30)), ((40, 35, 190), (245, 245, 245))),
    *(((40, 70, 110), (245, 245, 245)), ((30, 30, 30), (40, 200, 250)), ((245, 245, 245), (40, 35, 200))),
    *(((60, 120, 240), (30, 30, 30)), ((120, 120, 120), (250, 250, 250))),
)
"""Ground and ink of signs and boards, BGR."""
_CHROME = ((0.0, 0.35, 0.5, 0.55, 1.0), (250.0, 190.0, 90.0, 215.0, 140.0))
"""Places from the top of a letter, as shares of its height, and the levels that chrome has there."""
_EM = 80
"""Size of letters before they are fitted to their place, in pixels to the em."""


def plain(rng: Rng) -> Canvas:
    """Draw a single colour."""
    return np.ones((*_size(rng), 1)) * _colour(rng)


def gradient(rng: Rng) -> Canvas:
    """Draw a gradient between two colours, along a line or around a point."""
    height, width = _size(rng)
    down, across = np.mgrid[0:height, 0:width] / width
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        place = np.cos(angle) * across + np.sin(angle) * down
    else:
        place = np.hypot(across - rng.uniform(0, 1), down - rng.uniform(0, height / width))
    return _blended((place - place.min()) / np.ptp(place), rng)


def noise(rng: Rng) -> Canvas:
    """Draw random levels in cells of one to twenty pixels, grey or coloured, in all or some of the cells."""
    height, width = _size(rng)
    cell = round(np.exp(rng.uniform(0, np.log(20))))
    shape = height // cell + 1, width // cell + 1, rng.choice([1, 3])
    levels = rng.uniform(0, 255, shape)
    if rng.random() < 0.3:
        levels = np.where(rng.random(shape[:2])[..., None] < rng.uniform(0.02, 0.3), levels, rng.uniform(0, 255))
    return np.ones(3) * np.kron(levels, np.ones((cell, cell, 1)))[:height, :width]


def cloud(rng: Rng) -> Canvas:
    """Draw asphalt, plaster or leaves: noise whose power falls with the frequency."""
    height, width = _size(rng)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) * frequency ** -rng.uniform(0.5, 2.5)
    field = np.fft.irfft2(spectrum, (height, width))
    return _blended(np.clip(0.5 + field / (rng.uniform(2, 6) * field.std()), 0, 1), rng)


def courses(rng: Rng) -> Canvas:
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
    return _blended(level, rng)


def shapes(rng: Rng) -> Canvas:
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
    return image


def sign(rng: Rng, fonts: Sequence[Path]) -> Canvas:
    """Paint a traffic sign or a dealer's board: one or two lines of words and numbers on a coloured ground.

    Raises:
        DatasetError: the font lacks a letter.
    """
    import cv2

    height, width = _size(rng)
    page = np.clip(_blended(rng.random((height, width)), rng), 0, 255).astype(np.uint8)
    ground, ink = (
        np.clip(np.array(colour) + rng.uniform(-20, 20, 3), 0, 255) for colour in _SIGNS[rng.integers(len(_SIGNS))]
    )
    left, top, right, bottom = (int(side) for side in rng.integers(PAD - 12, PAD + 8, 4))
    corners = (left, top), (width - right, height - bottom)
    cv2.rectangle(page, *corners, ground.tolist(), -1)
    if rng.random() < 0.5:
        inset = int(rng.integers(3, 8))
        rim = (left + inset, top + inset), (width - right - inset, height - bottom - inset)
        cv2.rectangle(page, *rim, ink.tolist(), int(rng.integers(1, 4)), cv2.LINE_AA)
    font = _font(fonts[int(rng.integers(len(fonts)))])
    rows = 1 if width > 2.5 * height else int(rng.integers(1, 4))
    pitch = (height - top - bottom) / rows
    for row in range(rows):
        tall = round(pitch * rng.uniform(0.45, 0.8))
        letters = _fitted(draw_text(font, _words(rng)), tall, round((width - left - right) * rng.uniform(0.6, 0.92)))
        down = top + round((row + 0.5) * pitch - letters.shape[0] / 2)
        _stain(page, letters, down, (width - letters.shape[1]) // 2, ink)
    return page


def badge(rng: Rng, fonts: Sequence[Path]) -> Canvas:
    """Paint the name of a model in chrome on a car's body, an oval or round badge, or both.

    Raises:
        DatasetError: the font lacks a letter.
    """
    height, width = _size(rng)
    page = draw_car(height, width, rng)
    font = _font(fonts[int(rng.integers(len(fonts)))])
    has_emblem = rng.random() < 0.5
    left = PAD
    if has_emblem:
        left += _emblem(page, font, rng)
    if not has_emblem or rng.random() < 0.6:
        text = _filled(_NAMES[rng.integers(len(_NAMES))], rng)
        tall = round((height - 2 * PAD) * rng.uniform(0.35, 0.9))
        letters = _slanted(_fitted(draw_text(font, text), tall, max(8, width - left - PAD)), rng.uniform(-0.05, 0.35))
        row = PAD + int(rng.integers(max(1, height - 2 * PAD - letters.shape[0])))
        column = left + int(rng.integers(max(1, width - left - PAD - letters.shape[1])))
        _stain(page, letters, row + 2, column + 2, np.zeros(3) + rng.uniform(0, 60))
        _stain(page, letters, row, column, _chrome(letters.shape[0], rng))
    return page


def _emblem(page: Image, font: FreeTypeFont, rng: Rng) -> int:
    """Paint an oval or round badge with a letter or two at the left; return its width in pixels."""
    import cv2

    height = page.shape[0]
    tall = (height - 2 * PAD) * rng.uniform(0.6, 1.0)
    wide: float = tall * (1.0 if rng.random() < 0.5 else rng.uniform(1.2, 2.0))
    centre = round(PAD + wide / 2), height // 2
    axes = round(wide / 2), round(tall / 2)
    inner = tuple(round(axis * rng.uniform(0.75, 0.92)) for axis in axes)
    cv2.ellipse(page, centre, axes, 0, 0, 360, (rng.uniform(150, 245),) * 3, -1, cv2.LINE_AA)
    cv2.ellipse(page, centre, inner, 0, 0, 360, _colour(rng).tolist(), -1, cv2.LINE_AA)
    letters = draw_text(font, _filled("A" if rng.random() < 0.6 else "AA", rng))
    letters = _fitted(letters, round(tall * 0.5), round(wide * 0.6))
    row, column = (place - size // 2 for place, size in zip(centre[::-1], letters.shape, strict=True))
    _stain(page, letters, row, column, _chrome(letters.shape[0], rng))
    return round(wide)


def _words(rng: Rng) -> str:
    """Choose what a line of a sign says."""
    words = (HANGUL_WORDS, LATIN_WORDS, _NUMBERS)[rng.choice(3, p=(0.5, 0.25, 0.25))]
    chosen = [words[place] for place in rng.integers(len(words), size=rng.integers(1, 3))]
    return " ".join(_filled(word, rng) if words is _NUMBERS else word for word in chosen)


def _filled(pattern: str, rng: Rng) -> str:
    """Fill in the letters and digits of a pattern."""
    letters = {"A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "a": "abcdefghijklmnopqrstuvwxyz", "0": "0123456789"}
    return "".join(str(rng.choice(list(letters.get(character, character)))) for character in pattern)


@lru_cache(maxsize=64)
def _font(path: Path) -> FreeTypeFont:
    """Open a font that has all letters of signs and badges."""
    font = open_font(path, _EM)
    require_glyphs(font, path, sorted(set("".join((*HANGUL_WORDS, *LATIN_WORDS, *_NUMBERS)) + "AZaz") - {" "}))
    return font


def _fitted(ink: Image, height: int, width: int) -> Image:
    """Bring ink to a height in pixels, or to less where it would be wider than `width`."""
    import cv2

    scale = min(height / ink.shape[0], width / ink.shape[1])
    size = max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale))
    return cv2.resize(ink, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _slanted(ink: Image, slope: float) -> Image:
    """Lean ink to the right by `slope` of its height."""
    import cv2

    height, width = ink.shape
    lean = np.array([[1, -slope, max(slope, 0) * height], [0, 1, 0]], np.float32)
    return cv2.warpAffine(ink, lean, (width + round(abs(slope) * height), height)).astype(np.uint8, copy=False)


def _chrome(height: int, rng: Rng) -> Canvas:
    """Return the colours of the rows of chrome letters, (height, 1, 3)."""
    levels = np.interp(np.linspace(0, 1, height), *_CHROME) * rng.uniform(0.6, 1.0)
    return np.asarray(np.repeat(levels[:, None, None], 3, axis=2))


def _stain(page: Image, ink: Image, row: int, column: int, colour: Canvas) -> None:
    """Lay ink of a colour, or of one colour a row, over the page; what lies beyond its edges is lost."""
    top, left = max(0, -row), max(0, -column)
    under = page[row + top : row + ink.shape[0], column + left : column + ink.shape[1]]
    share = ink[top : top + under.shape[0], left : left + under.shape[1], None] / 255
    if colour.ndim == 3:
        colour = colour[top : top + under.shape[0]]
    under[:] = np.rint(under * (1 - share) + colour * share)


def _size(rng: Rng) -> tuple[int, int]:
    """Return height and width in pixels of a long or a short plate as it is rendered, with `PAD` around it."""
    height, width = (82, 390) if rng.random() < 0.5 else (125, 250)
    return round(height * rng.uniform(0.8, 1.25)) + 2 * PAD, round(width * rng.uniform(0.8, 1.25)) + 2 * PAD


def _colour(rng: Rng) -> Canvas:
    return np.clip(rng.uniform(0, 255) + rng.uniform(-60, 60, 3) * rng.random(), 0, 255)


def _blended(share: Canvas, rng: Rng) -> Canvas:
    """Map (H, W) shares in [0, 1] to levels between two colours, (H, W, 3)."""
    first, second = _colour(rng), _colour(rng)
    return np.asarray(first + share[..., None] * (second - first))
