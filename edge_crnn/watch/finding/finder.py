"""The finder: from a frame to the plates in it.

Where nothing changes, nothing is read. Elsewhere, rows of characters suggest windows, which are read in one batch; what
the reader rejects is no plate. Windows that nearly read a plate are varied and read in a second batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...errors import InputError
from ...reader import Reader
from ..frame import Frame, Quad
from ..sighting import Sighting
from .bodies import bodies
from .crops import crop_of, varied
from .detector import Detector
from .merging import merged, overlap
from .motion import Motion
from .proposals import TILT, Floats, hypotheses, rows
from .region import Box, Region, View, transformed

_NEARLY = 0.05
"""Least confidence of a rejected reading whose window is varied."""
_SHORTEST = 4
"""Fewest symbols of a text whose window is varied."""
_VARIED = 3
"""Most windows per frame that are varied."""
_ELSEWHERE = 0.3
"""Share of the windows that are spent on new places while plates are in view."""
_MOST_ROWS = 12
"""Most rows of characters per frame and region that suggest windows."""
_MOST_BODIES = 12
_REJECTED = 0.3
"""Least confidence of a rejected reading that is returned if the caller asks for rejected ones."""


@dataclass
class Counts:
    """What the finder has done so far."""

    frames: int = 0
    awake: int = 0
    """Frames in which something had changed."""
    windows: int = 0
    """Windows that were read."""


@dataclass
class _Watched:
    """A region, and what was found in it last."""

    view: View
    motion: Motion
    last: list[Sighting] = field(default_factory=list)


class RegionFinder:
    """Finds and reads plates in regions of a camera's frames. One thread uses it.

    Args:
        reader: reads plates. It must reject what is no plate, so its spec has a threshold.
        regions: where to look, with different names.
        detector: finds plates in place of the search for rows of characters.
        most: most windows per frame that are read, at least 8.
        rejected: whether to return rejected readings that are nearly plates, too.

    Raises:
        InputError: there is no region, a name occurs twice, or the reader accepts everything.
    """

    def __init__(
        self,
        reader: Reader,
        regions: Sequence[Region] = (Region(),),
        *,
        detector: Detector | None = None,
        most: int = 48,
        rejected: bool = False,
    ) -> None:
        names = [region.name for region in regions]
        if not names or len(set(names)) < len(names):
            raise InputError(f"regions are named {names}, expected at least one, and different names")
        if most < 8:
            raise InputError(f"most is {most}, expected at least 8 windows per frame")
        if reader.spec.decoder.reject_below <= 0:
            raise InputError(
                "the reader accepts every reading, so everything would be a plate; open it with target_precision=0.99"
            )
        self.counts = Counts()
        self._reader = reader
        self._regions = tuple(regions)
        self._detector = detector
        self._most = most
        self._rejected = rejected
        self._size = (0, 0)
        self._watched: list[_Watched] = []

    def find(self, frame: Frame) -> list[Sighting]:
        """Return what was read in a frame; an empty list if nothing moves, or no plate is there."""
        size = (frame.pixels.shape[1], frame.pixels.shape[0])
        if size != self._size:
            views = [View(region, *size) for region in self._regions]
            self._watched = [_Watched(view, Motion(view)) for view in views]
            self._size = size
        self.counts.frames += 1
        changes = [watched.motion.change(frame.pixels, frame.seconds) for watched in self._watched]
        self.counts.awake += any(change is not None for change in changes)
        sightings: list[Sighting] = []
        for watched, change in zip(self._watched, changes, strict=True):
            watched.last = [] if change is None else self._read_region(frame, watched, change)
            sightings += watched.last
        # Regions may overlap.
        return merged(sightings)

    def _read_region(self, frame: Frame, watched: _Watched, change: Box) -> list[Sighting]:
        places = self._places(frame, watched, change)
        sightings = self._read(frame, watched, _first_windows(places, watched.last, self._most))
        # The text of a plate that was read in the last frame is confirmed by that.
        known = [sighting.quad for sighting in watched.last]
        nearly = merged(
            sighting
            for sighting in sightings
            if sighting.reading.confidence >= _NEARLY
            and len(sighting.reading.label) >= _SHORTEST
            and not any(overlap(sighting.quad, quad) > 0 for quad in known)
        )
        nearly.sort(key=lambda sighting: -sighting.reading.confidence)
        again = self._read(frame, watched, [quad for near in nearly[:_VARIED] for quad in varied(near.quad)])
        return [
            sighting
            for sighting in merged([*sightings, *again])
            if sighting.reading.accepted
            or (self._rejected and sighting.reading.label and sighting.reading.confidence >= _REJECTED)
        ]

    def _places(self, frame: Frame, watched: _Watched, change: Box) -> list[list[Quad]]:
        """Return places that may have a plate, the likeliest first, and the windows of each."""
        view = watched.view
        if self._detector is not None:
            quads = self._detector.quads(frame.pixels, view.box)
            return [[quad] for quad in quads if view.contains(quad) and _touches(quad, change)]
        grey, back = view.rectified(frame.pixels, change)
        by_row = [hypotheses(row) for row in rows(grey, view.heights)[:_MOST_ROWS]]
        by_body = [[quad] for quad in bodies(grey, view.heights, TILT)[:_MOST_BODIES]]
        places = [[_in_frame(corners, back) for corners in place] for place in (*by_row, *by_body)]
        return [place for place in places if view.contains(place[0])]

    def _read(self, frame: Frame, watched: _Watched, quads: list[Quad]) -> list[Sighting]:
        self.counts.windows += len(quads)
        if not quads:
            return []
        crops = [crop_of(frame.pixels, quad) for quad in quads]
        probabilities = self._reader.probabilities(crops)
        return [
            Sighting(quad, watched.view.name, crop, reading, given)
            for quad, crop, reading, given in zip(
                quads, crops, self._reader.decode(probabilities), probabilities, strict=True
            )
        ]


def _first_windows(places: list[list[Quad]], last: list[Sighting], most: int) -> list[Quad]:
    """Return the windows to read first: places where plates were, then the likeliest windows elsewhere."""
    windows: list[Quad] = []
    others: list[list[Quad]] = []
    for place in places:
        known = [sighting.quad for sighting in last if overlap(place[0], sighting.quad) > 0]
        if known:
            windows += sorted(place, key=lambda quad: _unlike(quad, known[0]))[:2]
        else:
            others.append(place)
    windows += [sighting.quad for sighting in last]
    room = most - len(windows) if not last else round(_ELSEWHERE * most)
    # The first windows of all places come before the second ones of any.
    deepest = max((len(place) for place in others), default=0)
    elsewhere = [place[depth] for depth in range(deepest) for place in others if depth < len(place)]
    return windows[:most] + elsewhere[: max(room, 0)]


def _unlike(quad: Quad, other: Quad) -> float:
    """Return how much two quadrilaterals differ in size and place, in pixels."""
    return float(np.abs(quad - other).sum())


def _touches(quad: Quad, box: Box) -> bool:
    return bool((quad.max(axis=0) > (box.left, box.top)).all() and (quad.min(axis=0) < (box.right, box.bottom)).all())


def _in_frame(corners: Floats, back: Floats) -> Quad:
    quad: Quad = transformed(corners, back).astype(np.float32)
    return quad
