"""`python -m docs.tools.readings`: render the README's image: rendered sample plates and what the int8 model reads."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from edge_crnn import open_reader
from edge_crnn.files import write_atomically
from edge_crnn.reading import Reading
from edge_crnn.training.fonts import find_fonts

SAMPLES = Path("samples/plates")
NAMES = ("J23dk4123", "Z937fj1253", "L47tk8410", "Z609fh9540", "E01gj4787", "Z34wn1949", "Z22qh5065", "P64gj6189")
TARGET = Path("docs/images/readings.png")

_COLUMNS = 4
_CELL = (230, 150)
_PLATE = (200, 80)
_INK, _SOFT, _REJECTED = (27, 33, 38), (90, 102, 112), (176, 32, 32)


def render(readings: dict[Path, Reading], font: Path) -> Image.Image:
    """Put each image above its text and confidence, on white.

    Args:
        readings: the readings, by image.
        font: a font with the characters of the texts.
    """
    rows = -(-len(readings) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _CELL[0], rows * _CELL[1]), "white")
    pen = ImageDraw.Draw(sheet)
    large, small = (ImageFont.truetype(str(font), size) for size in (20, 14))
    for place, (path, reading) in enumerate(readings.items()):
        left, top = place % _COLUMNS * _CELL[0], place // _COLUMNS * _CELL[1]
        with Image.open(path) as image:
            plate = image.convert("RGB")
        plate.thumbnail(_PLATE)
        middle = left + _CELL[0] // 2
        sheet.paste(plate, (middle - plate.width // 2, top + 12 + (_PLATE[1] - plate.height) // 2))
        pen.text((middle, top + 108), reading.text, _INK, font=large, anchor="mm")
        state = f"{reading.confidence:.3f}" if reading.accepted else f"{reading.confidence:.3f} rejected"
        pen.text((middle, top + 130), state, _SOFT if reading.accepted else _REJECTED, font=small, anchor="mm")
    return sheet


def main() -> None:
    """Read the samples and write the image."""
    paths = [SAMPLES / f"{name}.jpg" for name in NAMES]
    with open_reader() as reader:
        readings = dict(zip(paths, reader.read_batch(paths), strict=True))
    sheet = render(readings, find_fonts()[0])
    stream = io.BytesIO()
    sheet.quantize(128).save(stream, "PNG", optimize=True)
    write_atomically(TARGET, stream.getvalue())


if __name__ == "__main__":
    main()
