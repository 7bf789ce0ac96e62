"""Picture files and arrays → pixels: uint8, (H, W) grey or (H, W, 3) BGR, upright.

16 bits become 8 as x / 257, rounded; alpha is laid over white; EXIF orientation is applied.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import BackendUnavailable, ImageError
from .model import container

Pixels = npt.NDArray[np.uint8]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})
"""Lower-case suffixes of the files that OpenCV reads on every platform."""

_MAX_BYTES = 256 << 20
_PNM_MAXVAL = re.compile(rb"P[2356](?:(?:\s|#[^\n]*\n)+(\d+)){3}")

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


def load_image(path: str | Path) -> Pixels:
    """Read a picture file as (H, W, 3) uint8 BGR, upright.

    Raises:
        ImageError: the file is missing, empty, no picture, cut short, too large, or its levels have neither 8
            nor 16 bits.
        BackendUnavailable: OpenCV is not installed, or does not start.
    """
    data = _read(path)
    try:
        import cv2
    except ImportError as error:
        raise BackendUnavailable(
            f"{path}: picture files are read with OpenCV, which is not there ({error});"
            " pip install 'edge-crnn[opencv]', or pass arrays"
        ) from error
    try:
        # The only mode that keeps alpha and 16 bits; it leaves the orientation to us.
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError) as error:
        reason = "not enough memory" if isinstance(error, MemoryError) else error.err
        raise ImageError(f"{path}: OpenCV refuses it ({reason}); give a smaller picture, in JPEG or PNG") from error
    if picture is None:
        raise ImageError(
            f"{path}: {len(data):,} bytes that start with {data[:8]!r}, no picture or a damaged one;"
            " expected JPEG, PNG, BMP, WebP, TIFF, PGM or PPM: copy or save it again"
        )
    if data[:2] in (b"II", b"MM") and picture.dtype == np.uint8 and picture.shape[2:] == (4,):
        picture = picture[..., :3] + (255 - picture[..., 3:])  # libtiff has multiplied the colours by alpha already
    try:
        pixels = _UPRIGHT[container.orientation(data)](as_pixels(picture, str(path)))
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., np.newaxis], 3, axis=2)
        return np.ascontiguousarray(pixels)
    except MemoryError as error:
        raise ImageError(f"{path}: {picture.shape} is too much for the memory; give a smaller picture") from error


def as_pixels(image: object, name: str = "image") -> Pixels:
    """A user's array as uint8, (H, W) grey or (H, W, 3) BGR; no copy where it is that already.

    Args:
        image: (H, W) or (H, W, 1) grey, (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16.
        name: what an error calls it.

    Raises:
        ImageError: anything else.
    """
    if not isinstance(image, np.ndarray):
        raise ImageError(
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


def _read(path: str | Path) -> bytes:
    try:
        about = Path(path).stat()
        data = Path(path).read_bytes() if stat.S_ISREG(about.st_mode) and about.st_size <= _MAX_BYTES else b""
    except (OSError, ValueError, MemoryError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error) or "not enough memory"
        raise ImageError(f"{path}: cannot be read ({reason}); name a picture file") from error
    if not data:
        found = f"{about.st_size:,} bytes" if stat.S_ISREG(about.st_mode) else "a folder or a device"
        raise ImageError(f"{path}: found {found}, expected a picture of at most {_MAX_BYTES:,} bytes; name another")
    if container.is_cut_short(data):
        raise ImageError(
            f"{path}: cut short, the end of the picture is missing after {len(data):,} bytes; copy it again"
        )
    maxval = _PNM_MAXVAL.match(data[:4096])
    if maxval and int(maxval[1]) not in (255, 65535):
        # OpenCV gives such levels as they are, so that 10 bits in 16 would look black.
        raise ImageError(f"{path}: white is {int(maxval[1])}, expected 255 or 65535; save it with 8 or 16 full bits")
    return data
