"""Pictures of every kind → pixels: uint8, (H, W) grey or (H, W, 3) BGR, upright.

A path, the bytes of a file, a file object, a Pillow image and an array of one picture all give the same pixels.
16 bits become 8 as x / 257, rounded; alpha is laid over white; EXIF orientation is applied.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import BackendUnavailable, ImageError, ImageTypeError
from .model import container

Pixels = npt.NDArray[np.uint8]


if TYPE_CHECKING:

    class BinaryFile(Protocol):
        """An open file, or anything else with a `read` that returns bytes."""

        def read(self, size: int = -1, /) -> bytes:
            """Read at most `size` bytes; all where it is negative."""

    class PillowImage(Protocol):
        """The part of `PIL.Image.Image` that is used here."""

        @property
        def mode(self) -> str:
            """Kind of pixels, such as RGB."""

        def convert(self, mode: str) -> Any:
            """Return the same picture with another kind of pixels."""

        def getexif(self) -> Any:
            """Return the EXIF tags and their values."""


Image: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | PillowImage | npt.NDArray[Any]"
)
"""A picture as `read_pixels` takes it."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})
"""Lower-case suffixes of the files that OpenCV reads on every platform."""

_MAX_BYTES = 256 << 20
_PNM_MAXVAL = re.compile(rb"P[2356](?:(?:\s|#[^\n]*\n)+(\d+)){3}")
_ORIENTATION = 0x0112  # EXIF tag

_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p.swapaxes(0, 1)[:, ::-1],
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: p.swapaxes(0, 1)[::-1],
}
"""EXIF orientation → what turns such a picture upright."""


def read_pixels(image: Image, name: str = "image") -> Pixels:
    """The pixels of a picture, whatever holds it.

    Args:
        image: a path; the bytes of a picture file; an open binary file; a Pillow image; or an array, (H, W) or
            (H, W, 1) grey, (H, W, 3) BGR or (H, W, 4) BGRA, uint8 or uint16. For an RGB array see `from_rgb`.
        name: what an error calls it, unless it is a path or a file with a name.

    Returns:
        (H, W) or (H, W, 3) BGR, uint8.

    Raises:
        ImageError: the picture is missing, damaged, or not of such a form.
        ImageTypeError: it is an object of another type, which is also a TypeError.
        BackendUnavailable: a picture file must be decoded, and OpenCV is not installed.
    """
    if isinstance(image, np.ndarray):
        return as_pixels(image, name)
    if isinstance(image, str | os.PathLike):
        return load_image(image)
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_image(bytes(image), name)
    if _is_pillow(image):
        return _pillow_pixels(image, name)
    if callable(getattr(image, "read", None)):
        return _file_pixels(image, name)
    raise ImageTypeError(
        f"{name}: found {type(image).__name__}, expected a path, the bytes of a picture file, an open binary file, a"
        " Pillow image or a NumPy array; convert it with numpy.asarray, colours in the order blue, green, red"
    )


def from_rgb(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array with its colours in the order red, green, blue, as readers take it: blue, green, red.

        reader.read(from_rgb(frame))

    Arrays are BGR everywhere in edge-crnn, as OpenCV has them. Frames of imageio, torchvision, Matplotlib and
    `numpy.asarray(pillow_image)` are RGB. (Picamera2's format called "RGB888" is BGR already.)

    Args:
        image: (H, W, 3) RGB or (H, W, 4) RGBA; uint8 or uint16.

    Returns:
        A view of the same memory, (H, W, 3) BGR, or a copy, (H, W, 4) BGRA.

    Raises:
        ImageError: it has another shape.
        ImageTypeError: it is not a NumPy array.
    """
    if not isinstance(image, np.ndarray):
        raise ImageTypeError(
            f"from_rgb: found {type(image).__name__}, expected a NumPy array (H, W, 3) RGB or (H, W, 4) RGBA; pass"
            " paths, bytes, files and Pillow images to the reader as they are"
        )
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ImageError(
            f"from_rgb: found shape {image.shape}, expected (H, W, 3) RGB or (H, W, 4) RGBA; pass grey images to the"
            " reader as they are"
        )
    return image[..., ::-1] if image.shape[2] == 3 else image[..., [2, 1, 0, 3]]


def load_image(path: str | os.PathLike[str]) -> Pixels:
    """Read a picture file as (H, W, 3) uint8 BGR, upright.

    Raises:
        ImageError: the file is missing, empty, no picture, cut short, too large, or its levels have neither 8
            nor 16 bits.
        BackendUnavailable: OpenCV is not installed, or does not start.
    """
    return decode_image(_read(path), os.fspath(path))


def decode_image(data: bytes, name: str = "image") -> Pixels:
    """Decode the bytes of a picture file as (H, W, 3) uint8 BGR, upright.

    Args:
        data: the whole file.
        name: what an error calls it.

    Raises:
        ImageError: they are no picture, or it is cut short or too large, or its levels have neither 8 nor 16 bits.
        BackendUnavailable: OpenCV is not installed, or does not start.
    """
    _check_encoded(data, name)
    try:
        import cv2
    except ImportError as error:
        raise BackendUnavailable(
            f"{name}: picture files are read with OpenCV, which is not installed ({error});"
            " pip install 'edge-crnn[opencv]', or pass arrays"
        ) from error
    try:
        # The only mode that keeps alpha and 16 bits; it leaves the orientation to us.
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError) as error:
        reason = "not enough memory" if isinstance(error, MemoryError) else error.err
        raise ImageError(f"{name}: OpenCV refuses it ({reason}); give a smaller picture, in JPEG or PNG") from error
    if picture is None:
        raise ImageError(
            f"{name}: {len(data):,} bytes that start with {data[:8]!r}, no picture or a damaged one;"
            " expected JPEG, PNG, BMP, WebP, TIFF, PGM or PPM: copy or save it again"
        )
    if data[:2] in (b"II", b"MM") and picture.dtype == np.uint8 and picture.shape[2:] == (4,):
        picture = picture[..., :3] + (255 - picture[..., 3:])  # libtiff has multiplied the colours by alpha already
    try:
        pixels = _UPRIGHT[container.orientation(data)](as_pixels(picture, name))
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., np.newaxis], 3, axis=2)
        return np.ascontiguousarray(pixels)
    except MemoryError as error:
        raise ImageError(f"{name}: {picture.shape} is too much for the memory; give a smaller picture") from error


def as_pixels(image: object, name: str = "image") -> Pixels:
    """A user's array as uint8, (H, W) grey or (H, W, 3) BGR; no copy where it is that already.

    Args:
        image: (H, W) or (H, W, 1) grey, (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16.
        name: what an error calls it.

    Raises:
        ImageError: an array of another form.
        ImageTypeError: no array.
    """
    if not isinstance(image, np.ndarray):
        raise ImageTypeError(
            f"{name}: found {type(image).__name__}, expected a NumPy array (H, W), (H, W, 3) BGR or"
            " (H, W, 4) BGRA; convert it with numpy.asarray, colours in the order blue, green, red"
        )
    if image.dtype.kind != "u" or image.dtype.itemsize > 2:
        raise ImageError(
            f"{name}: found dtype {image.dtype}, expected uint8 or uint16;"
            " scale it to 0..255 and use .astype(numpy.uint8)"
        )
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or image.size == 0:
        raise ImageError(
            f"{name}: found shape {image.shape}, expected (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA"
            " with at least one pixel; pass one image at a time, channels last"
        )
    pixels: npt.NDArray[Any] = image[..., 0] if image.ndim == 3 and channels == 1 else image
    if pixels.dtype.itemsize == 2:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return _over_white(pixels) if channels == 4 else pixels


def _over_white(bgra: Pixels) -> Pixels:
    alpha = bgra[..., 3:].astype(np.uint32)
    return ((bgra[..., :3] * alpha + (255 - alpha) * 255 + 127) // 255).astype(np.uint8)


def _is_pillow(image: object) -> bool:
    """Whether it is an image of Pillow, which need not be imported to tell."""
    return any(base.__name__ == "Image" and base.__module__ == "PIL.Image" for base in type(image).__mro__)


def _pillow_pixels(image: Any, name: str) -> Pixels:
    """The pixels of a Pillow image; its palette, alpha and orientation count as those of the file."""
    name = getattr(image, "filename", "") or name
    if image.mode in ("I", "F"):
        raise ImageError(
            f"{name}: found a Pillow image of mode {image.mode}, whose white is not known; convert it to 8 bits:"
            " image.convert('L') or 'RGB'"
        )
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
        mode = _pillow_mode(image)
        picture = np.asarray(image if image.mode == mode else image.convert(mode))
    except (OSError, ValueError, SyntaxError, MemoryError) as error:  # Pillow decodes a file here at the earliest
        raise ImageError(f"{name}: Pillow cannot decode it ({error}); copy or save it again") from error
    upright = _UPRIGHT.get(orientation, _UPRIGHT[1])
    return upright(as_pixels(picture if picture.ndim == 2 else from_rgb(picture), name))


def _pillow_mode(image: Any) -> str:
    """The mode of which NumPy gets the levels that the image shows."""
    mode: str = image.mode
    if mode == "L" or mode.startswith("I;16"):
        return mode
    palette = getattr(image, "palette", None)
    has_alpha = mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in image.info
    if has_alpha or (mode == "P" and palette is not None and palette.mode == "RGBA"):
        return "RGBA"
    return "L" if mode == "1" else "RGB"


def _file_pixels(file: Any, name: str) -> Pixels:
    named = getattr(file, "name", None)
    if isinstance(named, str):
        name = named
    try:
        data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise ImageError(f"{name}: cannot be read ({error}); pass an open file") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ImageTypeError(
            f"{name}: its read() returned {type(data).__name__}, expected bytes; open the file in binary mode: 'rb'"
        )
    if not data:
        raise ImageError(f"{name}: nothing is left to read; rewind the file with seek(0), or pass another")
    return decode_image(bytes(data), name)


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        about = Path(path).stat()
        data = Path(path).read_bytes() if stat.S_ISREG(about.st_mode) and about.st_size <= _MAX_BYTES else b""
    except (OSError, ValueError, MemoryError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error) or "not enough memory"
        raise ImageError(f"{path}: cannot be read ({reason}); name a picture file") from error
    if not data:
        found = f"{about.st_size:,} bytes" if stat.S_ISREG(about.st_mode) else "a folder or a device"
        raise ImageError(f"{path}: found {found}, expected a picture of at most {_MAX_BYTES:,} bytes; name another")
    return data


def _check_encoded(data: bytes, name: str) -> None:
    """Refuse what OpenCV would read as another picture than it is."""
    if not 1 <= len(data) <= _MAX_BYTES:
        raise ImageError(
            f"{name}: found {len(data):,} bytes, expected a picture of at most {_MAX_BYTES:,} bytes; name another"
        )
    if container.is_cut_short(data):
        raise ImageError(
            f"{name}: cut short, the end of the picture is missing after {len(data):,} bytes; copy it again"
        )
    maxval = _PNM_MAXVAL.match(data[:4096])
    if maxval and int(maxval[1]) not in (255, 65535):
        # OpenCV gives such levels as they are, so that 10 bits in 16 would look black.
        raise ImageError(f"{name}: white is {int(maxval[1])}, expected 255 or 65535; save it with 8 or 16 full bits")
