"""Resizing by each interpolation that a spec can name, with the same result on every machine.

| interpolation | peer | agreement |
|---|---|---|
| linear | OpenCV INTER_LINEAR_EXACT | bit for bit |
| | OpenCV INTER_LINEAR; tf.image.resize (bilinear, antialias=False), rounded | within one grey level |
| area | OpenCV INTER_AREA | within one grey level |
| pil-bilinear, pil-bicubic | Pillow's Image.resize with BILINEAR, BICUBIC | bit for bit |

Pillow 13 and later resize the height first if it shrinks much more than the width. Here, as in older versions, the
width always comes first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..images import Pixels
from .exact import resize_exact

Interpolation = Literal["linear", "area", "pil-bilinear", "pil-bicubic"]

_PIL_BITS = 22
"""Number of fractional bits in Pillow's weights, for 8 bits per channel."""


def resize(pixels: Pixels, width: int, height: int, interpolation: Interpolation) -> Pixels:
    """Resize (H, W) or (H, W, 3) uint8 to `width` × `height` pixels."""
    if interpolation == "linear":
        return resize_exact(pixels, width, height)
    if interpolation == "area":
        return _area(pixels, width, height)
    return _pillow(pixels, width, height, interpolation)


def _area(pixels: Pixels, width: int, height: int) -> Pixels:
    """Average over the area that each target pixel covers, exactly, with halves rounded up.

    An image that grows in width or height takes two neighbours along both axes, weighted by the area that the target
    pixel covers of them, as OpenCV does.
    """
    rows, columns = pixels.shape[:2]
    reduce = _sums if rows >= height and columns >= width else _pairs
    total = reduce(reduce(pixels.astype(np.int64), height).swapaxes(0, 1), width).swapaxes(0, 1)
    area = rows * columns
    return np.asarray((2 * total + area) // (2 * area), np.uint8)


def _sums(values: npt.NDArray[np.int64], target: int) -> npt.NDArray[np.int64]:
    """Sum what each target pixel covers along axis 0; a whole source pixel weighs `target`, and all weigh `source`."""
    source = values.shape[0]
    if source == target:
        return np.multiply(values, source)
    whole, part = np.divmod(np.arange(target + 1) * source, target)
    before = np.zeros((source + 1, *values.shape[1:]), np.int64)
    np.cumsum(values, axis=0, out=before[1:])
    edge = values[np.minimum(whole, source - 1)]  # its part is 0 where it lies beyond
    until = before[whole] * target + edge * part.reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(np.diff(until, axis=0), np.int64)


def _pairs(values: npt.NDArray[np.int64], target: int) -> npt.NDArray[np.int64]:
    """Weigh two neighbours by what a target pixel covers of them along axis 0; weights sum to `source`."""
    source = values.shape[0]
    place = np.arange(target)
    # In OpenCV's doubles, whose product may fall just short of a whole number.
    first = np.floor(place * (1.0 / (target / source))).astype(np.intp)
    beyond = (place + 1) * source - (first + 1) * target  # of the target pixel, in 1/source of it
    second = np.where(beyond <= 0, 0, beyond % source)
    second = second.reshape(-1, *[1] * (values.ndim - 1))
    pairs: npt.NDArray[np.int64] = values[first] * (source - second)
    pairs += values[np.minimum(first + 1, source - 1)] * second
    return pairs


def _pillow(pixels: Pixels, width: int, height: int, interpolation: Interpolation) -> Pixels:
    """Resize columns first, then rows, both rounded to uint8, in Pillow's fixed point."""
    if pixels.shape[1] != width:
        pixels = _convolved(pixels.swapaxes(0, 1), width, interpolation).swapaxes(0, 1)
    return pixels if pixels.shape[0] == height else _convolved(pixels, height, interpolation)


def _convolved(pixels: Pixels, target: int, interpolation: Interpolation) -> Pixels:
    first, weights = _pillow_weights(pixels.shape[0], target, interpolation)
    last = pixels.shape[0] - 1
    total = np.full((target, *pixels.shape[1:]), 1 << (_PIL_BITS - 1), np.int32)
    for tap, weight in enumerate(weights):
        total += pixels[np.minimum(first + tap, last)] * weight.reshape(-1, *[1] * (pixels.ndim - 1))
    return np.asarray(np.clip(total >> _PIL_BITS, 0, 255), np.uint8)


@functools.lru_cache(maxsize=64)
def _pillow_weights(
    source: int, target: int, interpolation: Interpolation
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int32]]:
    """Return the taps of each target pixel.

    Returns:
        (target,) the first source pixel, and (taps, target) the weights over 2^22 of the pixels from there on.
    """
    support, kernel = _KERNELS[interpolation]
    scale = source / target
    stretch = max(scale, 1.0)
    centre = (np.arange(target) + 0.5) * scale
    first = np.maximum(np.trunc(centre - support * stretch + 0.5), 0).astype(np.intp)
    end = np.minimum(np.trunc(centre + support * stretch + 0.5), source).astype(np.intp)
    taps = np.arange(int((end - first).max()))[:, np.newaxis]
    weights = kernel(np.abs((taps + first - centre + 0.5) * (1.0 / stretch)))
    weights[taps >= end - first] = 0.0
    total = np.zeros(target)
    for tap in weights:  # in Pillow's order, for the same bits
        total += tap
    weights = np.divide(1.0, total, out=np.ones(target), where=total != 0) * weights
    fixed = np.trunc(weights * (1 << _PIL_BITS) + np.copysign(0.5, weights)).astype(np.int32)
    return first, fixed


def _triangle(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.maximum(1.0 - distance, 0.0)


def _cubic(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return Keys' cubic convolution kernel with a = -0.5 (Keys, 1981)."""
    a = -0.5
    x = distance
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


_KERNELS: dict[Interpolation, tuple[float, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]]] = {
    "pil-bilinear": (1.0, _triangle),
    "pil-bicubic": (2.0, _cubic),
}
