"""Bodies: areas that may be plates as a whole, because they are lighter or darker than the car around them.

Rows of characters find most plates. Bodies find those whose characters are blurred, or touch each other or the frame.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..opencv import opencv

Floats = npt.NDArray[np.float64]

_LEAST_PX = 9
"""Least height of a plate in pixels of its level."""
_MOST_PX = 30
_CONTRAST = 4
"""Least difference from the mean around it, in levels of 255."""
_RATIOS = (1.3, 7.0)
"""Least and greatest width of a plate, in its heights."""
_FULL = 0.72
"""Least share of its smallest rectangle that the hull of a plate covers."""
_MOST_AREAS = 40
"""Most areas per level and polarity that are looked at more closely."""
_MARGIN = 0.06
"""Margin on each side, in heights of the plate."""


def bodies(grey: npt.NDArray[np.uint8], heights: tuple[float, float], tilt: float) -> list[tuple[float, Floats]]:
    """Return quadrilaterals, (4, 2) float64, clockwise from the top left, behind their scores: the highest one first.

    The score is the contrast inside.

    Args:
        grey: (H, W) uint8.
        heights: least and greatest height of a plate in pixels.
        tilt: largest tilt in degrees.
    """
    cv2 = opencv()
    scored: list[tuple[float, Floats]] = []
    scale = min(1.0, _LEAST_PX / heights[0])
    while True:
        level = grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if min(level.shape) < _LEAST_PX:
            break
        for sign, offset in ((cv2.THRESH_BINARY, -_CONTRAST), (cv2.THRESH_BINARY_INV, _CONTRAST)):
            binary = cv2.adaptiveThreshold(level, 1, cv2.ADAPTIVE_THRESH_MEAN_C, sign, 2 * _MOST_PX + 1, offset)
            scored += [(score, quad / scale) for score, quad in _rectangles(level, binary, tilt)]
        if heights[1] * scale <= _MOST_PX:
            break
        scale *= 0.45
    return sorted(scored, key=lambda pair: -pair[0])


def _rectangles(level: npt.NDArray[np.uint8], binary: npt.NDArray[np.uint8], tilt: float) -> list[tuple[float, Floats]]:
    cv2 = opencv()
    opened = cv2.morphologyEx(binary, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4, ltype=cv2.CV_16U)
    _, _, width, height, area = stats.T
    fitting = (height >= 0.7 * _LEAST_PX) & (height <= 3 * _MOST_PX) & (width <= 7 * _MOST_PX)
    fitting &= (width >= height) & (area >= 0.25 * width * height)
    fitting[0] = False  # what is not in any area
    chosen = np.flatnonzero(fitting)
    chosen = chosen[np.argsort(-area[chosen], kind="stable")[:_MOST_AREAS]]
    result = []
    for index in chosen:
        x, y, w, h = stats[index, :4]
        shape = (labels[y : y + h, x : x + w] == index).astype(np.uint8)
        contours, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        hull = cv2.convexHull(max(contours, key=len))
        quad = _upright(cv2.boxPoints(cv2.minAreaRect(hull)).astype(np.float64))
        long, short = np.hypot(*(quad[1] - quad[0])) + 1, np.hypot(*(quad[3] - quad[0])) + 1
        slope = np.degrees(np.arctan2(*(quad[1] - quad[0])[::-1]))
        if abs(slope) > tilt or not _LEAST_PX <= short <= 1.5 * _MOST_PX:
            continue
        if not _RATIOS[0] <= long / short <= _RATIOS[1]:
            continue
        full = float(cv2.contourArea(hull)) / max((long - 1) * (short - 1), 1.0)
        if full < _FULL:
            continue
        inside = level[y : y + h, x : x + w]
        contrast = float(np.abs(np.diff(inside.astype(np.int16), axis=1)).mean())
        result.append((contrast * full, _widened(quad + np.array([x, y]), _MARGIN * short + 0.5) + 0.5))
    return result


def _upright(quad: Floats) -> Floats:
    """Return the corners of a rectangle clockwise, so that the first edge is a long one and leads to the right."""
    sides = np.hypot(*(np.roll(quad, -1, axis=0) - quad).T)
    quad = np.roll(quad, -int(sides[1] > sides[0]), axis=0)
    return quad if quad[1, 0] >= quad[0, 0] else np.roll(quad, -2, axis=0)


def _widened(quad: Floats, margin: float) -> Floats:
    """Move every edge of a rectangle outwards by some pixels."""
    across = (quad[1] - quad[0]) / max(float(np.hypot(*(quad[1] - quad[0]))), 1e-6)
    down = (quad[3] - quad[0]) / max(float(np.hypot(*(quad[3] - quad[0]))), 1e-6)
    return quad + margin * np.array([-across - down, across - down, across + down, down - across])
