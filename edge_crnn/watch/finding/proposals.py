"""Proposals: quadrilaterals that may be plates, from rows of characters.

Characters are parts that are darker or lighter than what is around them, of similar height and side by side. Each level
of a pyramid looks for characters of some 8 to 22 pixels. A row of them gives a few quadrilaterals: as a plate with one
line, and as the lower line of a plate with two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..opencv import opencv

Floats = npt.NDArray[np.float64]

TILT = 30.0
"""Largest tilt of a row in degrees."""
_LEAST_PX = 7
"""Least height of a character in pixels of its level."""
_MOST_PX = 24
_AROUND_PX = 19
"""Side of the square whose mean a pixel is compared with: wider than a stroke, narrower than a plate."""
_CONTRAST = 7
"""Least difference of a character from the mean around it, in levels of 255."""
_MOST_PARTS = 500
"""Most characters per level and polarity: the darkest foliage must not cost a second."""
_FEWEST = 3
"""Fewest characters of a row."""
_CHARACTER = (0.38, 0.85)
"""Height of a character, in heights of its plate."""


@dataclass(frozen=True, eq=False)
class Row:
    """Characters side by side."""

    origin: Floats
    """(2,) float64: the middle of the row."""
    along: Floats
    """(2,) float64: unit vector in reading direction."""
    length: float
    """From the first character's left edge to the last one's right edge."""
    height: float
    """Height of a character."""
    count: int
    regularity: float
    """From 0 to 1: how similar the heights are."""

    @property
    def score(self) -> float:
        """How likely it is that this is the row of a plate; only the order matters."""
        # More than 8 characters are rather a fence or a sign than a plate.
        return min(self.count, 8) - 0.5 * max(self.count - 9, 0) + 2 * self.regularity

    def quad(self, left: float, top: float, right: float, bottom: float) -> Floats:
        """Return the row with margins, in heights of a character: (4, 2) float64, clockwise from the top left."""
        down = np.array([-self.along[1], self.along[0]])
        x = (-self.length / 2 - left * self.height, self.length / 2 + right * self.height)
        y = (-(0.5 + top) * self.height, (0.5 + bottom) * self.height)
        corners = np.array([[x[0], y[0]], [x[1], y[0]], [x[1], y[1]], [x[0], y[1]]])
        result: Floats = self.origin + corners @ np.array([self.along, down])
        return result


def rows(grey: npt.NDArray[np.uint8], heights: tuple[float, float]) -> list[Row]:
    """Return rows of characters, the best first.

    Args:
        grey: (H, W) uint8.
        heights: least and greatest height of a plate in pixels.
    """
    cv2 = opencv()
    least, most = heights[0] * _CHARACTER[0], heights[1] * _CHARACTER[1]
    found: list[Row] = []
    scale = min(1.0, _LEAST_PX / least)
    while True:
        level = grey
        if scale < 1:
            level = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if min(level.shape) < _LEAST_PX:
            break
        for sign in (cv2.THRESH_BINARY_INV, cv2.THRESH_BINARY):
            found += [_scaled(row, scale) for row in _grouped(_parts(level, sign))]
        if most * scale <= _MOST_PX:
            break
        scale *= _LEAST_PX / _MOST_PX * 1.4
    return _distinct(sorted(found, key=lambda row: -row.score))


def hypotheses(row: Row) -> list[Floats]:
    """Return the quadrilaterals that a row suggests, the likeliest first."""
    ratio = row.length / row.height
    long = row.quad(0.45, 0.3, 0.45, 0.3)
    lower = row.quad(0.4, 1.1, 0.4, 0.3)
    if ratio > 4.8:
        # A region in small letters may be to the left.
        return [long, row.quad(1.5, 0.3, 0.6, 0.3), lower]
    # Four digits only: what is to the left of them, or above them, has other heights or touches the frame.
    return [lower, long, row.quad(1.5, 1.1, 0.4, 0.3), row.quad(3.6, 0.3, 0.45, 0.3)]


def _parts(level: npt.NDArray[np.uint8], sign: int) -> Floats:
    """Return what may be characters: (N, 4) float64, centre x and y, width and height."""
    cv2 = opencv()
    offset = _CONTRAST if sign == cv2.THRESH_BINARY_INV else -_CONTRAST
    binary = cv2.adaptiveThreshold(level, 1, cv2.ADAPTIVE_THRESH_MEAN_C, sign, _AROUND_PX, offset)
    _, _, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=4, ltype=cv2.CV_16U)
    left, top, width, height, area = stats[1:].T.astype(np.float64)
    fitting = (height >= _LEAST_PX - 1) & (height <= _MOST_PX + 2) & (width <= 1.3 * height)
    fitting &= area >= 0.15 * width * height
    parts: Floats = np.stack([left + width / 2, top + height / 2, width, height], axis=1)[fitting]
    if len(parts) > _MOST_PARTS:
        parts = parts[np.argsort(-area[fitting], kind="stable")[:_MOST_PARTS]]
    return parts


def _grouped(parts: Floats) -> list[Row]:
    """Return the rows among parts. A row is a line through two neighbours, with all parts on it."""
    if len(parts) < _FEWEST:
        return []
    x, y, _, height = parts.T
    dx, dy = x[None] - x[:, None], y[None] - y[:, None]
    mean = (height[None] + height[:, None]) / 2
    alike = np.abs(height[None] - height[:, None]) < 0.25 * mean
    tilt = np.tan(np.deg2rad(TILT))
    near = alike & (dx > 0.3 * mean) & (dx < 2.6 * mean) & (np.abs(dy) < tilt * dx)
    first, second = np.nonzero(near)
    if len(first) > 4 * _MOST_PARTS:  # noise; the nearest pairs
        nearest = np.argsort(dx[first, second], kind="stable")[: 4 * _MOST_PARTS]
        first, second = first[nearest], second[nearest]
    if not len(first):
        return []
    along = np.stack([dx[first, second], dy[first, second]], axis=1)
    along /= np.hypot(*along.T)[:, None]
    off = np.abs(along[:, :1] * dy[first] - along[:, 1:] * dx[first])
    far = along[:, :1] * dx[first] + along[:, 1:] * dy[first]
    size = mean[first, second][:, None]
    on = (off < 0.22 * size) & alike[first] & (np.abs(far) < 9 * size)
    counts = on.sum(axis=1)
    result = []
    used = np.zeros(len(parts), np.bool_)
    for pair in np.argsort(-counts, kind="stable"):
        if counts[pair] < _FEWEST:
            break
        members = np.flatnonzero(on[pair])
        if used[members].mean() > 0.5:
            continue
        members = _unbroken(members, far[pair], float(size[pair, 0]))
        if len(members) < _FEWEST or used[members].mean() > 0.5:
            continue
        used[members] = True
        result.append(_row(parts[members]))
    return result


def _unbroken(members: npt.NDArray[np.intp], far: Floats, size: float) -> npt.NDArray[np.intp]:
    """Return the members without what is beyond a gap of more than three heights; the seed is at 0."""
    ordered = members[np.argsort(far[members])]
    breaks = np.flatnonzero(np.diff(far[ordered]) > 3 * size) + 1
    for piece in np.split(ordered, breaks):
        if far[piece[0]] <= 0 <= far[piece[-1]]:
            return piece
    return ordered[:0]


def _row(parts: Floats) -> Row:
    x, y, width, height = parts.T
    slope = np.polyfit(x, y, 1)[0] if np.ptp(x) > 0 else 0.0
    along = np.array([1.0, slope]) / np.hypot(1.0, slope)
    far = (x - x.mean()) * along[0] + (y - y.mean()) * along[1]
    ends = (far - width / 2).min(), (far + width / 2).max()
    # The box of a tilted character is higher than the character, by its width times the sine.
    upright = height / (along[0] + 0.5 * abs(along[1]))
    origin = np.array([x.mean(), y.mean()]) + along * (ends[0] + ends[1]) / 2
    spread = float(np.std(height) / np.mean(height))
    return Row(origin, along, float(ends[1] - ends[0]), float(np.median(upright)), len(parts), max(0.0, 1 - 5 * spread))


def _scaled(row: Row, scale: float) -> Row:
    return Row(row.origin / scale, row.along, row.length / scale, row.height / scale, row.count, row.regularity)


def _distinct(ordered: list[Row]) -> list[Row]:
    """Return the rows without those that repeat a better one."""
    kept: list[Row] = []
    for row in ordered:
        for other in kept:
            apart = np.hypot(*(row.origin - other.origin))
            same_height = 0.7 < row.height / other.height < 1.4
            if same_height and apart < 0.5 * other.height + 0.15 * other.length and row.length < 1.3 * other.length:
                break
        else:
            kept.append(row)
    return kept
