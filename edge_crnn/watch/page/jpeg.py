"""Encodes pixels as JPEG through OpenCV."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ...errors import BackendUnavailable, InputError
from ..frame import Pixels


def require() -> None:
    """Raise BackendUnavailable unless OpenCV is installed."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable("the page needs OpenCV for its images: pip install 'edge-crnn[opencv]'") from error


def encoded(pixels: Pixels, widest: int, highest: int, quality: int) -> bytes:
    """Return pixels as JPEG, scaled down to fit into `widest` × `highest`.

    Raises:
        InputError: there are no pixels, or OpenCV cannot encode them.
    """
    import cv2

    if pixels.size == 0:
        raise InputError(f"cannot encode an image of shape {pixels.shape}; expected pixels")
    height, width = pixels.shape[:2]
    scaled: npt.NDArray[Any] = pixels
    scale = min(1.0, widest / width, highest / height)
    try:
        if scale < 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            scaled = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        succeeded, data = cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise InputError(f"cannot encode an image of shape {pixels.shape} and type {pixels.dtype} as JPEG") from error
    if not succeeded:
        raise InputError(f"cannot encode an image of shape {pixels.shape} as JPEG")
    return bytes(data)
