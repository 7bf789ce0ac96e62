"""Levels of pixels → numbers that the network sees: inverted, standardised, scaled and shifted, by tables of 256."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from ..images import Pixels
from ..model.input import InputSpec, per_channel


def write_levels(row: npt.NDArray[np.float32] | Pixels, pixels: Pixels, spec: InputSpec) -> None:
    """Write the tensor of an image that has the right size, channels and axes; for dtype uint8 copy the pixels."""
    if spec.dtype == "uint8":
        row[...] = pixels
        return
    if isinstance(spec.scale, tuple) or isinstance(spec.offset, tuple):
        mean, deviation = _moments(pixels, spec)
        numbers = zip(per_channel(spec.scale), per_channel(spec.offset), strict=True)
        for channel, (scale, offset) in enumerate(numbers):
            row[..., channel] = _levels(scale, offset, spec.invert, mean, deviation)[pixels[..., channel]]
        return
    # No index is out of range; "raise" would nevertheless write a copy first.
    _levels(spec.scale, spec.offset, spec.invert, *_moments(pixels, spec)).take(pixels, out=row, mode="clip")


def _moments(pixels: Pixels, spec: InputSpec) -> tuple[float, float]:
    """Return the mean and the deviation that standardise an image; 0 and 1 if the spec does not.

    The sums are integers, so the result depends neither on their order nor on the machine.
    """
    if not spec.standardise:
        return 0.0, 1.0
    counts = np.bincount(pixels.ravel(), minlength=256).tolist()
    if spec.invert:
        counts.reverse()
    number = pixels.size
    total = sum(level * count for level, count in enumerate(counts))
    squares = sum(level * level * count for level, count in enumerate(counts))
    deviation = math.sqrt(number * squares - total * total) / number
    return total / number, max(deviation, 1.0 / math.sqrt(number))


@functools.lru_cache(maxsize=16)
def _levels(scale: float, offset: float, invert: bool, mean: float, deviation: float) -> npt.NDArray[np.float32]:
    """Return the number that the network sees for each level: (256,), computed in float64, rounded once to float32."""
    levels = np.arange(256)[::-1] if invert else np.arange(256)
    return ((levels - mean) / deviation * scale + offset).astype(np.float32)
