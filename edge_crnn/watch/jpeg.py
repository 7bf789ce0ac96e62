"""Crops and frames as JPEG."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .frame import Pixels
from .opencv import opencv

CROP_QUALITY: Final = 92
FRAME_QUALITY: Final = 85
_APP0: Final = b"\xff\xe0"
_COMMENT: Final = b"\xff\xfe"


def encode(pixels: Pixels, quality: int = CROP_QUALITY, within: tuple[int, int] | None = None) -> bytes:
    """Return an image as a JPEG file.

    Args:
        pixels: the image.
        quality: from 0 to 100.
        within: the largest width and height; a larger image is scaled down. None: any size.

    Raises:
        InputError: the image is empty, or too large for JPEG.
    """
    cv2 = opencv()
    if pixels.size == 0:
        raise InputError(f"an image of shape {pixels.shape} has no pixels; expected (H, W, 3)")
    try:
        image = pixels if within is None else _fitted(pixels, *within)
        succeeded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise InputError(f"an image of shape {pixels.shape} cannot be written as JPEG ({error.err})") from error
    if not succeeded:
        raise InputError(f"an image of shape {pixels.shape} cannot be written as JPEG")
    return bytes(data)


def _fitted(pixels: Pixels, widest: int, highest: int) -> npt.NDArray[Any]:
    height, width = pixels.shape[:2]
    scale = min(1.0, widest / width, highest / height)
    if scale == 1:
        return pixels
    cv2 = opencv()
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def with_comment(data: bytes, comment: bytes) -> bytes:
    """Insert a comment segment into a JPEG file, behind its first segment (ITU-T T.81, B.2.4.5)."""
    place = _after_first_segment(data)
    return b"".join((data[:place], _COMMENT, (len(comment) + 2).to_bytes(2, "big"), comment, data[place:]))


def comment_of(head: bytes) -> bytes | None:
    """Return the comment that `with_comment` has inserted, or None; `head` is the start of the file."""
    place = _after_first_segment(head)
    if head[place : place + 2] != _COMMENT:
        return None
    length = int.from_bytes(head[place + 2 : place + 4], "big")
    return head[place + 4 : place + 2 + length]


def _after_first_segment(data: bytes) -> int:
    if data[2:4] != _APP0:
        return 2
    return 4 + int.from_bytes(data[4:6], "big")
