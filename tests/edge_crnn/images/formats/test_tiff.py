from __future__ import annotations

import io
import struct
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from edge_crnn.errors import ImageError
from edge_crnn.images import Limits, decode_image
from edge_crnn.images.formats import inspect
from edge_crnn.images.header import RefusedError
from tests.edge_crnn.images.pictures import BGR, GREY, RGB, saved, tiff

DEEP = GREY.astype("<u2") * 257


def directory(data: bytes | bytearray) -> int:
    return int(struct.unpack_from("<I", data, 4)[0])


def with_entries(data: bytes, *entries: bytes) -> bytes:
    """Return a TIFF of one directory with more entries, and with the directory at the end."""
    at = directory(data)
    (count,) = struct.unpack_from("<H", data, at)
    rows = [data[at + 2 + 12 * number : at + 14 + 12 * number] for number in range(count)]
    rows = sorted([*rows, *entries], key=lambda row: struct.unpack_from("<H", row))
    table = struct.pack("<H", len(rows)) + b"".join(rows) + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + table


def with_value(data: bytes, tag: int, value: int) -> bytes:
    """Return a TIFF with another value, or place of values, in the entry of a tag."""
    at = directory(data)
    (count,) = struct.unpack_from("<H", data, at)
    changed = bytearray(data)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, entry)[0] == tag:
            struct.pack_into("<I", changed, entry + 8, value)
            return bytes(changed)
    raise AssertionError(tag)


def without(data: bytes, tag: int) -> bytes:
    """Return a TIFF in which the entry of a tag has an unknown tag instead."""
    return data.replace(struct.pack("<HHI", tag, 3, 1), struct.pack("<HHI", 65_000, 3, 1))


@pytest.mark.parametrize("tags", [[273] * 100, range(1_000, 1_100)], ids=["repeated", "unknown"])
def test_repeated_and_unknown_entries_take_no_memory(tags: Sequence[int]) -> None:
    data = with_entries(tiff(GREY, 1), *[struct.pack("<HHII", tag, 1, 100_000, 8) for tag in tags]) + bytes(100_000)
    tracemalloc.start()
    try:
        inspect(data, Limits())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * len(data)


def test_the_first_entry_of_a_tag_counts() -> None:
    data = with_entries(tiff(RGB, 2, t274=(3, 6)), struct.pack("<HHII", 274, 3, 1, 3))
    assert np.array_equal(decode_image(data), np.rot90(BGR, -1))


def test_entries_are_named_in_the_message() -> None:
    with pytest.raises(RefusedError, match="more than 3 entries"):
        inspect(tiff(GREY, 1), Limits(segments=3))


@pytest.mark.parametrize("brightest", [1, 255, 300, 4094, 4095, 40_000, 65_535])
def test_the_highest_level_that_occurs_is_no_white(brightest: int) -> None:
    """MaxSampleValue is statistical in TIFF 6.0."""
    assert np.array_equal(decode_image(tiff(DEEP, 1, t281=(3, brightest)))[..., 0], GREY)


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("channels", [1, 3])
def test_levels_up_to_the_white_of_a_camera_are_rejected(bits: int, channels: int) -> None:
    levels = (DEEP >> 16 - bits).astype("<u2")
    data = tiff(levels if channels == 1 else np.dstack([levels] * 3), channels // 2 + 1, t281=(3, (1 << bits) - 1))
    with pytest.raises(ImageError, match="8 or 16 full bits"):
        decode_image(data)


@pytest.mark.parametrize("levels", [GREY, RGB, DEEP], ids=["grey", "colour", "16 bits"])
@pytest.mark.parametrize("surplus", [1, 1_000, 1 << 20])
def test_uncompressed_pixels_count_and_not_the_length_of_their_strip(levels: np.ndarray, surplus: int) -> None:
    photometric = 2 if levels.ndim == 3 else 1
    data = tiff(levels, photometric)
    header = bytearray(data[: directory(data)])  # the directory goes before the pixels, so that these end the file
    table = data[directory(data) :]
    shift = len(table)
    moved = header[:4] + struct.pack("<I", 8) + table + header[8:]
    moved = bytearray(with_value(bytes(moved), 273, 8 + shift))
    if levels.ndim == 3:
        moved = bytearray(with_value(bytes(moved), 258, 8 + shift - 2 * levels.shape[2]))
    sound = bytes(moved)
    expected = decode_image(data)
    assert np.array_equal(decode_image(sound), expected)
    assert np.array_equal(decode_image(with_value(sound, 279, levels.nbytes + surplus)), expected)
    with pytest.raises(ImageError, match="cut short"):
        decode_image(with_value(sound[:-1], 279, levels.nbytes + surplus))


def test_strips_of_compressed_pixels_lie_in_the_file() -> None:
    data = saved("TIFF", compression="tiff_lzw")
    assert np.array_equal(decode_image(data), BGR)
    with pytest.raises(ImageError, match="cut short"):
        decode_image(with_value(data, 279, len(data)))


@pytest.mark.parametrize("rows", [1, 5, 48])
def test_strips_of_any_number_of_rows(rows: int) -> None:
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "TIFF", tiffinfo={278: rows})
    assert np.array_equal(decode_image(file.getvalue()), BGR)


def planar(picture: np.ndarray) -> bytes:
    """Return an uncompressed TIFF with a plane, and a strip, for each sample."""
    planes = np.moveaxis(picture, 2, 0).copy()
    data = bytearray(tiff(planes.reshape(picture.shape), 2, t284=(3, 2)))
    strips = {
        273: [8 + index * planes[0].nbytes for index in range(len(planes))],
        279: [planes[0].nbytes] * len(planes),
    }
    at = directory(data)
    (count,) = struct.unpack_from("<H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if values := strips.get(struct.unpack_from("<H", data, entry)[0]):
            struct.pack_into("<II", data, entry + 4, len(values), len(data))
            data += struct.pack(f"<{len(values)}I", *values)
    return bytes(data)


def test_planes_of_8_bits() -> None:
    assert np.array_equal(decode_image(planar(RGB)), BGR)


@pytest.mark.parametrize("channels", [3, 4])
def test_planes_of_16_bits_are_rejected(channels: int) -> None:
    """OpenCV read the first plane of a sound file, and left two thirds of the image as the memory was before."""
    deep = np.dstack([RGB, GREY])[..., :channels].astype("<u2") * 257
    with pytest.raises(ImageError, match="16 bits with a plane for each sample"):
        decode_image(planar(deep))


@pytest.mark.parametrize("picture", [RGB, RGB.astype("<u2") * 257], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("photometric", [2, 6])
def test_colours_without_their_number_of_samples_are_rejected(picture: np.ndarray, photometric: int) -> None:
    """OpenCV left the pixels beyond the first third as the memory was before."""
    for data in (with_value(tiff(picture, photometric), 277, 1), without(tiff(picture, photometric), 277)):
        with pytest.raises(ImageError, match="1 instead of 3 samples"):
            decode_image(data)


@pytest.mark.parametrize("place", [1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("order", ["<", ">"])
def test_places_outside_the_file_are_damage(order: str, place: int) -> None:
    start = (b"II+\0" if order == "<" else b"MM\0+") + struct.pack(f"{order}HH", 8, 0)
    with pytest.raises(RefusedError, match="cut short or damaged"):
        inspect(start + struct.pack(f"{order}Q", place) + bytes(64), Limits())
    values_elsewhere = struct.pack(f"{order}QHHQQ", 1, 258, 3, 5, place)
    with pytest.raises(RefusedError, match="cut short or damaged"):
        inspect(start + struct.pack(f"{order}Q", 16) + values_elsewhere, Limits())
