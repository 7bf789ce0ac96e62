"""Images → the batch that the network takes; the same code feeds the runtime, calibration and verification.

Grey and resize are fixed-point formulas, each written in NumPy here. OpenCV's faster ones are used only where
they give the same bits, which is tried once in each process, so that the result depends neither on the
machine nor on whether OpenCV is installed.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .images import Pixels, as_pixels
from .model.spec import InputSpec

_BGR_WEIGHTS = (3735, 19235, 9798)
"""ITU-R BT.601 luma as integers over 2^15, their sum exactly 2^15."""


def preprocess(images: Sequence[npt.NDArray[Any]], spec: InputSpec) -> npt.NDArray[Any]:
    """Images as one batch (N, *spec.shape) of dtype `spec.dtype`.

    Args:
        images: each (H, W) or (H, W, 1) grey, (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16; any size.
        spec: channels, size, resize rule, axes and dtype of the tensor.

    Raises:
        ImageError: one of them is no such array.
    """
    batch = np.empty((len(images), *spec.shape), spec.dtype)
    for index, image in enumerate(images):
        preprocess_into(batch[index], image, spec, f"image {index}")
    return batch


def preprocess_into(row: npt.NDArray[Any], image: npt.NDArray[Any], spec: InputSpec, name: str = "image") -> None:
    """Write one image into `row`, one row of a batch: `spec.shape`, `spec.dtype`, C-contiguous.

    Raises:
        InputError: the row does not fit the spec.
        ImageError: the image is no array as `preprocess` takes it; `name` is what the error calls it.
    """
    if row.shape != spec.shape or row.dtype != spec.dtype or not row.flags.c_contiguous:
        raise InputError(
            f"found a row {row.shape} of {row.dtype}, expected {spec.shape} of {spec.dtype}, C-contiguous;"
            " make the batch with numpy.empty((n, *spec.shape), spec.dtype)"
        )
    pixels = as_pixels(image, name)
    if spec.colour == "grey":
        pixels = to_grey(pixels)
    pixels = _fit(pixels, spec) if spec.resize == "fit" else resize_exact(pixels, spec.width, spec.height)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis].repeat(spec.channels, axis=2)
    if spec.colour == "rgb":
        pixels = pixels[..., ::-1]
    if spec.axes == "WHC":
        pixels = pixels.swapaxes(0, 1)
    if spec.dtype == "uint8":
        row[...] = pixels
    else:
        # No index is out of range; "raise" would nevertheless write a copy first.
        _levels(spec.scale, spec.offset).take(pixels, out=row, mode="clip")


def to_grey(pixels: Pixels) -> Pixels:
    """Grey (H, W) uint8 of (H, W, 3) uint8 BGR; (H, W) is returned as it is.

    (3735 B + 19235 G + 9798 R + 2^14) >> 15, which is what OpenCV's `cvtColor` computes.
    """
    if pixels.ndim == 2:
        return pixels
    cv2 = _exact_opencv()
    grey: Pixels = _grey(pixels) if cv2 is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    return grey


def resize_exact(pixels: Pixels, width: int, height: int) -> Pixels:
    """Bilinear resize of (H, W) or (H, W, 3) uint8 to `width` × `height`, in fixed point.

    Weights are rounded to 1/256 (halves to even), the result is (sum + 2^15) >> 16, and the edge pixels reach
    outwards: what OpenCV calls INTER_LINEAR_EXACT. No averaging when shrinking.
    """
    cv2 = _exact_opencv()
    if cv2 is None or pixels.shape[1] == 1:  # of a single column OpenCV reads an offset that it never set
        return _resize(pixels, width, height)
    resized: Pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return resized


@functools.cache
def _exact_opencv() -> types.ModuleType | None:
    """OpenCV where it is installed and its grey and resize give the bits of the formulas here."""
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
    """For each target pixel: the two source pixels around its centre, and the second's weight in 1/256."""
    # OpenCV divides twice; a single source / target rounds otherwise.
    centre = (np.arange(target) + 0.5) * (1.0 / (target / source)) - 0.5
    centre = np.clip(centre, 0.0, source - 1.0)
    first = np.floor(centre).astype(np.intp)
    weight = np.rint((centre - first) * 256.0).astype(np.int32)
    return first, np.minimum(first + 1, source - 1), weight


def _fit(pixels: Pixels, spec: InputSpec) -> Pixels:
    height, width = pixels.shape[:2]
    # The side that limits the scale is filled; the other is rounded half up, and has at least one pixel.
    if width * spec.height >= height * spec.width:
        size = (spec.width, max(1, (2 * height * spec.width + width) // (2 * width)))
    else:
        size = (max(1, (2 * width * spec.height + height) // (2 * height)), spec.height)
    canvas = np.full((spec.height, spec.width, *pixels.shape[2:]), spec.padding, np.uint8)
    top = (spec.height - size[1]) // 2
    canvas[top : top + size[1], : size[0]] = resize_exact(pixels, *size)
    return canvas


@functools.lru_cache(maxsize=16)
def _levels(scale: float, offset: float) -> npt.NDArray[np.float32]:
    """What the network sees of each grey level: computed in float64, rounded once to float32."""
    return (np.arange(256) * scale + offset).astype(np.float32)
