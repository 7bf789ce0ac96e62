"""Seeded pictures of Korean number plates, cropped, with their labels.

Glyphs come from open fonts or from a folder of glyph images; `layouts` says where they stand, `degrade` how
they are pictured. Needs Pillow and OpenCV, no Keras.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import BackendUnavailable, DatasetError
from .degrade import MILD, PRESETS, PX_PER_MM, Image, Preset, photograph
from .layouts import HANGUL, KINDS, LAYOUTS, REGIONS, Layout, PlateKind, label_at

_DEFAULT_FONTS = ("NanumGothic.ttf", "NanumGothicBold.ttf", "NanumGothicExtraBold.ttf")
_DIGITS = dict(zip("0123456789", "0123456789", strict=True))
_TEXTS = {**_DIGITS, **HANGUL, **REGIONS}
"""What a font writes for each part of a label."""

_PAD = round(60 * PX_PER_MM)
"""Pixels of car body drawn around a plate."""

_FILL_ACROSS, _FILL_DOWN = 0.84, 0.92
"""How much of its cell a font's ink fills, as it does on the plates themselves."""


class Plate(NamedTuple):
    """One drawn plate."""

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

    Raises:
        DatasetError: a font lacks a glyph, or the folder lacks an image.
        BackendUnavailable: Pillow or OpenCV is not installed.
    """

    def __init__(self, fonts: Sequence[Path] | None = None, glyphs: Path | None = None) -> None:
        _check_installed()
        if glyphs is not None:
            if fonts is not None:
                raise ValueError("glyphs come from fonts or from a folder, not from both: give one of them")
            self._faces = [_folder_face(Path(glyphs))]
        else:
            self._faces = [_font_face(Path(font)) for font in (find_fonts() if fonts is None else fonts)]
            if not self._faces:
                raise DatasetError("no fonts: give at least one with Hangul")

    def render(
        self,
        rng: np.random.Generator | int,
        preset: Preset | str = MILD,
        kind: PlateKind | None = None,
        label: str | None = None,
    ) -> Plate:
        """Draw one plate; kind and label are drawn too where they are not given."""
        rng = np.random.default_rng(rng)
        kind = KINDS[rng.integers(len(KINDS))] if kind is None else kind
        label = label_at(int(rng.integers(1 << 32)), 0, kind) if label is None else label
        canvas = self._draw(label, LAYOUTS[kind], rng)
        return Plate(label, kind, photograph(canvas, _PAD, find_preset(preset), rng))

    def _draw(self, label: str, layout: Layout, rng: np.random.Generator) -> Image:
        """The plate on a car, head on: (H, W, 3) uint8, BGR, at PX_PER_MM, with _PAD around it."""
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
    """Plates `start` to `start + n - 1` of run `seed`, the kinds in rotation where none is given.

    A plate depends on the seed, its own index, the preset and the glyphs alone, so any worker can draw any of
    them. No two of a run have the same label.
    """
    renderer = Renderer() if renderer is None else renderer
    for index in range(start, start + n):
        shape = KINDS[index % len(KINDS)] if kind is None else kind
        rng = np.random.default_rng((seed, index))
        yield renderer.render(rng, preset, shape, label_at(seed, index, shape))


def find_preset(preset: Preset | str) -> Preset:
    """The preset of that name; a `Preset` is passed through."""
    if isinstance(preset, Preset):
        return preset
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}: choose from {', '.join(PRESETS)}")
    return PRESETS[preset]


def find_fonts(folder: Path | None = None) -> list[Path]:
    """The fonts under `folder`; without one, three NanumGothic weights from koreanize-matplotlib.

    The default is one package's, not what a machine happens to have: the presets' figures hold for these.

    Raises:
        DatasetError: there are none.
    """
    if folder is not None:
        fonts = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in {".ttf", ".otf", ".ttc"})
        if not fonts:
            raise DatasetError(f"{folder}: has no .ttf, .otf or .ttc file: name a folder of fonts with Hangul")
        return fonts
    # Importing the package would change matplotlib's settings; its place is all that is wanted.
    package = importlib.util.find_spec("koreanize_matplotlib")
    if package is None or package.origin is None:
        raise DatasetError(
            "the default fonts are those of the package koreanize-matplotlib, which is not installed: "
            "pip install 'edge-crnn[train]', or name a folder of fonts with Hangul "
            "(Debian's fonts-nanum has them in /usr/share/fonts/truetype/nanum)"
        )
    return [Path(package.origin).parent / "fonts" / name for name in _DEFAULT_FONTS]


Face = Callable[[str, str, int, int], Image]
"""(part of a label, colour suffix, width, height) → the ink of that glyph, (height, width) uint8."""


def _font_face(path: Path) -> Face:
    from PIL import Image as Picture
    from PIL import ImageDraw, ImageFont

    try:
        font = ImageFont.truetype(str(path), 160)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be opened as a font ({error})") from error

    def draw(text: str) -> Image:
        left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
        picture = Picture.new("L", (right - left, bottom - top))
        ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=font)
        return np.asarray(picture)

    missing = draw("\U0010fffe").tobytes()
    lacking = [text for text in _TEXTS.values() if any(draw(letter).tobytes() in (missing, b"") for letter in text)]
    if lacking:
        raise DatasetError(
            f"{path}: has no glyph for {' '.join(lacking[:5])}{' …' if len(lacking) > 5 else ''}: "
            "use fonts with digits and Hangul"
        )

    # Digits keep their proportions to one another: all are stretched by the same two factors.
    digits = {digit: _trimmed(draw(digit)) for digit in _DIGITS}
    tallest, widest = (max(ink.shape[axis] for ink in digits.values()) for axis in (0, 1))

    @cache
    def face(part: str, _suffix: str, width: int, height: int) -> Image:
        ink = digits[part] if part in digits else _trimmed(draw(_TEXTS[part]))
        across, down = (ink.shape[1] / widest, ink.shape[0] / tallest) if part in digits else (1.0, 1.0)
        return _centred(ink, width, height, across, down)

    return face


def _glyph_file(part: str, suffix: str) -> str:
    group = "num" if part in _DIGITS else "region" if part in REGIONS else "char1"
    return f"{group}{suffix}/{part}.jpg"


_GLYPH_FILES = sorted(
    {
        _glyph_file(part, layout.suffix)
        for layout in LAYOUTS.values()
        for part in (*_DIGITS, *HANGUL, *(REGIONS if layout.has_region else ()))
    }
)


def _folder_face(folder: Path) -> Face:
    import cv2

    lacking = [name for name in _GLYPH_FILES if not (folder / name).is_file()]
    if lacking:
        more = f" and {len(lacking) - 1} more are" if len(lacking) > 1 else " is"
        raise DatasetError(f"{folder}: {lacking[0]}{more} missing: name a folder with num*, char1* and region_*")

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
    """`ink` in the middle of a cell, filling that part of the cell's inner box both ways."""
    inner = _resized(ink, max(1, round(width * _FILL_ACROSS * across)), max(1, round(height * _FILL_DOWN * down)))
    cell = np.zeros((height, width), np.uint8)
    row, column = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    cell[row : row + inner.shape[0], column : column + inner.shape[1]] = inner
    return cell


def _resized(image: Image, width: int, height: int) -> Image:
    import cv2

    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


@cache
def _blank(layout: Layout) -> tuple[Image, Image]:
    """The plate's outline, and the ink of its frame: (H, W) uint8 both."""
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


def _check_installed() -> None:
    for package in ("PIL", "cv2"):
        if importlib.util.find_spec(package) is None:
            raise BackendUnavailable(f"drawing plates needs {package}: pip install 'edge-crnn[train]'")
