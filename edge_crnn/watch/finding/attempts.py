"""Attempts: which window of a place to read next, and when.

A place that may have a plate suggests several windows. One of them is read per frame. Once all of them were read in
vain, the place waits, twice as long after every round: a sign or a fence must not cost as much as a car. A place whose
size changes is looked at anew, because a car that comes nearer becomes legible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..frame import Quad
from ..place import Place

_FIRST_WAIT = 0.2
"""Seconds that a place waits after the first round of windows."""
_LONGEST_WAIT = 2.0
_KEPT = 2.0
"""Seconds after which a place that is suggested no longer is forgotten."""
_MOVED = 1.0
"""Farthest that a place moves between two frames, in its heights."""
_SIMILAR = 1.3
"""Largest ratio of the heights of one place in two frames."""
_GROWN = 1.2
"""Ratio of its heights at which a place is looked at anew."""


class Attempt:
    """A place, and how often it was read in vain."""

    def __init__(self, place: Place) -> None:
        self.windows: Sequence[Quad] = ()
        """What the place suggests in the current frame, the likeliest window first."""
        self._place = place
        self._first_height = place.height
        self._failures = 0
        self._due = float("-inf")
        self._seen = float("-inf")
        self.suggestions = 0
        """Number of frames that suggested it."""

    @property
    def window(self) -> Quad:
        """The window to read next."""
        return self.windows[self._failures % len(self.windows)]

    @property
    def rounds(self) -> int:
        """How often all windows were read in vain."""
        return self._failures // len(self.windows)

    def is_due(self, seconds: float) -> bool:
        """Return whether to read a window in the frame of this time."""
        return seconds >= self._due

    def failed(self, seconds: float) -> None:
        """Note that the window was read in vain."""
        self._failures += 1
        if self._failures % len(self.windows) == 0:
            self._due = seconds + min(_FIRST_WAIT * 2 ** min(self.rounds - 1, 10), _LONGEST_WAIT)

    def is_at(self, place: Place) -> bool:
        """Return whether a suggestion may be this place."""
        smaller, larger = sorted((place.height, self._place.height))
        return larger <= _SIMILAR * smaller and self.distance(place) <= _MOVED * larger

    def distance(self, place: Place) -> float:
        """Return how far a suggestion is from this place, in pixels."""
        return math.hypot(place.x - self._place.x, place.y - self._place.y)

    def suggest(self, windows: Sequence[Quad], place: Place, seconds: float) -> None:
        """Take what the place suggests in the frame of this time."""
        self.windows, self._place, self._seen = windows, place, seconds
        self.suggestions += 1
        if not 1 / _GROWN < place.height / self._first_height < _GROWN:
            self._first_height, self._failures, self._due = place.height, 0, float("-inf")

    def is_forgotten(self, seconds: float) -> bool:
        """Return whether the place was suggested too long ago."""
        return seconds - self._seen > _KEPT


class Attempts:
    """The attempts in one region."""

    def __init__(self) -> None:
        self._attempts: list[Attempt] = []

    def due(self, places: Sequence[Sequence[Quad]], seconds: float, most: int) -> list[Attempt]:
        """Return the attempts to make in a frame: those that were made least often, and of these the likeliest places.

        What rain and noise suggest is gone in the next frame, so a place comes first that was suggested before.

        Args:
            places: the windows of every place, the likeliest place first.
            seconds: monotonic time of the frame.
            most: most attempts to return.
        """
        self._attempts = [attempt for attempt in self._attempts if not attempt.is_forgotten(seconds)]
        free = list(self._attempts)
        current = []
        for windows in places:
            place = Place.of(windows[0])
            candidates = [attempt for attempt in free if attempt.is_at(place)]
            if candidates:
                attempt = min(candidates, key=lambda candidate: candidate.distance(place))
                free.remove(attempt)
            else:
                attempt = Attempt(place)
                self._attempts.append(attempt)
            attempt.suggest(windows, place, seconds)
            current.append(attempt)
        ready = [attempt for attempt in current if attempt.is_due(seconds)]
        # The sort is stable.
        return sorted(ready, key=lambda attempt: (attempt.rounds, attempt.suggestions == 1))[:most]
