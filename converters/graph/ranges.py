"""The ranges of a graph's values on real images, which static int8 needs."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from edge_crnn.errors import ConversionError, DatasetError

from . import oracle
from .cells import Array
from .graph import Graph, Ranges
from .nodes import Conv

_SAMPLE = 1 << 14
"""Largest number of elements of a value that are kept per batch to choose a narrower range."""
_NARROWINGS = np.linspace(0.25, 1.0, 31)
"""Shares of the whole range that are tried, on either side of zero."""


def calibrate(graph: Graph, batches: Iterable[npt.NDArray[np.float32]]) -> Ranges:
    """Find the ranges of all values of the graph over all batches (N, *input_shape).

    A range goes from the smallest to the largest element. Sums of convolutions without an activation are nearly normal,
    and their few largest elements would make all steps coarse, so they get the range of the least squared error.

    The values are those that `oracle.run` shows: each layer's output by the layer's name, and what happens inside
    recurrent layers. Call it on the graph that is lowered: folding changes the values.

    Raises:
        DatasetError: there is no image.
        ConversionError: a value is not finite.
    """
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    samples: dict[str, list[Array]] = {
        node.name: [] for node in graph.nodes if isinstance(node, Conv) and node.activation == "linear"
    }

    def observe(name: str, value: Array) -> None:
        # np.minimum and not min, which loses NaN
        lows[name] = float(np.minimum(lows.get(name, np.inf), value.min()))
        highs[name] = float(np.maximum(highs.get(name, -np.inf), value.max()))
        if name in samples:
            samples[name].append(_some(value))

    for batch in filter(len, batches):
        with np.errstate(over="ignore", invalid="ignore"):  # the check below names the value
            oracle.run(graph, batch, observe)
    if not lows:
        raise DatasetError("no calibration images; name a folder with some")
    for name in lows:
        if not np.isfinite([lows[name], highs[name]]).all():
            raise ConversionError(f"value {name!r} goes from {lows[name]} to {highs[name]}; int8 needs finite values")
    ranges = {name: (lows[name], highs[name]) for name in lows}
    return ranges | {name: narrowed(*ranges[name], np.concatenate(parts)) for name, parts in samples.items() if parts}


def narrowed(low: float, high: float, sample: Array) -> tuple[float, float]:
    """Return the range within (low, high) of which int8 has the least mean squared error on a sample.

    The error is that of elements outside of the range, which become its ends, and step² / 12 by rounding (Banner,
    Nahshan, Soudry 2019, "Post training 4-bit quantization of convolutional networks").
    """

    def error(share: float) -> float:
        outside = sample - np.clip(sample, low * share, high * share)
        return float(np.mean(np.square(outside, dtype=np.float64))) + ((high - low) * share / 255) ** 2 / 12

    best = min(_NARROWINGS.tolist(), key=error)
    return low * best, high * best


def _some(value: Array) -> Array:
    """Return elements of a value (..., channels), as many of every channel."""
    step = -(-value.size // _SAMPLE)
    while math.gcd(step, value.shape[-1]) > 1:
        step += 1
    return value.ravel()[::step]
