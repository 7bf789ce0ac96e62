"""Outlines of regions, as the page shows and edits them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import InputError

_MOST_OUTLINES = 16
_MOST_POINTS = 32
_LONGEST_NAME = 40
_LEAST_AREA = 1e-4
"""Least area as a share of the frame's: about 10 by 10 pixels in 720p."""


@dataclass(frozen=True)
class Outline:
    """The polygon of a region."""

    name: str
    points: tuple[tuple[float, float], ...]
    """Corners (x, y) in shares of the frame, each in [0, 1]."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form, which `parse` reads."""
        return {"name": self.name, "points": [list(point) for point in self.points]}


def parse(body: bytes) -> tuple[Outline, ...]:
    """Return the outlines in the body of a request: `{"regions": [{"name": "gate", "points": [[x, y], …]}, …]}`.

    Raises:
        InputError: the body has another form, a name occurs twice, or a polygon has no area.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("the body is not JSON") from error
    regions = content.get("regions") if isinstance(content, dict) else None
    if not isinstance(regions, list):
        raise InputError('the body has no list "regions"')
    if len(regions) > _MOST_OUTLINES:
        raise InputError(f"{len(regions)} regions; expected at most {_MOST_OUTLINES}")
    outlines = tuple(map(_outline, regions))
    if len({outline.name for outline in outlines}) < len(outlines):
        raise InputError("two regions have the same name; rename one")
    return outlines


def _outline(region: Any) -> Outline:
    if not isinstance(region, dict):
        raise InputError("a region is not a JSON object")
    name, points = region.get("name"), region.get("points")
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InputError(f"a region has no name; expected 1 to {_LONGEST_NAME} printable characters")
    if not isinstance(points, list) or not 3 <= len(points) <= _MOST_POINTS or not all(map(_is_point, points)):
        raise InputError(f"region {name}: expected 3 to {_MOST_POINTS} points [x, y] from 0 to 1")
    corners = tuple((float(x), float(y)) for x, y in points)
    if _area(corners) < _LEAST_AREA:
        raise InputError(f"region {name}: the polygon has no area; move its corners apart")
    return Outline(name.strip(), corners)


def _is_point(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(type(x) in (int, float) and 0 <= x <= 1 for x in point)


def _area(points: Sequence[tuple[float, float]]) -> float:
    """Return the area by the shoelace formula."""
    following = (*points[1:], points[0])
    return abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in zip(points, following, strict=True))) / 2
