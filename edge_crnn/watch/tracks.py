"""Tracks: tells which sightings of consecutive frames show the same plate.

A sighting belongs to a track

* at the same place, if it overlaps with where the plate is expected and the plate was there a moment ago, whatever it
  reads: two plates cannot be in one place;
* near it, if it reads something similar, and the plate was there a moment ago, but its pixels are not there any more;
* anywhere, if it reads the same, and the plate was not seen for a moment.

Each sighting goes to at most one track, and each track takes at most one sighting of a frame, so that the pairs fit
best in total. What fits no track begins a new one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..edits import edit_distance
from .assignment import assign
from .frame import Frame
from .line import Crossing, Line
from .place import Place
from .sighting import Sighting
from .tracked import Track

MOMENT = 0.5
"""Seconds for which a plate that was not seen is taken to be near where it was."""
SIMILAR = 0.35
"""Largest share of symbols in which two readings of one plate differ: 2 of 7, or 3 of 9."""
SAME_PLACE = 0.3
"""Least share of the smaller box that two boxes at the same place have in common."""
MOST = 64
"""Largest number of open tracks."""

_FASTEST = 40.0
"""Plate widths per second that a vehicle moves at most: 75 km/h, as a plate is half a metre wide."""
_SLACK = 1.0
"""Plate widths by which the place of a plate may differ from the expected one, whatever the time between."""
_BY_PLACE = 0.1
"""How much the distance counts beside the difference of the readings."""


class Tracks:
    """The open tracks.

    Args:
        leave_after: seconds of absence after which a track ends.
        line: the line whose crossings are watched.
    """

    def __init__(self, leave_after: float, line: Line | None = None) -> None:
        self.open: list[Track] = []
        self._leave_after = leave_after
        self._line = line
        self._last: float | None = None

    def update(self, frame: Frame, sightings: Sequence[Sighting]) -> list[Track]:
        """Take the sightings of the next frame and return the tracks that have ended.

        Args:
            frame: the frame.
            sightings: what was read in it, in any order.
        """
        elapsed = 0.0 if self._last is None else max(frame.seconds - self._last, 0.0)
        self._last = frame.seconds
        for track in self.open:
            track.compare(frame)
        distinct = _distinct(sightings)
        places = [Place.of(sighting.quad) for sighting in distinct]
        costs = [[_cost(track, *seen, frame) for track in self.open] for seen in zip(distinct, places, strict=True)]
        pairs = dict(assign(costs, most=1.0))
        tracks = list(self.open)
        seen = []
        for row, sighting in enumerate(distinct):
            if row in pairs:
                track = tracks[pairs[row]]
                track.see(frame, sighting)
            else:
                track = Track(frame, sighting, None if self._line is None else Crossing(self._line))
                self.open.append(track)
            seen.append(track)
        for track in seen:
            self._absorb_at_same_place(track, frame.seconds)
        return self._ended(frame.seconds, elapsed)

    def close(self, track: Track) -> None:
        """Forget a track; does nothing if it has ended."""
        if track in self.open:
            self.open.remove(track)

    def _absorb_at_same_place(self, track: Track, seconds: float) -> None:
        """Absorb tracks that were seen a moment ago where this one is: the same plate was read differently."""
        for other in list(self.open):
            if (
                other.seconds < seconds
                and other.seconds >= seconds - MOMENT
                and not other.is_reported
                and other.predicted(seconds).overlap(track.place) >= SAME_PLACE
            ):
                track.absorb(other)
                self.open.remove(other)

    def _ended(self, seconds: float, elapsed: float) -> list[Track]:
        # An outage alone ends nothing: two frames at least must lack the plate.
        missed = min(elapsed, self._leave_after / 2)
        for track in self.open:
            if track.present < seconds:
                track.miss(missed)
        ended = [track for track in self.open if track.absence >= self._leave_after]
        staying = [track for track in self.open if track.absence < self._leave_after]
        if len(staying) > MOST:
            # Those that were absent for longest go first, and those that nobody knows before the others.
            staying.sort(key=lambda track: (track.is_reported, track.present, track.sightings))
            ended += staying[:-MOST]
        gone = set(map(id, ended))
        self.open = [track for track in self.open if id(track) not in gone]
        return ended


def _distinct(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Return one sighting per place, the most confident one, in an order that does not depend on the given one."""
    places = {id(sighting): Place.of(sighting.quad) for sighting in sightings}
    kept: list[Sighting] = []
    for sighting in sorted(sightings, key=lambda sighting: _rank(sighting, places[id(sighting)])):
        place = places[id(sighting)]
        if all(place.overlap(places[id(other)]) < SAME_PLACE for other in kept):
            kept.append(sighting)
    return kept


def _rank(sighting: Sighting, place: Place) -> tuple[bool, float, float, str, Place]:
    reading = sighting.reading
    return not reading.accepted, -reading.confidence, -place.width, reading.label, place


def _cost(track: Track, sighting: Sighting, place: Place, frame: Frame) -> float:
    """Return how badly a sighting fits a track, from 0 to 1, or infinity if it does not."""
    absent = frame.seconds - track.present
    expected = track.predicted(frame.seconds)
    distance = expected.distance(place)
    differing = _difference(track.label, sighting.reading.label)
    near = _SLACK + _FASTEST * absent
    if absent > MOMENT:
        is_same = differing == 0
    elif expected.overlap(place) >= SAME_PLACE:
        is_same = True
    else:
        is_same = distance <= near and differing <= SIMILAR and not track.is_unmoved(frame)
    return (1 - _BY_PLACE) * differing + _BY_PLACE * min(distance / near, 1.0) if is_same else math.inf


def _difference(one: str, other: str) -> float:
    """Return the edit distance of two labels as a share of the longer one."""
    if one == other:
        return 0.0
    return edit_distance(one, other) / max(len(one), len(other))
