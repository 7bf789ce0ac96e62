"""Decodes the bytes of an image file with OpenCV; `formats` reads everything around the pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BackendUnavailable, ImageError
from .formats import NAMES, inspect
from .header import Header, RefusedError, check_bytes, check_memory
from .limits import current_limits
from .pixels import UPRIGHT, Pixels, as_pixels, lack_of_memory

_NO_MEMORY = -4  # cv2.Error.StsNoMem


@dataclass(frozen=True)
class DecodedImage:
    """The pixels of an image, and whether its file is damaged."""

    pixels: Pixels
    """(H, W) grey or (H, W, 3) BGR, uint8, upright."""
    damage: str = ""
    """The sign of damage in the file; empty if there is none. The pixels of a damaged file are those of the decoder."""


def decode(data: bytes, name: str) -> DecodedImage:
    """Decode the bytes of an image file as (H, W, 3) uint8 BGR, upright.

    Raises:
        ImageError: they are not an image, or it is cut short, exceeds a limit, does not fit into the memory, or
            would be misread.
        BackendUnavailable: OpenCV is not installed, or does not start.
    """
    limits = current_limits()
    size = f"{len(data):,} bytes"
    try:
        check_bytes(len(data), limits)
        header = inspect(data, limits)
        size = f"{header.width:,} x {header.height:,} pixels"
        check_memory(len(data) + 3 * header.width * header.height, f"an image of {size}")
        pixels = _pixels(_decoded(header, name), header, name)
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., np.newaxis], 3, axis=2)
        return DecodedImage(np.ascontiguousarray(pixels), header.damage)
    except RefusedError as error:
        raise ImageError(f"{name}: {error}") from error
    except MemoryError as error:
        raise lack_of_memory(name, f"decode {size}") from error


def _decoded(header: Header, name: str) -> npt.NDArray[Any]:
    try:
        import cv2
    except ImportError as error:
        raise BackendUnavailable(
            f"{name}: image files are read with OpenCV, which is not installed ({error});"
            " pip install 'edge-crnn[opencv]', or pass arrays"
        ) from error
    try:
        # Only this mode keeps alpha and 16 bits. It does not apply the orientation.
        array = cv2.imdecode(np.frombuffer(header.data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == _NO_MEMORY:
            wanted = re.search(r"\d+", error.err)  # "Failed to allocate 512000000 bytes"
            check_memory(int(wanted[0]) if wanted else 0, "a part of the decoded image")
            raise MemoryError(error.err) from error
        raise ImageError(f"{name}: OpenCV refuses it ({error.err}); give a smaller image, in JPEG or PNG") from error
    if array is None:
        raise ImageError(
            f"{name}: {len(header.data):,} bytes that start with {header.data[:8]!r}, a damaged image or a kind that"
            f" OpenCV {cv2.__version__} does not read; expected {NAMES}: copy or save it again"
        )
    return array


def _pixels(array: npt.NDArray[Any], header: Header, name: str) -> Pixels:
    if header.white and 0 < (array if array.ndim == 2 else array[..., :3]).max() <= header.white:
        raise ImageError(
            f"{name}: found 16 bits with white at {header.white:,}, expected levels that fill them; save it with 8 or"
            " 16 full bits"
        )
    if array.ndim == 3 and array.shape[2] == 4:
        if header.has_padding:
            array = array[..., :3]
        elif header.is_premultiplied and array[..., 3].any():
            colours = as_pixels(array[..., :3], name)
            alpha = as_pixels(array[..., 3], name)
            return _upright(colours + np.minimum(255 - alpha[..., np.newaxis], 255 - colours), header)
    pixels = as_pixels(array, name)
    return _upright(255 - pixels if header.is_inverted else pixels, header)


def _upright(pixels: Pixels, header: Header) -> Pixels:
    return UPRIGHT[header.orientation](pixels)
