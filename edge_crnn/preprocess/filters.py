"""Binarisation and contrast on a grey image, by OpenCV's formulas written in NumPy.

OpenCV itself is never used here, because its fused multiplications make some results depend on the machine.

| filter | peer | agreement |
|---|---|---|
| otsu | cv2.threshold, THRESH_BINARY + THRESH_OTSU, 255 | bit for bit on x86, except between equally good levels |
| adaptive mean | cv2.adaptiveThreshold, ADAPTIVE_THRESH_MEAN_C, THRESH_BINARY, 255 | bit for bit |
| adaptive gaussian | the same, ADAPTIVE_THRESH_GAUSSIAN_C | the local mean within one grey level |
| clahe | cv2.createCLAHE(LIMIT, (TILES, TILES)) | bit for bit on x86 |
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..images import Pixels
from ..model.filters import Adaptive, Clahe, Filter, Otsu

_EPSILON = float(np.finfo(np.float32).eps)
_GAUSSIAN_BITS = 20
"""Number of fractional bits in a Gaussian's weights."""
_SMALL_GAUSSIANS = {
    3: (1 / 4, 1 / 2, 1 / 4),
    5: (1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16),
    7: (1 / 32, 7 / 64, 7 / 32, 9 / 32, 7 / 32, 7 / 64, 1 / 32),
    9: (4 / 256, 13 / 256, 30 / 256, 51 / 256, 60 / 256, 51 / 256, 30 / 256, 13 / 256, 4 / 256),
}
"""OpenCV's kernels of these sizes."""


def apply(filters: Iterable[Filter], grey: Pixels) -> Pixels:
    """Apply all filters, in order, to a grey (H, W) uint8 image."""
    for step in filters:
        match step:
            case Otsu():
                grey = _binary(grey > otsu_threshold(grey))
            case Adaptive():
                grey = _adaptive(grey, step)
            case Clahe():
                grey = _clahe(grey, step)
    return grey


def otsu_threshold(grey: Pixels) -> int:
    """Return the level that splits the histogram with the most variance between its two sides (Otsu, 1979).

    The sums are in double precision and in OpenCV's order, which decides between equally good levels.
    """
    shares = (np.bincount(grey.ravel(), minlength=256) * (1.0 / grey.size)).tolist()
    mean = 0.0
    for level, count in enumerate(np.bincount(grey.ravel(), minlength=256).tolist()):
        mean += level * count
    mean *= 1.0 / grey.size
    threshold = 0
    best = below = low_mean = 0.0
    for level, share in enumerate(shares):
        low_mean *= below
        below += share
        above = 1.0 - below
        if min(below, above) < _EPSILON or max(below, above) > 1.0 - _EPSILON:
            continue
        low_mean = (low_mean + level * share) / below
        high_mean = (mean - below * low_mean) / above
        variance = below * above * (low_mean - high_mean) * (low_mean - high_mean)
        if variance > best:
            best = variance
            threshold = level
    return threshold


def _binary(white: npt.NDArray[np.bool_]) -> Pixels:
    return np.where(white, np.uint8(255), np.uint8(0))


def _adaptive(grey: Pixels, how: Adaptive) -> Pixels:
    around = how.block // 2
    padded = np.pad(grey, around, mode="edge")
    if how.mean == "mean":
        total = _windows(_windows(padded.astype(np.int64), how.block).swapaxes(0, 1), how.block).swapaxes(0, 1)
        area = how.block * how.block  # odd, so that no mean lies halfway between two levels
        mean = (2 * total + area) // (2 * area)
    else:
        weights = _gaussian(how.block)
        blurred = _weighted(_weighted(padded.astype(np.int64), weights).swapaxes(0, 1), weights).swapaxes(0, 1)
        mean = np.rint(blurred / float(1 << 2 * _GAUSSIAN_BITS)).astype(np.int64)
    white: npt.NDArray[np.bool_] = grey - mean > -math.ceil(how.less)
    return _binary(white)


def _windows(values: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Return the sums of `size` neighbours along axis 0."""
    sums = np.zeros((values.shape[0] + 1, values.shape[1]), np.int64)
    np.cumsum(values, axis=0, out=sums[1:])
    windows: npt.NDArray[np.int64] = sums[size:] - sums[:-size]
    return windows


def _gaussian(size: int) -> list[int]:
    """Return OpenCV's kernel of a size, in integers over 2^20."""
    middle = (size - 1) / 2
    sigma = 0.3 * (middle - 1) + 0.8
    weights = _SMALL_GAUSSIANS.get(size) or [math.exp(-((i - middle) ** 2) / (2 * sigma * sigma)) for i in range(size)]
    fixed = [round(weight / math.fsum(weights) * (1 << _GAUSSIAN_BITS)) for weight in weights]
    fixed[size // 2] += (1 << _GAUSSIAN_BITS) - sum(fixed)
    return fixed


def _weighted(values: npt.NDArray[np.int64], weights: list[int]) -> npt.NDArray[np.int64]:
    """Return weighted sums of neighbours along axis 0."""
    length = values.shape[0] - len(weights) + 1
    total = np.zeros((length, values.shape[1]), np.int64)
    for place, weight in enumerate(weights):
        total += weight * values[place : place + length]
    return total


def _clahe(grey: Pixels, how: Clahe) -> Pixels:
    """Equalise each tile, then interpolate between the tables of the four nearest (Zuiderveld, 1994)."""
    height, width = grey.shape
    padded = grey
    if height % how.tiles or width % how.tiles:  # then OpenCV pads both axes, a divisible one by `tiles`
        padded = np.pad(grey, [(0, how.tiles - side % how.tiles) for side in grey.shape], mode="reflect")
    tile_height, tile_width = (side // how.tiles for side in padded.shape)
    tiles = padded[: tile_height * how.tiles, : tile_width * how.tiles]
    tiles = tiles.reshape(how.tiles, tile_height, how.tiles, tile_width).swapaxes(1, 2)
    tables = np.empty((how.tiles, how.tiles, 256), np.uint8)
    for place in np.ndindex(how.tiles, how.tiles):
        tables[place] = _equalising(tiles[place], how.limit)
    above, below, down = _between(height, tile_height, how.tiles)
    left, right, across = _between(width, tile_width, how.tiles)
    above = above[:, np.newaxis]
    below = below[:, np.newaxis]
    down = down[:, np.newaxis]
    full = np.float32(1)
    upper = tables[above, left, grey] * (full - across) + tables[above, right, grey] * across
    lower = tables[below, left, grey] * (full - across) + tables[below, right, grey] * across
    return np.asarray(np.rint(upper * (full - down) + lower * down), np.uint8)


def _equalising(tile: Pixels, limit: float) -> Pixels:
    """Return the table that equalises a tile: its new level for each level."""
    counts = np.bincount(tile.ravel(), minlength=256)
    if limit > 0:
        most = max(int(limit * tile.size / 256), 1)
        excess = int(np.maximum(counts - most, 0).sum())
        counts = np.minimum(counts, most) + excess // 256
        if rest := excess % 256:
            counts[:: max(256 // rest, 1)][:rest] += 1
    scaled = np.cumsum(counts).astype(np.float32) * (np.float32(255) / np.float32(tile.size))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def _between(
    size: int, tile: int, tiles: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return the tiles before and after each pixel, and the weight of the one after."""
    place = np.arange(size, dtype=np.float32) * (np.float32(1) / np.float32(tile)) - np.float32(0.5)
    first = np.floor(place)
    weight = (place - first).astype(np.float32)
    before = first.astype(np.intp)
    return np.maximum(before, 0), np.minimum(before + 1, tiles - 1), weight
