"""The finder: from a frame to the plates in it.

Where nothing changes, nothing is read. Elsewhere, rows of characters and plate-like areas suggest windows. Some of
these are read in one batch; what the reader rejects is no plate. A window that nearly reads a plate is varied and read
in a second batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...errors import InputError
from ...reader import Reader
from ..frame import Frame, Quad
from ..sighting import Sighting
from .attempts import Attempts
from .bodies import bodies
from .crops import crop_of, varied, widened
from .detector import Detector
from .known import Known
from .merging import merged, overlap
from .motion import Motion
from .proposals import TILT, Floats, hypotheses, rows
from .region import Box, Region, View, transformed

_NEARLY = 0.05
"""Least confidence of a rejected reading whose window is varied."""
_SHORTEST = 4
"""Fewest symbols of a text whose window is varied."""
_MOST_ROWS = 40
"""Most rows of characters per frame and region that suggest windows."""
_MOST_BODIES = 24
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
    """A region, and what was looked at in it before."""

    view: View
    motion: Motion
    attempts: Attempts = field(default_factory=Attempts)
    known: list[Known] = field(default_factory=list)


class RegionFinder:
    """Finds and reads plates in regions of a camera's frames. One thread uses it.

    Args:
        reader: reads plates. It must reject what is no plate, so its spec has a threshold.
        regions: where to look, with different names.
        detector: finds plates in place of the search for rows of characters.
        most: most windows per frame and region that are read where no plate is known, at least 1.
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
        most: int = 12,
        rejected: bool = False,
    ) -> None:
        names = [region.name for region in regions]
        if not names or len(set(names)) < len(names):
            raise InputError(f"regions are named {names}, expected at least one, and different names")
        if most < 1:
            raise InputError(f"most is {most}, expected at least 1 window per frame")
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
        changes = [watched.motion.changes(frame.pixels, frame.seconds) for watched in self._watched]
        self.counts.awake += any(changes)
        sightings: list[Sighting] = []
        for watched, boxes in zip(self._watched, changes, strict=True):
            if boxes:
                sightings += self._read_region(frame, watched, boxes)
        # Regions may overlap.
        return merged(sightings)

    def _read_region(self, frame: Frame, watched: _Watched, boxes: list[Box]) -> list[Sighting]:
        seconds = frame.seconds
        watched.known = [known for known in watched.known if not known.is_lost(seconds)]
        expected = [known.expected(seconds) for known in watched.known]
        windows, others = _split(self._places(frame, watched, boxes), expected)
        attempts = watched.attempts.due(others, seconds, self._most)
        first = self._read(frame, watched, [*windows, *(attempt.window for attempt in attempts)])
        for attempt, sighting in zip(attempts, first[len(windows) :], strict=True):
            if not _is_nearly_a_plate(sighting):
                attempt.failed(seconds)
        sightings = [*first, *self._read(frame, watched, _second_windows(first, expected))]
        plates = merged(sightings)
        accepted = _legible(watched.known, [plate for plate in plates if plate.reading.accepted], seconds)
        if not self._rejected:
            return accepted
        return [*accepted, *(plate for plate in plates if _is_worth_a_report(plate))]

    def _places(self, frame: Frame, watched: _Watched, boxes: list[Box]) -> list[list[Quad]]:
        """Return places that may have a plate, the likeliest first, and the windows of each."""
        view = watched.view
        if self._detector is not None:
            quads = self._detector.quads(frame.pixels, view.box)
            return [[quad] for quad in quads if view.contains(quad) and any(_touches(quad, box) for box in boxes)]
        by_row: list[tuple[float, list[Quad]]] = []
        by_body: list[tuple[float, list[Quad]]] = []
        for box in boxes:
            grey, back = view.rectified(frame.pixels, box)
            by_row += [
                (row.score, [_in_frame(corners, back) for corners in hypotheses(row)])
                for row in rows(grey, view.heights)[:_MOST_ROWS]
            ]
            by_body += [
                (score, [_in_frame(corners, back)])
                for score, corners in bodies(grey, view.heights, TILT)[:_MOST_BODIES]
            ]
        places = [
            place
            for candidates, most in ((by_row, _MOST_ROWS), (by_body, _MOST_BODIES))
            for _, place in sorted(candidates, key=lambda candidate: -candidate[0])[:most]
        ]
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


def _split(places: list[list[Quad]], expected: list[Quad]) -> tuple[list[Quad], list[list[Quad]]]:
    """Return the windows where plates are expected, and the places elsewhere."""
    windows = list(expected)
    others: list[list[Quad]] = []
    for place in places:
        here = [quad for quad in expected if overlap(place[0], quad) > 0]
        if here:
            windows += sorted(place, key=lambda quad: _unlike(quad, here[0]))[:2]
        else:
            others.append(place)
    return windows, others


def _second_windows(sightings: list[Sighting], expected: list[Quad]) -> list[Quad]:
    """Return the windows to read after the first ones: where plates may be cut, and where they were nearly read."""
    places = merged(sightings)
    windows = [widened(place.quad) for place in places if place.reading.accepted]
    nearly = [place for place in places if not place.reading.accepted and _is_nearly_a_plate(place)]
    nearly.sort(key=lambda place: -place.reading.confidence)
    missed = [place for place in nearly if any(overlap(place.quad, quad) > 0 for quad in expected)]
    elsewhere = [place for place in nearly if place not in missed]
    for place in [*missed, *elsewhere[:1]]:
        windows += varied(place.quad)
    return windows


def _legible(known: list[Known], accepted: list[Sighting], seconds: float) -> list[Sighting]:
    """Take over where plates were read, and return the sightings of those that are legible."""
    missed = list(known)
    result = []
    for sighting in accepted:
        same = [plate for plate in missed if overlap(plate.expected(seconds), sighting.quad) > 0]
        if same:
            plate = same[0]
            missed.remove(plate)
            plate.see(sighting.quad, seconds)
        else:
            plate = Known(sighting.quad, seconds)
            known.append(plate)
        if plate.is_legible:
            result.append(sighting)
    for plate in missed:
        plate.miss()
    return result


def _is_worth_a_report(plate: Sighting) -> bool:
    """Return whether to return a plate that is rejected, if the caller asks for rejected ones."""
    return not plate.reading.accepted and bool(plate.reading.label) and plate.reading.confidence >= _REJECTED


def _is_nearly_a_plate(sighting: Sighting) -> bool:
    return sighting.reading.confidence >= _NEARLY and len(sighting.reading.label) >= _SHORTEST


def _unlike(quad: Quad, other: Quad) -> float:
    """Return how much two quadrilaterals differ in size and place, in pixels."""
    return float(np.abs(quad - other).sum())


def _touches(quad: Quad, box: Box) -> bool:
    return bool((quad.max(axis=0) > (box.left, box.top)).all() and (quad.min(axis=0) < (box.right, box.bottom)).all())


def _in_frame(corners: Floats, back: Floats) -> Quad:
    quad: Quad = transformed(corners, back).astype(np.float32)
    return quad
