"""Motion: when something changes in a region, and where.

Every part of a region is compared with how it looked when it was last still. What stands still long enough becomes part
of that, so a parked car is no change, and a car that moves beside it is one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..frame import Pixels
from ..opencv import opencv
from .region import Box, View

_STEP = 4
"""Only every fourth pixel of every fourth row is looked at."""
_POOL = 2
"""Cells are the mean of 2 × 2 of these pixels."""
_LEAST = 10.0
"""Least difference of a changed cell, in levels of 255."""
_TIMES = 5.0
"""How often a cell's usual flicker its difference must be."""
_STILL = 1.0
"""Seconds without motion after which what changed is taken to stand."""
_FLICKER = 20.0
"""Seconds in which the flicker of a cell is learned."""
_LIGHT = 5.0
"""Seconds in which slow changes of the light are followed."""
_AROUND = 2
"""Cells around a change that also belong to it."""
_NEIGHBOURS = np.ones((11, 11), np.uint8)
"""Around a cell that moves, these move, too: the middle of a plain door does not change while the car moves on."""


class Motion:
    """Tells where one region has changed.

    Args:
        view: the region.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._inside: npt.NDArray[np.bool_] | None = None
        self._still: npt.NDArray[np.float32] | None = None
        self._last: npt.NDArray[np.float32] | None = None
        self._flicker: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        self._seconds = 0.0
        self._moved: npt.NDArray[np.float64] = np.zeros(0)
        # A plate is at least twice as wide as high, and the car around it changes, too.
        self._least_cells = max(6, round(2 * (view.heights[0] / (_STEP * _POOL)) ** 2))

    def changes(self, pixels: Pixels, seconds: float) -> list[Box]:
        """Take the next frame; return disjoint boxes around all that changed, or none if there is nothing to look at.

        Args:
            pixels: the frame.
            seconds: its monotonic time.
        """
        cells = self._cells(pixels)
        if self._still is None or self._last is None or self._inside is None:
            self._inside = self._view.mask(cells.shape[1], cells.shape[0])
            self._still = np.full_like(cells, -1e3)  # all that stands there at the start is read once
            self._flicker = np.full_like(cells, 1.0)
            self._moved = np.full(cells.shape, seconds)
            self._last, self._seconds = cells, seconds
            return [self._view.box]
        passed = min(max(seconds - self._seconds, 0.0), 1.0)
        self._seconds = seconds
        limit = np.maximum(_LEAST, _TIMES * self._flicker)
        step = np.abs(_without_light(cells - self._last))
        moves = opencv().dilate(_connected((step > limit) & self._inside), _NEIGHBOURS)
        self._moved[moves > 0] = seconds
        self._flicker += (np.minimum(step, 2 * limit) - self._flicker) * np.float32(passed / _FLICKER)
        self._last = cells
        difference = cells - self._still
        changed = np.abs(_without_light(difference)) > limit
        stands = seconds - self._moved >= _STILL
        follow = np.where(changed, 1.0, min(passed / _LIGHT, 1.0)) * stands
        self._still += follow.astype(np.float32) * difference
        return self._boxes(changed & self._inside & ~stands)

    def _cells(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        box = self._view.box
        thin = np.ascontiguousarray(pixels[box.top : box.bottom : _STEP, box.left : box.right : _STEP, 1])
        size = (max(thin.shape[1] // _POOL, 1), max(thin.shape[0] // _POOL, 1))
        cv2 = opencv()
        cells: npt.NDArray[np.float32] = cv2.resize(thin, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return cells

    def _boxes(self, changed: npt.NDArray[np.bool_]) -> list[Box]:
        """Return the boxes around what changed together."""
        cv2 = opencv()
        connected = _connected(changed)
        grown = cv2.dilate(connected, np.ones((2 * _AROUND + 1, 2 * _AROUND + 1), np.uint8))
        number, labels, stats, _ = cv2.connectedComponentsWithStats(grown, connectivity=8, ltype=cv2.CV_16U)
        sizes = np.bincount(labels[connected > 0], minlength=number)
        large = stats[sizes >= self._least_cells, :4].tolist()
        boxes = [Box(left, top, left + width, top + height) for left, top, width, height in large]
        return [self._in_frame(box, changed.shape) for box in _disjoint(boxes)]

    def _in_frame(self, cells: Box, shape: tuple[int, ...]) -> Box:
        """Return a box of cells in pixels of the frame."""
        box = self._view.box
        scale_x = (box.right - box.left) / shape[1]
        scale_y = (box.bottom - box.top) / shape[0]
        return Box(
            int(box.left + cells.left * scale_x),
            int(box.top + cells.top * scale_y),
            min(box.right, int(box.left + cells.right * scale_x) + 1),
            min(box.bottom, int(box.top + cells.bottom * scale_y) + 1),
        )


def _disjoint(boxes: list[Box]) -> list[Box]:
    """Return boxes that cover the given ones; those that overlap become one."""
    result: list[Box] = []
    for box in boxes:
        grown = box
        while overlapping := [other for other in result if _overlap(other, grown)]:
            for other in overlapping:
                result.remove(other)
                grown = Box(
                    min(grown.left, other.left),
                    min(grown.top, other.top),
                    max(grown.right, other.right),
                    max(grown.bottom, other.bottom),
                )
        result.append(grown)
    return result


def _overlap(one: Box, other: Box) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom


def _without_light(difference: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Subtract the change that most cells share, such as a new exposure, if it is small."""
    common = float(np.median(difference[::2, ::2]))
    return difference - np.float32(common) if abs(common) < 60 else difference


def _connected(changed: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Keep the cells that form squares of 2 × 2 (a morphological opening)."""
    cv2 = opencv()
    square = np.ones((2, 2), np.uint8)
    # Beyond the edge nothing changes; by default, OpenCV would complete squares there.
    eroded = cv2.erode(changed.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    opened: npt.NDArray[np.uint8] = cv2.dilate(eroded, square, anchor=(0, 0))
    return opened
