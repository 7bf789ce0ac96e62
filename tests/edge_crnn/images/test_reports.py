"""Faults that people report, each with several members of its kind."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_crnn.board import limits
from edge_crnn.errors import ImageError, ImageTypeError, InputError
from edge_crnn.files import is_temporary
from edge_crnn.images import Limits, as_pixels, decode_image, read_image, read_pixels, set_limits
from edge_crnn.images.formats import inspect
from edge_crnn.images.formats.huffman import Frame, damage_of
from edge_crnn.images.header import RefusedError
from tests.edge_crnn.images.pictures import BGR, GREY, RGB, encoded, saved, tiff


def bmp(fourth: int, compression: int, header: int) -> bytes:
    """Return a 32-bit BMP without a mask of alpha."""
    height, width = GREY.shape
    pixels = np.dstack([BGR, np.full_like(GREY, fourth)])[::-1].tobytes()
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, 32, compression, len(pixels), 0, 0, 0, 0)
    masks = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF) if compression == 3 else b""
    before = (info + masks).ljust(header, b"\0")
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(before)) + before + pixels


def grey(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 2 else pixels[..., 0]


@pytest.mark.parametrize("fourth", [0, 7, 255])
@pytest.mark.parametrize(("compression", "header"), [(0, 40), (3, 40), (3, 56), (3, 108)])
def test_a_fourth_byte_without_a_mask_is_padding(fourth: int, compression: int, header: int) -> None:
    """SDL_image#64."""
    assert np.array_equal(decode_image(bmp(fourth, compression, header)), BGR)


@pytest.mark.parametrize("levels", [BGR, BGR.astype(np.uint16) * 257], ids=["8 bits", "16 bits"])
def test_a_fourth_channel_of_zeros_is_padding(levels: np.ndarray) -> None:
    """opencv#11059, and the BGRx video buffers of Jetson boards."""
    padded = np.dstack([levels, np.zeros_like(levels[..., 0])])
    assert np.array_equal(as_pixels(padded), BGR)
    assert np.array_equal(decode_image(encoded(".png", padded)), BGR)
    assert np.array_equal(decode_image(tiff(np.ascontiguousarray(padded[..., [2, 1, 0, 3]]), 2, t338=(3, 2))), BGR)


@pytest.mark.parametrize("levels", [255 - GREY, (65535 - GREY.astype("<u2") * 257).astype("<u2")], ids=["8", "16"])
def test_white_is_zero(levels: np.ndarray) -> None:
    """opencv#9550."""
    assert np.array_equal(grey(decode_image(tiff(levels, 0))), GREY)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_an_array_with_the_levels_of_a_camera_is_rejected(bits: int) -> None:
    """picamera2#311."""
    levels = GREY.astype("<u2") << bits - 8
    for image in (levels, np.dstack([levels] * 3), Image.fromarray(levels)):
        with pytest.raises(ImageError, match="image << 4 for 12 bits"):
            read_pixels(image)


@pytest.mark.parametrize("brightest", [0, 4096, 16383])
def test_a_dark_array_of_16_bits_is_read(brightest: int) -> None:
    assert as_pixels(np.full((3, 4), brightest, np.uint16)).max() == (brightest + 128) // 257


def files_of(levels: np.ndarray) -> list[bytes]:
    """Return image files of 16-bit levels."""
    pgm = b"P5 4 3 65535\n" + levels.astype(">u2").tobytes()
    return [encoded(".png", levels), tiff(levels, 1), pgm]


@pytest.mark.parametrize("brightest", [0, 4096, 16383])
def test_a_dark_file_of_16_bits_is_read(brightest: int) -> None:
    for data in files_of(np.full((3, 4), brightest, "<u2")):
        assert decode_image(data).max() == (brightest + 128) // 257


@pytest.mark.parametrize("brightest", [1, 255, 1023, 4095])
def test_a_file_of_10_or_12_bits_in_16_is_rejected(brightest: int) -> None:
    """picamera2#311: such levels would look black."""
    for data in files_of(np.full((3, 4), brightest, "<u2")):
        with pytest.raises(ImageError, match="image << 4 for 12 bits"):
            decode_image(data)


def with_sbit(levels: np.ndarray, bits: int) -> bytes:
    """Return a PNG of 16 bits that states how many of them are significant."""
    data = encoded(".png", levels)
    chunk = b"sBIT" + bytes([bits])
    return data[:33] + struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def jpeg_2000(levels: np.ndarray, bits: int) -> bytes:
    """Return a lossless JPEG 2000 whose levels have another number of bits than 8 or 16."""
    data = bytearray(saved("JPEG2000", levels + np.uint16(32768 - (1 << bits - 1)), irreversible=False))
    data[data.index(b"\xff\x4f\xff\x51") + 42] = data[data.index(b"ihdr") + 14] = bits - 1
    return bytes(data)


@pytest.mark.parametrize("bits", [10, 13, 14, 15])
@pytest.mark.parametrize("file", [with_sbit, jpeg_2000])
def test_a_file_that_states_fewer_than_16_bits_is_rejected(file: Callable[[np.ndarray, int], bytes], bits: int) -> None:
    """picamera2#311: 13 to 15 bits looked dark."""
    white = (1 << bits) - 1
    levels = np.linspace(0, white, 48 * 96).astype(np.uint16).reshape(48, 96)
    with pytest.raises(ImageError, match=f"white at {white:,}"):
        decode_image(file(levels, bits))


@pytest.mark.parametrize("bits", [10, 12])
def test_an_avif_of_more_than_8_bits_is_rejected(bits: int) -> None:
    """picamera2#311: the advice was to shift the levels, which nobody can do in a file."""
    if not cv2.haveImageWriter("a.avif"):
        pytest.skip(f"OpenCV {cv2.__version__} has no AVIF")
    data = encoded(".avif", BGR.astype(np.uint16) << bits - 8, cv2.IMWRITE_AVIF_DEPTH, bits)
    with pytest.raises(ImageError, match=f"white at {(1 << bits) - 1:,}"):
        decode_image(data)


@pytest.mark.parametrize("levels", [GREY.astype(np.uint16) << 8, np.zeros((3, 4), np.uint16)], ids=["full", "black"])
def test_levels_that_fill_16_bits_are_read_whatever_is_significant(levels: np.ndarray) -> None:
    assert np.array_equal(grey(decode_image(with_sbit(levels, 12))), ((levels.astype(int) + 128) // 257))


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise error

    return fail


def no_memory() -> cv2.error:
    error = cv2.error("Failed to allocate 900 bytes")
    error.code = -4
    error.err = "Failed to allocate 900 bytes"
    return error


@pytest.mark.parametrize("error", [no_memory(), MemoryError()], ids=["OpenCV", "Python"])
def test_lack_of_memory_is_the_cause(error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(encoded(".png"))
    monkeypatch.setattr(cv2, "imdecode", failing(error))
    for image in (tmp_path / "a.png", encoded(".png")):
        with pytest.raises(ImageError, match="not enough memory") as caught:
            read_pixels(image)
        assert isinstance(caught.value.__cause__, MemoryError)
        assert "smaller" not in str(caught.value)


@pytest.mark.parametrize("step", ["check_bytes", "inspect", "check_memory", "_decoded", "_pixels"])
def test_lack_of_memory_at_any_step_of_decoding(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"edge_crnn.images.decode.{step}", failing(MemoryError()))
    with pytest.raises(ImageError, match="not enough memory"):
        decode_image(encoded(".png"))


def test_lack_of_memory_while_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(".png"))
    file = io.BytesIO()
    file.read = failing(MemoryError())  # type: ignore[method-assign]
    picture = Image.open(io.BytesIO(path.read_bytes()))
    monkeypatch.setattr(picture, "load", failing(MemoryError()))
    monkeypatch.setattr(Path, "read_bytes", failing(MemoryError()))
    for image in (path, file, picture):
        with pytest.raises(ImageError, match="not enough memory") as caught:
            read_pixels(image)
        assert isinstance(caught.value.__cause__, MemoryError)


def test_a_picture_that_can_never_fit_into_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as lack of memory, for which serve-folder would wait for ever."""
    large = cv2.imencode(".png", np.zeros((3000, 4000), np.uint8))[1].tobytes()
    (tmp_path / "file.png").write_bytes(encoded(".png") + bytes(40 << 20))
    wanted = no_memory()
    wanted.err = "Failed to allocate 96000000 bytes"
    for image in (large, tmp_path / "file.png"):
        monkeypatch.setattr(limits, "largest_memory", lambda: 200 << 20)
        read_pixels(image)
        monkeypatch.setattr(limits, "largest_memory", lambda: None)
        read_pixels(image)
        monkeypatch.setattr(limits, "largest_memory", lambda: 33 << 20)
        with pytest.raises(ImageError, match=r"needs at least .*never have more than 34,603,008") as caught:
            read_pixels(image)
        assert not is_temporary(caught.value)
    monkeypatch.setattr(cv2, "imdecode", failing(wanted))
    for most, temporary in ((33 << 20, False), (200 << 20, True)):
        monkeypatch.setattr(limits, "largest_memory", lambda most=most: most)
        with pytest.raises(ImageError) as caught:
            read_pixels(encoded(".png"))
        assert is_temporary(caught.value) is temporary


ENCODINGS = {
    "baseline": {},
    "grey": {"picture": GREY},
    "4:4:4": {"subsampling": 0},
    "own tables": {"optimize": True},
    "restarts": {"restart_marker_blocks": 3},
}


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("fault", ["zeros", "lost", "left", "ones"])
def test_damage_inside_a_jpeg_shows(options: dict[str, object], fault: str) -> None:
    """JPEGDecoder#39."""
    options = dict(options)
    data = saved("JPEG", options.pop("picture", RGB), quality=90, **options)  # type: ignore[arg-type]
    assert read_image(data).damage == ""
    end = len(data) - 2
    middle = (data.rindex(b"\xff\xda") + end) // 2
    damaged = {
        "zeros": data[:middle] + bytes(40) + data[middle + 40 :],
        "lost": data[: end - 60] + data[end:],
        "left": data[:end] + b"\x55" * 9 + data[end:],
        "ones": data[:middle] + b"\xff" * 40 + data[middle + 40 :],
    }[fault]
    try:
        damage = read_image(damaged).damage
    except ImageError as error:
        damage = str(error)
    assert damage


@pytest.mark.parametrize("at", [60, 80, -30])
def test_a_png_with_a_wrong_checksum_is_rejected(at: int) -> None:
    """JPEGDecoder#39, in another format."""
    data = bytearray(encoded(".png"))
    data[at] ^= 1
    with pytest.raises(ImageError, match="damaged"):
        decode_image(bytes(data))


def surplus_pixels(chunks: int, colours: int = 0, interlaced: int = 0) -> bytes:
    """Return a PNG of 8 x 8 pixels whose data decompress to 400 MiB."""
    packer = zlib.compressobj()
    start = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    mebibyte = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    data = start + 399 * mebibyte
    step = -(-len(data) // chunks)
    contents = [b"IHDR" + struct.pack(">IIBBBBB", 8, 8, 8, colours, 0, 0, interlaced)]
    contents += [b"IDAT" + data[at : at + step] for at in range(0, len(data), step)] + [b"IEND"]
    packed = [struct.pack(">I", len(content) - 4) + content for content in contents]
    return b"\x89PNG\r\n\x1a\n" + b"".join(part + struct.pack(">I", zlib.crc32(part[4:])) for part in packed)


LARGE_IHDR = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
BOMBS = {
    "GIF": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",",
    "JPEG": b"\xff\xd8\xff\xc0\0\x0b\x08" + struct.pack(">HH", 65500, 65500) + b"\x01\x01\x11\0",
    "segments": b"\xff\xd8" + b"\xff\xe1\0\x02" * 50_001,
    "scans": encoded(".jpg")[:-2] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * 101 + b"\xff\xd9",
    "PNG": b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0d" + LARGE_IHDR + struct.pack(">I", zlib.crc32(LARGE_IHDR)),
    "PNG of surplus pixels": surplus_pixels(chunks=1),
    "PNG of surplus pixels in chunks": surplus_pixels(chunks=50, colours=6),
    "interlaced PNG of surplus pixels": surplus_pixels(chunks=3, interlaced=1),
    "BMP": b"BM" + struct.pack("<IHHIIiiHHI", 0, 0, 0, 54, 40, 60000, -60000, 1, 24, 0),
    "PGM": b"P5 60000 60000 255\n",
    "WebP": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff" * 6,
    "AVIF": b"\0\0\0\x10ftypavif\0\0\0\0\0\0\0\x14ispe\0\0\0\0" + struct.pack(">II", 60000, 60000),
    "JPEG 2000": b"\xff\x4f\xff\x51\0\x2f\0\0" + struct.pack(">4I", 60000, 60000, 0, 0),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_bombs_are_rejected_before_they_are_decoded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=r"expected at most|found more than|the header gives"):
        decode_image(data)


@pytest.mark.parametrize("levels", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_large_png_is_no_bomb(levels: type[np.unsignedinteger], channels: int) -> None:
    shape = (700, 800, channels) if channels > 1 else (700, 800)
    picture = np.random.default_rng(1).integers(1, np.iinfo(levels).max, shape, levels)
    data = encoded(".png", picture)
    assert len(data) > 1 << 18
    assert decode_image(data).shape == (700, 800, 3)


def test_data_after_the_pixels_of_a_png_are_no_bomb() -> None:
    data = encoded(".png", np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8))
    surplus = b"IDAT" + bytes(20 << 20)
    chunk = struct.pack(">I", len(surplus) - 4) + surplus + struct.pack(">I", zlib.crc32(surplus))
    assert np.array_equal(decode_image(data[:-12] + chunk + data[-12:]), decode_image(data))


def test_limits_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(".png")
    try:
        set_limits(Limits(pixels=GREY.size - 1))
        with pytest.raises(ImageError, match="pixels"):
            decode_image(data)
    finally:
        set_limits(None)
    monkeypatch.setenv("EDGE_CRNN_MAX_PIXELS", "9")
    with pytest.raises(ImageError, match="at most 9"):
        decode_image(data)
    monkeypatch.setenv("EDGE_CRNN_MAX_PIXELS", "many")
    with pytest.raises(InputError, match="EDGE_CRNN_MAX_PIXELS"):
        decode_image(data)
    with pytest.raises(InputError, match="scans"):
        Limits(scans=0)
    with pytest.raises(InputError, match="followed_bytes"):
        Limits(followed_bytes=-1)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_the_first_frame_of_an_animation_is_read(kind: str) -> None:
    if kind == "GIF" and not cv2.haveImageWriter("a.gif"):
        pytest.skip(f"OpenCV {cv2.__version__} has no GIF")
    options = {"lossless": True} if kind == "WEBP" else {}
    still = decode_image(saved(kind, **options))
    moving = saved(kind, save_all=True, append_images=[Image.fromarray(RGB[::-1])], **options)
    assert np.array_equal(decode_image(moving), still)


@pytest.mark.parametrize("chunk", [b"fcTL", b"fdAT", b"acTL"])
def test_damage_in_the_animation_of_a_png_does_not_matter(chunk: bytes) -> None:
    data = bytearray(saved("PNG", save_all=True, append_images=[Image.fromarray(RGB[::-1])]))
    at = data.index(chunk)
    data[at + 6 : at + 12] = b"\xff" * 6
    assert np.array_equal(decode_image(bytes(data)), BGR)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_arrays_of_other_classes() -> None:
    assert as_pixels(np.matrix(GREY[:, :1])).shape == (48, 1)
    assert np.array_equal(as_pixels(np.ma.masked_array(GREY)), GREY)
    with pytest.raises(ImageError, match="masked array"):
        as_pixels(np.ma.masked_greater(GREY, 100))
    with pytest.raises(ImageError, match=r"2\^31"):
        as_pixels(np.broadcast_to(np.uint8(0), (1, 1 << 31)))
    with pytest.raises(ImageError, match="memory"):
        as_pixels(np.broadcast_to(np.uint8(0), (1 << 30, 1 << 30, 4)))


@pytest.mark.parametrize(
    ("image", "advice"),
    [(None, "imread"), (b"bytes", "read_pixels"), (io.BytesIO(), "read_pixels"), ([[0]], "asarray")],
)
def test_advice_fits_the_argument(image: object, advice: str) -> None:
    with pytest.raises(ImageTypeError, match=advice):
        as_pixels(image)


@pytest.mark.parametrize(("brand", "message"), [(b"heic", "HEIC"), (b"mif1", "HEIC"), (b"isom", "film")])
def test_formats_that_are_not_read_are_named(brand: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode_image(b"\0\0\0\x10ftyp" + brand + bytes(40))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("shape", [(1, 1), (17, 33), (48, 96)])
def test_the_header_has_the_size(kind: str, shape: tuple[int, int]) -> None:
    data = saved(kind, np.ascontiguousarray(RGB[: shape[0], : shape[1]]))
    header = inspect(data, Limits())
    assert (header.height, header.width, header.damage) == (*shape, "")
    for length in range(0, len(data), 97):
        with suppress(RefusedError):
            inspect(data[:length], Limits())


@pytest.mark.parametrize(("width", "height", "factor"), [(0, 8, 1), (8, 0, 1), (8, 8, 0)])
def test_a_scan_of_no_blocks_is_damaged(width: int, height: int, factor: int) -> None:
    tables = {number: bytes([0, 1, *bytes(14), 0]) for number in (0x00, 0x10)}
    frame = Frame(width, height, {1: (factor, 1)})
    assert damage_of(b"", b"\1\1\0\0\x3f\0", frame, tables, 0, follow=True)
