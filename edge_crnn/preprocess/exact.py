"""The grey conversion and the default resize: fixed-point formulas in NumPy, or OpenCV where it gives the same bits."""

from __future__ import annotations

import functools
import types

import numpy as np
import numpy.typing as npt

from ..images import Pixels

_BGR_WEIGHTS = (3735, 19235, 9798)
"""ITU-R BT.601 luma as integers over 2^15, their sum exactly 2^15."""


def to_grey(pixels: Pixels) -> Pixels:
    """Convert (H, W, 3) uint8 BGR to (H, W) uint8 grey; an image that is (H, W) already is returned as it is.

    The formula is (3735 B + 19235 G + 9798 R + 2^14) >> 15, which OpenCV's `cvtColor` computes too. Pillow's
    `convert("L")` and `tf.image.rgb_to_grayscale` differ by at most one level.
    """
    if pixels.ndim == 2:
        return pixels
    cv2 = exact_opencv()
    grey: Pixels = _grey(pixels) if cv2 is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    return grey


def resize_exact(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resize (H, W) or (H, W, 3) uint8 bilinearly to `width` × `height`, in fixed point.

    Weights are rounded to 1/256 (halves to even), the result is (sum + 2^15) >> 16, and edge pixels extend outwards.
    OpenCV calls this INTER_LINEAR_EXACT. Nothing is averaged when an image shrinks; see `reducing`. OpenCV's
    INTER_LINEAR and `tf.image.resize` (bilinear, antialias=False), rounded, differ by at most one level.
    """
    cv2 = exact_opencv()
    if cv2 is None or pixels.shape[1] == 1:  # for a single column OpenCV reads an offset that it never set
        return _resize(pixels, width, height)
    resized: Pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return resized


@functools.cache
def exact_opencv() -> types.ModuleType | None:
    """Return the module cv2 if it is installed and gives the same bits as the formulas here, else None."""
    try:
        import cv2
    except ImportError:
        return None
    probe = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    grey = _grey(probe)
    same = np.array_equal(cv2.cvtColor(probe, cv2.COLOR_BGR2GRAY), grey) and all(
        np.array_equal(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR_EXACT), _resize(pixels, *size))
        for pixels in (probe, grey)
        for size in ((53, 41), (201, 150))
    )
    return cv2 if same else None


def _grey(bgr: Pixels) -> Pixels:
    blue, green, red = (bgr[..., channel].astype(np.uint32) * weight for channel, weight in enumerate(_BGR_WEIGHTS))
    return ((blue + green + red + (1 << 14)) >> 15).astype(np.uint8)


def _resize(pixels: Pixels, width: int, height: int) -> Pixels:
    top, bottom, down = _neighbours(pixels.shape[0], height)
    left, right, across = _neighbours(pixels.shape[1], width)
    down = down.reshape(-1, *[1] * (pixels.ndim - 1))
    across = across.reshape(-1, *[1] * (pixels.ndim - 2))
    rows: npt.NDArray[np.int32] = pixels[top] * (256 - down) + pixels[bottom] * down
    sums = rows[:, left] * (256 - across) + rows[:, right] * across
    return ((sums + (1 << 15)) >> 16).astype(np.uint8)


def _neighbours(source: int, target: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int32]]:
    """Return the two source pixels around the centre of each target pixel, and the second's weight in 1/256."""
    # OpenCV divides twice; a single source / target rounds otherwise.
    centre = (np.arange(target) + 0.5) * (1.0 / (target / source)) - 0.5
    centre = np.clip(centre, 0.0, source - 1.0)
    first = np.floor(centre).astype(np.intp)
    weight = np.rint((centre - first) * 256.0).astype(np.int32)
    return first, np.minimum(first + 1, source - 1), weight
