"""Finds font files, keeps some for testing, and checks what they can write."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import DatasetError
from .degrade import Image

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

FontSplit = Literal["train", "test", "all"]
HELD_OUT = 0.2
"""Default share of the families that are kept for testing."""

_HANGUL_FONTS = ("NanumGothic.ttf", "NanumGothicBold.ttf", "NanumGothicExtraBold.ttf")
_LATIN_FONTS = tuple(
    f"DejaVu{name}.ttf"
    for name in (
        *("Sans", "Sans-Bold", "Sans-Oblique", "Sans-BoldOblique"),
        *("SansMono", "SansMono-Bold", "SansMono-Oblique", "SansMono-BoldOblique"),
        *("Serif", "Serif-Bold", "Serif-Italic", "Serif-BoldItalic"),
    )
)
_STYLE = re.compile(
    r"[\s_-]*(thin|hairline|(extra|ultra|semi|demi)?[\s_-]?(light|bold|condensed|expanded)|book|regular|normal|medium"
    r"|black|heavy|narrow|compressed|wide|italic|oblique)$",
    re.IGNORECASE,
)


def find_fonts(folder: Path | None = None) -> list[Path]:
    """Find the fonts under `folder`; without a folder, three NanumGothic weights from koreanize-matplotlib.

    The default is one package's, not what a machine happens to have: the presets' figures hold for these.

    Raises:
        DatasetError: there are none.
    """
    if folder is None:
        return _packaged("koreanize_matplotlib", "fonts", _HANGUL_FONTS)
    fonts = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in {".ttf", ".otf", ".ttc"})
    if not fonts:
        raise DatasetError(f"{folder}: has no .ttf, .otf or .ttc file: name a folder of fonts with Hangul")
    return fonts


def find_line_fonts(folder: Path | None = None) -> list[Path]:
    """Find the fonts under `folder`; without a folder, those of `find_fonts()` and twelve of DejaVu from matplotlib.

    Raises:
        DatasetError: there are none.
    """
    if folder is not None:
        return find_fonts(folder)
    return find_fonts() + _packaged("matplotlib", "mpl-data/fonts/ttf", _LATIN_FONTS)


def pick_fonts(
    folder: Path | None, lines: bool, split: FontSplit = "all", held_out: float = HELD_OUT
) -> tuple[Path, ...]:
    """Pick the part of a folder's fonts, or of the default ones, to render lines or plates with.

    Raises:
        DatasetError: there are none.
    """
    return tuple(split_fonts((find_line_fonts if lines else find_fonts)(folder), split, held_out))


def _packaged(package: str, folder: str, names: Sequence[str]) -> list[Path]:
    # Importing the package would change matplotlib's settings; its place is all that is wanted.
    module = importlib.util.find_spec(package)
    if module is None or module.origin is None:
        raise DatasetError(
            f"the default fonts are those of the package {package.replace('_', '-')}, which is not installed: "
            "pip install 'edge-crnn[train]', or name a folder of fonts with Hangul "
            "(Debian's fonts-nanum has them in /usr/share/fonts/truetype/nanum)"
        )
    return [Path(module.origin).parent / folder / name for name in names]


def open_font(path: Path, size: float) -> FreeTypeFont:
    """Open the font at `size` pixels to the em.

    Raises:
        DatasetError: it is no font.
    """
    from PIL import ImageFont

    try:
        # Raqm would draw the same, but not every Pillow has it.
        return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be opened as a font ({error})") from error


def draw_text(font: FreeTypeFont, text: str) -> Image:
    """Draw the ink of `text` in its bounding box, (H, W) uint8."""
    from PIL import Image as PillowImage
    from PIL import ImageDraw

    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    image = PillowImage.new("L", (right - left, bottom - top))
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font)
    return np.asarray(image)


def require_glyphs(font: FreeTypeFont, path: Path, texts: Iterable[str]) -> None:
    """Check that `font` has a glyph for every letter of `texts`.

    Raises:
        DatasetError: it lacks one.
    """
    missing = draw_text(font, "\U0010fffe").tobytes()
    lacking = [text for text in texts if any(draw_text(font, letter).tobytes() in (missing, b"") for letter in text)]
    if lacking:
        raise DatasetError(
            f"{path}: has no glyph for {' '.join(lacking[:5])}{' …' if len(lacking) > 5 else ''}: "
            "use fonts that have all"
        )


def family(path: Path) -> str:
    """Return the font's family as its name table gives it, without words for weight, width or slope.

    Raises:
        DatasetError: it is no font.
    """
    name = open_font(path, 16).getname()[0] or path.stem
    while (shorter := _STYLE.sub("", name)) and shorter != name:
        name = shorter
    return name


def split_fonts(fonts: Sequence[Path], split: FontSplit, held_out: float = HELD_OUT) -> list[Path]:
    """Return those of `fonts` to train with, or to test with; whole families, so that no weight is on both sides.

    A family's side follows from SHA-256 of its name and `held_out` alone, whichever other fonts there are: what
    was trained on one folder of fonts can be tested on another.

    Raises:
        DatasetError: no font is left, or one is no font.
    """
    if split == "all":
        return list(fonts)
    families = {path: family(path) for path in fonts}
    kept = [path for path in fonts if _is_held_out(families[path], held_out) == (split == "test")]
    if not kept:
        names = sorted(set(families.values()))
        raise DatasetError(
            f"none of {len(names)} font families ({', '.join(names[:8])}{' …' if len(names) > 8 else ''}) is for "
            f"{split}ing with {held_out:g} of them held out: add families, or hold out another share"
        )
    return kept


def _is_held_out(name: str, share: float) -> bool:
    digest = hashlib.sha256(name.casefold().encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
