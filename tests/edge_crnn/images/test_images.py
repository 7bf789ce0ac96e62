from __future__ import annotations

import io
import struct
import sys
import unicodedata
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from edge_crnn.errors import BackendUnavailable, ImageError, ImageTypeError
from edge_crnn.images import SUFFIXES, Limits, as_pixels, decode_image, from_rgb, load_image, read_content, read_pixels

RANDOM = np.random.default_rng(7)
COLOUR = RANDOM.integers(0, 256, (12, 20, 3), np.uint8)
BGRA = RANDOM.integers(0, 256, (12, 20, 4), np.uint8)
RGBA = BGRA[..., [2, 1, 0, 3]]


def over_white(bgra: np.ndarray) -> np.ndarray:
    alpha = bgra[..., 3:] / 255.0
    return np.rint(bgra[..., :3] * alpha + 255.0 * (1 - alpha)).astype(np.uint8)


def saved(path: Path, picture: np.ndarray) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_a_lossless_file_gives_its_pixels(tmp_path: Path, suffix: str) -> None:
    assert np.array_equal(load_image(saved(tmp_path / f"a{suffix}", COLOUR)), COLOUR)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES - {".pgm", ".pbm", ".jfif", ".jp2"}))
def test_every_suffix_that_is_searched_for_can_be_read(tmp_path: Path, suffix: str) -> None:
    if not cv2.haveImageWriter(f"a{suffix}"):
        pytest.skip(f"OpenCV {cv2.__version__} does not write {suffix}")
    assert load_image(saved(tmp_path / f"a{suffix}", COLOUR)).shape == COLOUR.shape


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".pgm"])
def test_a_grey_file_has_three_equal_channels(tmp_path: Path, suffix: str) -> None:
    grey = COLOUR[..., 0]
    pixels = load_image(saved(tmp_path / f"a{suffix}", grey))
    assert np.array_equal(pixels, np.stack([grey] * 3, axis=2))
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    blocks = np.kron(COLOUR[:2, :3], np.ones((16, 16, 1), np.uint8))  # so that JPEG changes little
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    path = tmp_path / "a"
    Image.fromarray(blocks).save(path, kind, exif=tags, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))[..., ::-1]
    assert np.abs(load_image(path).astype(int) - expected).max() <= 3


def test_exif_orientation_and_alpha_together(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(RGBA).save(tmp_path / "a.png", exif=tags)
    assert np.array_equal(load_image(tmp_path / "a.png"), np.rot90(over_white(BGRA), -1))


def test_alpha_is_laid_over_white(tmp_path: Path) -> None:
    assert np.array_equal(load_image(saved(tmp_path / "a.png", BGRA)), over_white(BGRA))


def test_alpha_of_a_tiff(tmp_path: Path) -> None:
    Image.fromarray(RGBA).save(tmp_path / "a.tif")
    assert np.abs(load_image(tmp_path / "a.tif").astype(int) - over_white(BGRA)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "P", "LA", "CMYK"])
def test_other_kinds_of_picture(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(COLOUR).convert(mode)
    path = tmp_path / "a"
    picture.save(path, "TIFF" if mode == "CMYK" else "PNG")
    expected = np.asarray(picture.convert("RGB"))[..., ::-1]
    assert np.abs(load_image(path).astype(int) - expected).max() <= (1 if mode == "CMYK" else 0)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled(tmp_path: Path, suffix: str, channels: int) -> None:
    deep = RANDOM.integers(0, 65536, (5, 7, channels), np.uint16)
    expected = np.rint(deep / 257.0) * np.ones(3)
    assert np.array_equal(load_image(saved(tmp_path / f"a{suffix}", deep)), expected)


@pytest.mark.parametrize("shape", [(1, 1, 3), (4, 20_000, 3), (20_000, 1, 3)])
def test_extreme_sizes_are_read(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    picture = RANDOM.integers(0, 256, shape, np.uint8)
    assert np.array_equal(load_image(saved(tmp_path / "a.png", picture)), picture)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_korean_names(tmp_path: Path, form: str) -> None:
    path = tmp_path / unicodedata.normalize(form, "서울18나6897 é.png")
    assert np.array_equal(load_image(str(saved(path, COLOUR))), COLOUR)


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def encoded(suffix: str, picture: np.ndarray = COLOUR) -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


BAD_FILES = {
    "empty": (b"", "found 0 bytes"),
    "text": (b"no picture at all\n" * 9, "not an image, or a damaged one"),
    "cut JPEG": (encoded(".jpg")[:-40], "cut short"),
    "JPEG header": (encoded(".jpg")[:100], "cut short"),
    "cut PNG": (encoded(".png")[:-100], "cut short"),
    "damaged PNG": (encoded(".png")[:120] + b"\0\0\0\0" + encoded(".png")[124:], "damaged"),
    "cut BMP": (encoded(".bmp")[:-100], "cut short"),
    "cut WebP": (encoded(".webp")[:-100], "cut short"),
    "cut PPM": (encoded(".ppm")[:-100], "cut short"),
    "cut TIFF": (encoded(".tif")[:-100], "damaged"),
    "bomb": (png_header(100_000, 100_000), "100,000 x 100,000 pixels"),
    "float": (encoded(".tif", np.ones((3, 4), np.float32)), "float32"),
    "10 bits": (b"P5\n# of a camera\n2 2\n1023\n" + bytes(8), "white is 1023"),
}


@pytest.mark.parametrize(("data", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "번호판.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=message) as caught:
        load_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_a_name_that_cannot_be(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.png", "a\0b.png"):
        with pytest.raises(ImageError, match="cannot be read"):
            load_image(path)
    for path in (tmp_path, "/dev/zero"):
        with pytest.raises(ImageError, match="found a folder or a device"):
            load_image(path)


def test_files_larger_than_any_picture_are_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_crnn.images.limits._current", Limits(file_bytes=99))
    with pytest.raises(ImageError, match="of at most 99 bytes"):
        load_image(saved(tmp_path / "a.png", COLOUR))


def test_without_opencv_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.png", COLOUR)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'edge-crnn\[opencv\]'"):
        load_image(path)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"BM", b"P5 ", b"\x89PNG\r\n\x1a\n"]))
def test_no_bytes_give_another_error(tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(magic + data)
    refused = ""
    try:
        pixels = load_image(path)
    except ImageError as error:
        refused = str(error)
    assert str(path) in refused or pixels.shape[2] == 3


def test_pixels_pass_without_a_copy() -> None:
    for image in (COLOUR, COLOUR[..., 0], COLOUR[::2, ::-1]):
        assert as_pixels(image) is image
    assert np.shares_memory(as_pixels(COLOUR[..., :1]), COLOUR)
    assert as_pixels(COLOUR[..., :1]).shape == (12, 20)


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_16_bit_level(order: str) -> None:
    levels = np.arange(65536, dtype=f"{order}u2").reshape(256, 256)
    assert np.array_equal(as_pixels(levels), np.rint(levels / 257.0))


def test_every_alpha_over_every_level() -> None:
    level, alpha = np.mgrid[:256, :256].astype(np.uint8)
    assert np.array_equal(as_pixels(np.stack([level] * 3 + [alpha], 2)), over_white(np.stack([level] * 3 + [alpha], 2)))


def test_16_bits_with_alpha() -> None:
    assert np.array_equal(as_pixels(BGRA.astype(np.uint16) * 257), over_white(BGRA))


BAD_ARRAYS = {
    "path": ("plate.png", "found str"),
    "list": ([[0, 1]], "found list"),
    "Pillow": (Image.fromarray(COLOUR), "found Image"),
    "float": (COLOUR / 255.0, "float64"),
    "bool": (COLOUR > 9, "bool"),
    "int": (COLOUR.astype(int), "int64"),
    "32 bits": (COLOUR.astype(np.uint32), "uint32"),
    "batch": (COLOUR[np.newaxis], r"\(1, 12, 20, 3\)"),
    "row": (COLOUR[0, :, 0], r"\(20,\)"),
    "two channels": (COLOUR[..., :2], r"\(12, 20, 2\)"),
    "channels first": (np.moveaxis(COLOUR, 2, 0), r"\(3, 12, 20\)"),
    "no rows": (COLOUR[:0], r"\(0, 20, 3\)"),
    "no columns": (COLOUR[:, :0, 0], r"\(12, 0\)"),
}


@pytest.mark.parametrize(("image", "message"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays(image: object, message: str) -> None:
    with pytest.raises(ImageError, match=f"^image 3: found .*{message.removeprefix('found ')}.*expected"):
        as_pixels(image, "image 3")


@settings(deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)))
def test_any_shape_is_taken_or_refused(image: np.ndarray) -> None:
    try:
        pixels = as_pixels(image)
    except ImageError:
        assert image.size == 0 or image.ndim not in (2, 3) or image.shape[2:] in ((2,), (5,))
    else:
        assert pixels.shape in (image.shape[:2], (*image.shape[:2], 3))


# --- whatever holds an image ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_every_source_of_a_picture_gives_the_same_pixels(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a{suffix}", COLOUR)
    data = path.read_bytes()
    expected = load_image(path)
    with path.open("rb") as file:
        for image in (path, str(path), data, bytearray(data), memoryview(data), file, io.BytesIO(data), expected):
            assert np.array_equal(read_pixels(image), expected)
    if suffix != ".jpg":  # Pillow may round another way than OpenCV
        assert np.array_equal(read_pixels(Image.open(path)), expected)
    assert np.array_equal(read_pixels(from_rgb(expected[..., ::-1])), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_pillow_image_is_read_as_its_file(tmp_path: Path, mode: str) -> None:
    rgba = Image.fromarray(RGBA)
    deep = Image.fromarray(RANDOM.integers(0, 65536, (12, 20), np.uint16))
    picture = deep if mode == "I;16" else rgba.convert(mode)
    assert picture.mode == mode
    path = tmp_path / "a"
    picture.save(path, "TIFF" if mode == "CMYK" else "PNG")
    pixels = read_pixels(Image.open(path))
    grey = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)
    assert np.abs(grey.astype(int) - load_image(path)).max() <= (1 if mode == "CMYK" else 0)
    assert np.array_equal(read_pixels(picture), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pillow_image_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(COLOUR).save(path, exif=tags)
    opened = Image.open(path)
    assert np.array_equal(read_pixels(opened), load_image(path))
    assert np.array_equal(read_pixels(ImageOps.exif_transpose(opened)), load_image(path))  # not a second time


def test_transparency_of_a_palette_counts(tmp_path: Path) -> None:
    picture = Image.fromarray(COLOUR).convert("P")
    picture.save(tmp_path / "a.png", transparency=picture.getpixel((0, 0)))
    pixels = read_pixels(Image.open(tmp_path / "a.png"))
    assert np.array_equal(pixels, load_image(tmp_path / "a.png"))
    assert pixels[0, 0].tolist() == [255, 255, 255]


class Unreadable:
    def read(self, size: int = -1) -> bytes:
        raise OSError("the camera is gone")


def closed() -> io.BytesIO:
    file = io.BytesIO(b"any")
    file.close()
    return file


OTHERS = {
    "None": (None, "found NoneType, expected a path, the bytes", TypeError),
    "number": (7, "found int", TypeError),
    "list": ([[0, 1]], "found list", TypeError),
    "text file": (io.StringIO("text"), r"read\(\) returned str.*'rb'", TypeError),
    "file at its end": (io.BytesIO(), r"nothing is left to read; rewind the file with seek\(0\)", ValueError),
    "closed file": (closed(), "cannot be read .*closed file", ValueError),
    "file that fails": (Unreadable(), "the camera is gone", ValueError),
    "no bytes": (b"", "found 0 bytes", ValueError),
    "other bytes": (b"no picture", "10 bytes that start with", ValueError),
    "cut JPEG": (encoded(".jpg")[:-40], "cut short", ValueError),
    "Pillow, 32 bits": (
        Image.fromarray(np.ones((3, 4), np.int32)),
        "mode I, whose level of white is unknown",
        ValueError,
    ),
    "Pillow, float": (Image.fromarray(np.ones((3, 4), np.float32)), "mode F", ValueError),
    "Pillow, cut": (
        Image.open(io.BytesIO(encoded(".png", np.tile(COLOUR, (9, 9, 1)))[:-900])),
        "Pillow cannot",
        ValueError,
    ),
}


@pytest.mark.parametrize(("image", "message", "builtin"), OTHERS.values(), ids=OTHERS)
def test_object_without_a_picture_is_refused(image: object, message: str, builtin: type[Exception]) -> None:
    with pytest.raises(ImageError, match=f"^image 3: .*{message}") as caught:
        read_pixels(image, "image 3")  # type: ignore[arg-type]
    assert isinstance(caught.value, builtin)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"BM", b"P5 ", b"\x89PNG\r\n\x1a\n", b"II*\0"]))
def test_any_bytes_are_a_picture_or_an_image_error(data: bytes, magic: bytes) -> None:
    refused = ""
    try:
        pixels = decode_image(magic + data)
    except ImageError as error:
        refused = str(error)
    assert refused.startswith("image: ") or pixels.shape[2] == 3


def test_rgb_becomes_bgr() -> None:
    assert np.array_equal(from_rgb(COLOUR), COLOUR[..., ::-1])
    assert np.shares_memory(from_rgb(COLOUR), COLOUR)
    assert np.array_equal(from_rgb(RGBA), BGRA)
    for wrong in (COLOUR[..., 0], COLOUR[..., :2], COLOUR[np.newaxis]):
        with pytest.raises(ImageError, match=r"from_rgb: found shape .*expected \(H, W, 3\) RGB"):
            from_rgb(wrong)
    with pytest.raises(ImageTypeError, match=r"from_rgb: found Image, .*pass paths, bytes, files and Pillow images"):
        from_rgb(Image.fromarray(COLOUR))  # type: ignore[arg-type]


def test_the_content_of_a_file_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "plate.png"
    path.write_bytes(b"not an image")
    with path.open("rb") as file:
        assert read_content(file) == (b"not an image", str(path))
    assert read_content(path) == (b"not an image", str(path))
    assert read_content(bytearray(b"not an image"), "images[3]") == (b"not an image", "images[3]")
    pixels, name = read_content(np.full((2, 3, 1), 257, np.uint16) * 255, "frame")
    assert isinstance(pixels, np.ndarray)
    assert (pixels.dtype, pixels.max(), name) == (np.uint8, 255, "frame")
