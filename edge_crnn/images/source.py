"""Reads the pixels of an image from any source.

A path, the bytes of a file, a file object, a Pillow image and an array give the same pixels for the same image.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import ImageError, ImageTypeError
from .header import RefusedError, check_bytes
from .limits import current_limits
from .pillow import is_pillow, pillow_pixels
from .pixels import Pixels, advice_on, as_pixels, lack_of_memory

if TYPE_CHECKING:
    from .decode import DecodedImage

    class BinaryFile(Protocol):
        """An open file, or another object with a `read` that returns bytes."""

        def read(self, size: int = -1, /) -> bytes:
            """Read at most `size` bytes; all if `size` is negative."""

    class PillowImage(Protocol):
        """The part of `PIL.Image.Image` that edge-crnn uses."""

        @property
        def mode(self) -> str:
            """The kind of pixels, such as RGB."""

        def convert(self, mode: str) -> Any:
            """Return the same image with another kind of pixels."""

        def getexif(self) -> Any:
            """Return the EXIF tags and their values."""


Image: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | PillowImage | npt.NDArray[Any]"
)
"""An image in any form that `read_pixels` accepts."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff"}
    | {".pbm", ".pgm", ".ppm", ".gif", ".avif", ".jp2"}
)
"""Lower-case suffixes of the image files that a folder is searched for."""


def read_pixels(image: Image, name: str = "image") -> Pixels:
    """Return the pixels of an image from any source.

    Args:
        image: a path; the bytes of an image file; an open binary file; a Pillow image; or an array, (H, W) or
            (H, W, 1) grey, (H, W, 3) BGR or (H, W, 4) BGRA, uint8 or uint16. For an RGB array see `from_rgb`.
        name: the name of the image in messages, unless it is a path or a file with a name.

    Returns:
        (H, W) or (H, W, 3) BGR, uint8. A damaged file that can be decoded gives the pixels of the decoder;
        `read_image` reports the damage.

    Raises:
        ImageError: the image is missing, has another form, exceeds a limit (see `Limits`), or cannot be decoded.
        ImageTypeError: the object has another type; also a TypeError.
        BackendUnavailable: an image file must be decoded, and OpenCV is not installed.
    """
    return read_image(image, name).pixels


def read_image(image: Image, name: str = "image") -> DecodedImage:
    """Return the pixels of an image and the damage of its file; for arguments and errors, see `read_pixels`."""
    from .decode import DecodedImage, decode  # not needed for arrays

    content, name = read_content(image, name)
    return DecodedImage(content) if isinstance(content, np.ndarray) else decode(content, name)


def read_content(image: Image, name: str = "image") -> tuple[bytes | Pixels, str]:
    """Return the bytes of an image file, which are not decoded, or the pixels of an array or a Pillow image.

    For arguments and errors, see `read_pixels`; the second value is the name of the image in messages.
    """
    if isinstance(image, np.ndarray):
        return as_pixels(image, name), name
    if isinstance(image, str | os.PathLike):
        return _read(image), os.fspath(image)
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image), name
    if is_pillow(image):
        return pillow_pixels(image, name), name
    if callable(getattr(image, "read", None)):
        return _file_content(image, name)
    raise ImageTypeError(
        f"{name}: found {type(image).__name__}, expected a path, the bytes of an image file, an open binary file, a"
        f" Pillow image or a NumPy array; {advice_on(image)}"
    )


def load_image(path: str | os.PathLike[str]) -> Pixels:
    """Read an image file as (H, W, 3) uint8 BGR, upright.

    Raises:
        ImageError: the file is missing, empty, not an image, cut short, too large, or its levels have neither 8
            nor 16 bits.
        BackendUnavailable: OpenCV is not installed, or does not start.
    """
    return decode_image(_read(path), os.fspath(path))


def decode_image(data: bytes, name: str = "image") -> Pixels:
    """Decode the bytes of an image file as (H, W, 3) uint8 BGR, upright.

    Args:
        data: the whole file.
        name: the name of the image in messages.

    Raises:
        ImageError: the bytes are not an image, or it is cut short, or too large, or its levels have neither 8 nor
            16 bits.
        BackendUnavailable: OpenCV is not installed, or does not start.
    """
    from .decode import decode

    return decode(data, name).pixels


def _file_content(file: Any, name: str) -> tuple[bytes, str]:
    named = getattr(file, "name", None)
    if isinstance(named, str):
        name = named
    try:
        data = file.read(current_limits().file_bytes + 1)
    except MemoryError as error:
        raise lack_of_memory(name, "read it") from error
    except (OSError, ValueError) as error:  # ValueError: the file is closed
        raise ImageError(f"{name}: cannot be read ({error}); pass an open file") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ImageTypeError(
            f"{name}: its read() returned {type(data).__name__}, expected bytes; open the file in binary mode: 'rb'"
        )
    if not data:
        raise ImageError(f"{name}: nothing is left to read; rewind the file with seek(0), or pass another")
    return bytes(data), name


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        about = Path(path).stat()
        if stat.S_ISREG(about.st_mode):
            check_bytes(about.st_size, current_limits())
            return Path(path).read_bytes()
    except RefusedError as error:
        raise ImageError(f"{path}: {error}") from error
    except MemoryError as error:
        raise lack_of_memory(path, "read it") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageError(f"{path}: cannot be read ({reason}); name an image file") from error
    raise ImageError(f"{path}: found a folder or a device, expected an image file; name another")
