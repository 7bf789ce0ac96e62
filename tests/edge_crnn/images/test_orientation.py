"""The orientation of a file counts wherever it stands."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from edge_crnn.images import decode_image, read_pixels
from edge_crnn.images.exif import orientation
from tests.edge_crnn.images.pictures import BGR, RGB, saved, tiff

INTEGERS = {"B": 1, "H": 3, "I": 4, "b": 6, "h": 8, "i": 9}
"""Letter of `struct` → number of the type in EXIF."""
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {} </rdf:RDF></x:xmpmeta>"""
AS_ATTRIBUTE = XMP.format('tiff:Orientation="6"/>')
AS_ELEMENT = XMP.format("><tiff:Orientation>6</tiff:Orientation></rdf:Description>")
ON_ITS_SIDE = np.ascontiguousarray(np.rot90(RGB))
"""What a camera stores with orientation 6."""


def exif(value: int, kind: str = "H") -> bytes:
    """Return a block of EXIF with an orientation."""
    entry = struct.pack("<HHI", 0x0112, INTEGERS[kind], 1) + struct.pack("<" + kind, value).ljust(4, b"\0")
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


def with_text(name: str, *contents: str, compressed: bool = False) -> bytes:
    """Return a PNG of `ON_ITS_SIDE` with text chunks."""
    texts = PngInfo()
    for content in contents:
        if name.startswith("Raw"):
            texts.add_text(name, content, zip=compressed)
        else:
            texts.add_itxt(name, content, zip=compressed)
    return saved("PNG", ON_ITS_SIDE, pnginfo=texts)


def raw_profile(block: bytes) -> str:
    """Return EXIF as ImageMagick writes it into a text chunk."""
    digits = block.hex()
    lines = [digits[at : at + 72] for at in range(0, len(digits), 72)]
    return "\n".join(["", "exif", f"{len(block):8}", *lines, ""])


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_counts_in_every_integer_type(kind: str, value: int) -> None:
    """nomacs#1646."""
    block = exif(value, kind)
    assert orientation(block) == orientation(b"Exif\0\0" + block) == value


TURNED = {
    **{f"PNG, {kind}": saved("PNG", ON_ITS_SIDE, exif=exif(6, kind)) for kind in INTEGERS},
    "PNG, tEXt": with_text("Raw profile type exif", raw_profile(b"Exif\0\0" + exif(6))),
    "PNG, zTXt": with_text("Raw profile type exif", raw_profile(b"Exif\0\0" + exif(6, "I")), compressed=True),
    "PNG, XMP": with_text("XML:com.adobe.xmp", AS_ATTRIBUTE),
    "PNG, compressed XMP": with_text("XML:com.adobe.xmp", AS_ELEMENT, compressed=True),
    "WebP": saved("WEBP", ON_ITS_SIDE, lossless=True, exif=exif(6, "I")),
    "WebP, XMP": saved("WEBP", ON_ITS_SIDE, lossless=True, xmp=AS_ATTRIBUTE.encode()),
    "JPEG": saved("JPEG", ON_ITS_SIDE, quality=100, subsampling=0, exif=b"Exif\0\0" + exif(6)),
    "JPEG, XMP": saved("JPEG", ON_ITS_SIDE, quality=100, subsampling=0, xmp=AS_ELEMENT.encode()),
}


@pytest.mark.parametrize("data", TURNED.values(), ids=TURNED)
def test_a_file_is_turned_like_its_pillow_image(data: bytes) -> None:
    """nomacs#1646: Pillow knows more places of the orientation than the bytes of a file were searched for."""
    image = Image.open(io.BytesIO(data))
    for pixels in (read_pixels(data), read_pixels(image)):
        assert pixels.shape == BGR.shape
        assert np.abs(pixels.astype(int) - BGR).max() <= 6  # JPEG is not exact


UPRIGHT = {
    "no number": with_text("XML:com.adobe.xmp", AS_ATTRIBUTE.replace('"6"', '"x"')),
    "too large": with_text("XML:com.adobe.xmp", AS_ATTRIBUTE.replace('"6"', '"9"')),
    "no digits": with_text("Raw profile type exif", "\nexif\n 8\nxyz\n"),
    "few lines": with_text("Raw profile type exif", "exif"),
}


@pytest.mark.parametrize("data", UPRIGHT.values(), ids=UPRIGHT)
def test_text_without_an_orientation_turns_nothing(data: bytes) -> None:
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert np.array_equal(decode_image(data), stored)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 100}), ("WEBP", {"lossless": True})])
def test_exif_counts_before_xmp(kind: str, options: dict[str, object]) -> None:
    data = saved(kind, RGB, exif=b"Exif\0\0" + exif(1), xmp=AS_ATTRIBUTE.encode(), **options)
    assert decode_image(data).shape == BGR.shape


@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("levels", [RGB, RGB.astype("<u2") * 257], ids=["8 bits", "16 bits"])
def test_a_tiff_is_turned_upright(kind: int, levels: np.ndarray) -> None:
    """nomacs#1646, in another container."""
    assert np.array_equal(decode_image(tiff(levels, 2, t274=(kind, 6))), np.rot90(BGR, -1))
