"""Regions: parts of the frame in which plates are looked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..frame import Pixels, Quad
from ..opencv import opencv

Point: TypeAlias = tuple[float, float]
"""x and y in shares of the frame's width and height, from 0 to 1, from the top left corner."""

_WHOLE: tuple[Point, ...] = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
_LEAST_AREA = 1e-4
_FORM = "NAME: X,Y X,Y X,Y … [heights=LEAST,MOST] [corners=X,Y;X,Y;X,Y;X,Y]"


@dataclass(frozen=True)
class Region:
    """A polygon of the frame, and what plates look like in it.

    Raises:
        InputError: a value is out of range, or the polygon or the corners have no area.
    """

    name: str = "frame"
    points: tuple[Point, ...] = _WHOLE
    """Corners of the polygon, at least 3."""
    heights: tuple[float, float] = (0.025, 0.16)
    """Least and greatest height of a plate: below 1 in shares of the frame's height, otherwise in pixels. A narrow
    range makes finding faster."""
    corners: tuple[Point, ...] | None = None
    """Corners of something rectangular on the plane of the plates, clockwise from the top left one. The region is
    rectified so that it becomes a rectangle. None: the camera looks at the plates from the front."""

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.name.isprintable():
            raise InputError(f"region has the name {self.name!r}, expected printable characters")
        for share in (value for point in (*self.points, *(self.corners or ())) for value in point):
            if not 0 <= share <= 1:
                raise InputError(f"region {self.name}: found the coordinate {share:g}, expected a share from 0 to 1")
        if len(self.points) < 3 or _area(self.points) < _LEAST_AREA:
            raise InputError(f"region {self.name}: the polygon has no area; give at least 3 points around the road")
        least, most = self.heights
        if not 0 < least < most < math.inf or (least < 1) != (most < 1):
            raise InputError(
                f"region {self.name}: heights are {least:g} and {most:g}, expected the smaller one first, both below 1"
                " (shares of the frame's height) or both in pixels"
            )
        if self.corners is not None and not _is_convex(self.corners):
            raise InputError(
                f"region {self.name}: corners are no convex quadrilateral; give 4 points clockwise from the top left"
            )

    @classmethod
    def parse(cls, text: str) -> Region:
        """Parse `NAME: X,Y X,Y X,Y … [heights=LEAST,MOST] [corners=X,Y;X,Y;X,Y;X,Y]`.

        Example: `gate: 0,0.5 1,0.5 1,1 0,1 heights=20,80`.

        Raises:
            InputError: the text has another form, or a value is out of range.
        """
        name, colon, rest = text.partition(":")
        if not colon:
            raise InputError(f"region is {text!r}, expected {_FORM}")
        words = rest.split()
        points = tuple(_point(word, text) for word in words if "=" not in word)
        heights, corners = cls.heights, cls.corners
        for key, _, value in (word.partition("=") for word in words if "=" in word):
            if key == "heights":
                heights = _point(value, text)
            elif key == "corners":
                corners = tuple(_point(part, text) for part in value.split(";"))
            else:
                raise InputError(f"region has the option {key!r}, expected {_FORM}")
        return cls(name.strip(), points or _WHOLE, heights, corners)


class Box(NamedTuple):
    """A rectangle of whole pixels, half-open."""

    left: int
    top: int
    right: int
    bottom: int


class View:
    """A region in frames of one size.

    Args:
        region: the region.
        width: of the frames, in pixels.
        height: of the frames, in pixels.
    """

    def __init__(self, region: Region, width: int, height: int) -> None:
        self.name = region.name
        size = np.array([width, height], np.float64)
        self._polygon = (np.array(region.points) * size).astype(np.float32)
        left, top = np.floor(self._polygon.min(axis=0)).astype(int).tolist()
        right, bottom = np.ceil(self._polygon.max(axis=0)).astype(int).tolist()
        self.box = Box(left, top, right, bottom)
        """The smallest rectangle of the frame that has the whole polygon."""
        least, most = region.heights
        scale = height if most < 1 else 1
        self.heights = (max(least * scale, 8.0), max(most * scale, 9.0))
        """Least and greatest height of a plate in pixels."""
        self._matrix: npt.NDArray[np.float64] | None = None
        if region.corners is not None:
            self._matrix = _rectification(np.array(region.corners) * size)

    def contains(self, quad: Quad) -> bool:
        """Return whether the middle of a quadrilateral is in the polygon."""
        x, y = quad.mean(axis=0).tolist()
        return bool(opencv().pointPolygonTest(self._polygon, (x, y), False) >= 0)

    def mask(self, width: int, height: int) -> npt.NDArray[np.bool_]:
        """Return which cells of a (height, width) grid over `box` are in the polygon."""
        origin = np.array([self.box.left, self.box.top])
        extent = np.array([self.box.right - self.box.left, self.box.bottom - self.box.top])
        corners = (self._polygon - origin) / extent * (width, height) - 0.5
        grid = np.zeros((height, width), np.uint8)
        opencv().fillPoly(grid, [np.rint(corners).astype(np.int32)], 1)
        return grid.astype(np.bool_)

    def rectified(self, pixels: Pixels, box: Box) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
        """Return a part of a frame in grey as if it were seen from the front.

        Args:
            pixels: the frame.
            box: the part.

        Returns:
            (h, w) uint8, and the (3, 3) float64 matrix that takes its coordinates to those of the frame.
        """
        cv2 = opencv()
        part = cv2.cvtColor(pixels[box.top : box.bottom, box.left : box.right], cv2.COLOR_BGR2GRAY)
        back = np.array([[1, 0, box.left], [0, 1, box.top], [0, 0, 1]], np.float64)
        if self._matrix is None:
            return part, back
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (part.shape[1], part.shape[0])
        seen = transformed(corners, self._matrix @ back)
        offset = seen.min(axis=0)
        # A region near the horizon would become endless.
        size = np.minimum(np.ceil(np.ptp(seen, axis=0)), 2 * np.array(part.shape[::-1])).astype(int)
        shift = np.array([[1, 0, -offset[0]], [0, 1, -offset[1]], [0, 0, 1]], np.float64)
        there = shift @ self._matrix @ back
        return cv2.warpPerspective(part, there, size.tolist()), back @ np.linalg.inv(there)


def transformed(points: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Apply a (3, 3) projective matrix to points (…, 2)."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    result: npt.NDArray[np.float64] = moved[..., :2] / moved[..., 2:]
    return result


def _rectification(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the matrix that makes four corners a rectangle of the same middle and mean size."""
    top, right, bottom, left = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    size = np.array([top + bottom, left + right]) / 2
    flat = corners.mean(axis=0) + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size / 2
    matrix: npt.NDArray[np.float64] = opencv().getPerspectiveTransform(
        corners.astype(np.float32), flat.astype(np.float32)
    )
    return matrix


def _area(points: tuple[Point, ...]) -> float:
    """Return the area of a polygon (Gauss's formula)."""
    x, y = np.array(points).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _is_convex(points: tuple[Point, ...]) -> bool:
    """Return whether there are 4 points, clockwise on the screen, without a dent."""
    if len(points) != 4:
        return False
    edges = np.roll(points, -1, axis=0) - np.array(points)
    following = np.roll(edges, -1, axis=0)
    return bool((edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] > 1e-6).all())


def _point(word: str, text: str) -> Point:
    try:
        x, y = (float(part) for part in word.split(","))
    except ValueError:
        raise InputError(f"region is {text!r}: {word!r} is no pair of numbers; expected {_FORM}") from None
    return x, y
