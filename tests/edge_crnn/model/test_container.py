from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_crnn.model.container import is_cut_short, orientation

PICTURE = Image.fromarray(np.arange(24 * 16 * 3, dtype=np.uint8).reshape(16, 24, 3))


def encoded(kind: str, exif: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, kind, exif=exif)
    return buffer.getvalue()


def exif(value: int, order: str = "<") -> bytes:
    tags = Image.Exif()
    tags.endian = order
    tags[0x010E] = "a tag before the one that counts"
    tags[0x0112] = value
    return tags.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_is_found_in_each_container(kind: str, value: int) -> None:
    assert orientation(encoded(kind, exif(value))) == value


def test_orientation_in_either_byte_order() -> None:
    assert orientation(encoded("JPEG", exif(6, ">"))) == orientation(encoded("JPEG", exif(6, "<"))) == 6


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_makes_no_sense_is_none(value: int) -> None:
    assert orientation(encoded("PNG", exif(value))) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_no_exif_is_upright(kind: str) -> None:
    assert orientation(encoded(kind)) == 1


def test_fill_bytes_between_jpeg_segments() -> None:
    data = encoded("JPEG", exif(6))
    assert orientation(data[:2] + b"\xff\xff" + data[2:]) == 6


@settings(deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.data())
def test_damaged_headers_never_raise(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(encoded(kind, exif(6)))
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=8)):
        damaged[place] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    assert 1 <= orientation(cut) <= 8
    assert is_cut_short(cut) in (True, False)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_missing_end_is_noticed_wherever_the_cut_is(kind: str) -> None:
    data = encoded(kind, exif(6))
    end = data.rindex(b"\xff\xd9" if kind == "JPEG" else b"IEND")
    assert not is_cut_short(data)
    assert all(is_cut_short(data[:length]) for length in range(8, end))


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    data = encoded("JPEG", b"Exif\0\0" + exif(1)[6:] + encoded("JPEG"))
    assert not is_cut_short(data)
    assert is_cut_short(data[:-2])


def test_what_a_camera_appends_after_the_end_is_ignored() -> None:
    assert not is_cut_short(encoded("JPEG") + b"a film: \xff\xda\0\x08 without an end")
