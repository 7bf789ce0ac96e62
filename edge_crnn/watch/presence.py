"""Whether a plate that nobody reads is still where it was last read.

A finder reads nothing while nothing moves, so a plate that is not read may still be there. Its pixels tell: they are
the same as long as the vehicle stands.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .frame import Pixels
from .place import Place

ALIKE = 0.8
"""Least correlation of two patches that show the same plate."""

_COLUMNS = 24
_ROWS = 8
_INSIDE = 2
"""Samples per cell and axis; their mean makes the patch robust to noise and to shifts of a pixel."""

_SHIFTS = [(0, 0), *((dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy)]

Patch = npt.NDArray[np.float32]
"""(8, 24) float32: grey levels of a plate with mean 0 and length 1, or all 0 if nothing differs."""


def patch_of(pixels: Pixels, place: Place) -> Patch:
    """Return what a plate looks like, independent of brightness and contrast."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = place.box
    xs = _samples(left, right, _COLUMNS * _INSIDE, width)
    ys = _samples(top, bottom, _ROWS * _INSIDE, height)
    green = pixels[ys[:, None], xs, 1].astype(np.float32)
    cells = green.reshape(_ROWS, _INSIDE, _COLUMNS, _INSIDE).mean(axis=(1, 3))
    cells -= cells.mean()
    length = float(np.sqrt((cells * cells).sum()))
    # Less than a grey level per cell is noise.
    patch: Patch = cells / length if length > np.sqrt(cells.size) else np.zeros_like(cells)
    return patch


def is_alike(one: Patch, other: Patch) -> bool:
    """Return whether two patches of the same place show the same plate."""
    return float((one * other).sum()) >= ALIKE


def is_there(pixels: Pixels, place: Place, patch: Patch) -> bool:
    """Return whether a frame shows a patch at a place, or one pixel beside it, as a camera shakes."""
    return any(is_alike(patch_of(pixels, place.moved(dx, dy)), patch) for dx, dy in _SHIFTS)


def _samples(start: float, end: float, count: int, size: int) -> npt.NDArray[np.intp]:
    """Return the middles of `count` equal parts of a range of pixels, within the frame."""
    middles = start + (np.arange(count) + 0.5) * ((end - start) / count)
    places: npt.NDArray[np.intp] = np.clip(middles, 0, size - 1).astype(np.intp)
    return places
