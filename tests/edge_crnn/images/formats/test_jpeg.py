from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from edge_crnn.images import Limits, read_image
from edge_crnn.images.formats import huffman, inspect
from edge_crnn.images.formats.standard_tables import STANDARD_TABLES
from tests.edge_crnn.images.pictures import BGR, GREY, RGB, encoded, saved

KINDS = {
    "baseline": saved("JPEG", quality=90),
    "grey": saved("JPEG", GREY),
    "restarts": saved("JPEG", restart_marker_blocks=3),
    "own tables": saved("JPEG", optimize=True),
    "progressive": saved("JPEG", progressive=True),
}
PADDINGS = {
    "1 zero": b"\0",
    "4 zeros": bytes(4),
    "12 zeros": bytes(12),
    "600 zeros": bytes(600),
    "fill bytes": b"\xff" * 3,
    "stuffed byte": b"\xff\0",
    "restart marker": b"\xff\xd0",
    "restart marker and zeros": b"\xff\xd0\0\0",
    "TEM": b"\xff\x01",
}


def huffman_segments(data: bytes) -> list[bytes]:
    """Return the DHT segments of a JPEG, with their markers."""
    starts = [match.start() for match in re.finditer(b"\xff\xc4", data[: data.index(b"\xff\xda")])]
    return [data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")] for at in starts]


def pixels_of_decoder(data: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def test_the_standard_tables_are_those_that_libjpeg_writes() -> None:
    segments = huffman_segments(encoded(".jpg"))
    assert {segment[4]: segment[5:] for segment in segments} == STANDARD_TABLES


@pytest.mark.parametrize("picture", [BGR, GREY], ids=["colour", "grey"])
def test_a_frame_without_huffman_tables_has_the_standard_ones(picture: np.ndarray) -> None:
    """Motion JPEG of webcams."""
    data = encoded(".jpg", picture)
    frame = data
    for segment in huffman_segments(data):
        frame = frame.replace(segment, b"")
    assert len(frame) < len(data)
    assert read_image(frame).damage == ""
    assert np.array_equal(read_image(frame).pixels, read_image(data).pixels)
    assert read_image(frame[:-60] + frame[-2:]).damage


@pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("padding", PADDINGS.values(), ids=PADDINGS)
@pytest.mark.parametrize("followed_bytes", [0, 16 << 10])
def test_padding_after_the_last_code_is_no_damage(data: bytes, padding: bytes, followed_bytes: int) -> None:
    padded = data[:-2] + padding + data[-2:]
    assert np.array_equal(pixels_of_decoder(padded), pixels_of_decoder(data))
    assert inspect(padded, Limits(followed_bytes=followed_bytes)).damage == ""


@pytest.mark.parametrize("padding", [b"\0", bytes(12), b"\xff\xff", b"\xff\x01", b"\xff\xd3"])
def test_padding_between_segments_is_no_damage(padding: bytes) -> None:
    data = KINDS["baseline"]
    for marker in (b"\xff\xdb", b"\xff\xc0", b"\xff\xc4", b"\xff\xda"):
        at = data.index(marker)
        padded = data[:at] + padding + data[at:]
        assert np.array_equal(pixels_of_decoder(padded), pixels_of_decoder(data))
        assert read_image(padded).damage == ""


@pytest.mark.parametrize("name", ["baseline", "grey", "restarts", "own tables"])
def test_zeros_from_the_middle_to_the_end_are_damage(name: str) -> None:
    data = KINDS[name]
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    assert read_image(data[:middle] + bytes(len(data) - middle - 2) + data[-2:]).damage


def test_other_bytes_are_damage_wherever_they_are() -> None:
    data = KINDS["baseline"]
    for at in (data.index(b"\xff\xc0"), len(data) - 2):
        assert read_image(data[:at] + b"\x00\x55" + data[at:]).damage


def test_codes_are_followed_up_to_the_limit_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[bool] = []

    def note(*_: object, follow: bool) -> str:
        followed.append(follow)
        return ""

    monkeypatch.setattr(huffman, "damage_of", note)
    data = encoded(".jpg", GREY)
    scan = data[data.index(b"\xff\xda") : -2]
    size = len(scan) - 10
    inspect(data[:-2] + scan * 3 + data[-2:], Limits(followed_bytes=2 * size))
    assert followed == [True, True, False, False]
    followed.clear()
    inspect(data, Limits(followed_bytes=0))
    assert followed == [False]


def test_pixels_stay_those_of_the_decoder() -> None:
    assert np.array_equal(read_image(KINDS["baseline"]).pixels, pixels_of_decoder(KINDS["baseline"]))
    assert RGB.shape == read_image(KINDS["baseline"]).pixels.shape
