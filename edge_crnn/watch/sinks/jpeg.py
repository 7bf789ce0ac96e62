"""Crops and frames as JPEG."""

from __future__ import annotations

from typing import Final

from ...errors import BackendUnavailable, InputError
from ..frame import Pixels

CROP_QUALITY: Final = 92
FRAME_QUALITY: Final = 85
_APP0: Final = b"\xff\xe0"
_COMMENT: Final = b"\xff\xfe"


def require() -> None:
    """Import OpenCV, so that its absence is known at the start.

    Raises:
        BackendUnavailable: OpenCV is not installed.
    """
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable(
            f"JPEG files are written with OpenCV, which is not installed ({error}); pip install 'edge-crnn[opencv]'"
        ) from error


def encode(pixels: Pixels, quality: int = CROP_QUALITY) -> bytes:
    """Return an image as a JPEG file.

    Raises:
        InputError: the image is empty, or too large for JPEG.
    """
    import cv2

    if pixels.size == 0:
        raise InputError(f"an image of shape {pixels.shape} has no pixels; expected (H, W, 3)")
    try:
        succeeded, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise InputError(f"an image of shape {pixels.shape} cannot be written as JPEG ({error.err})") from error
    if not succeeded:
        raise InputError(f"an image of shape {pixels.shape} cannot be written as JPEG")
    return data.tobytes()


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
