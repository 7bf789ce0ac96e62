"""Events: when a passage begins, changes and ends.

A passage is `new` once the fused text of a track is accepted and enough sightings read it alone. It is updated when
its text, its direction or its best crop changes, and it ends after the plate was absent for a while.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..bounds import Bounds
from ..errors import InputError
from ..reading import FusedReading
from .event import Event, Kind, Listed
from .frame import Frame
from .line import Line
from .sighting import Sighting
from .tracked import Fuse, Look, Track
from .tracks import MOMENT, Tracks

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_BETTER = 1.5
"""How much clearer a crop must be to be reported again."""
_RETRY = 0.2
"""Least seconds between two attempts to report a passage."""


@dataclass(frozen=True)
class Rules:
    """When events are reported.

    Raises:
        InputError: a number is out of range.
    """

    min_agreement: int = 3
    """Least number of sightings that read the text alone."""
    settle: float = 0.3
    """Seconds between the first sighting of a plate and its event, in which nearer frames may correct the first ones; a
    plate that leaves earlier is reported then."""
    leave_after: float = 10.0
    """Seconds of absence after which a passage ends. A vehicle that returns later is a new passage."""
    update_after: float = 1.0
    """Least seconds between two events of a passage, apart from its end."""
    rejected: bool = False
    """Whether a passage is also reported if its text is rejected, once the plate has left."""

    def __post_init__(self) -> None:
        if (problem := Bounds(1, 1000).problem("min_agreement", self.min_agreement)) is not None:
            raise InputError(problem)
        for name in ("settle", "leave_after", "update_after"):
            seconds = getattr(self, name)
            if not 0 <= seconds < float("inf"):
                raise InputError(f"{name} is {seconds}, expected a number of seconds, 0 or more")
        if self.leave_after <= MOMENT:
            raise InputError(f"leave_after is {self.leave_after}, expected more than {MOMENT} seconds")


@dataclass
class _Passage:
    """What was read and reported of a track."""

    track: Track
    identity: str = ""
    """Empty: nothing was reported."""
    fused: FusedReading | None = None
    """The joint reading of the track's looks."""
    fused_version: int = 0
    """The version of the looks that were fused."""
    due: float = 0.0
    """Time from which the looks may be fused again, or a change reported."""
    told: FusedReading | None = None
    """The reading that was reported."""
    best: Look | None = None
    """The look whose crop was reported."""
    direction: str | None = None
    """The direction that was reported."""


class Events:
    """Turns the sightings of a camera into events.

    Time is that of the frames, so a recording gives the same events as the camera did.

    Args:
        camera: name of the camera.
        fuse: makes one reading of several sightings: `Reader.fuse_decoded` or `Lists.fuse`.
        rules: when events are reported.
        line: the line whose crossings are watched.
        listed: tells on which list a label is; None: there are no lists.
        letters: returns the random part of an identity.
    """

    def __init__(
        self,
        camera: str,
        fuse: Fuse,
        *,
        rules: Rules | None = None,
        line: Line | None = None,
        listed: Callable[[str], Listed] | None = None,
        letters: Callable[[], str] = lambda: "".join(secrets.choice(_LETTERS) for _ in range(6)),
    ) -> None:
        self._camera = camera
        self._fuse = fuse
        self._rules = rules or Rules()
        self._listed = listed
        self._letters = letters
        self._tracks = Tracks(self._rules.leave_after, line)
        self._passages: dict[Track, _Passage] = {}

    def update(self, frame: Frame, sightings: Sequence[Sighting]) -> list[Event]:
        """Take the sightings of the next frame, in any order, and return the events. Their `delay` is 0."""
        ended = self._tracks.update(frame, sightings)
        tracks = [*ended, *self._tracks.open]
        self._passages = {track: self._passages.get(track) or _Passage(track) for track in tracks}
        events = self._end(ended)
        for track in list(self._tracks.open):
            left = frame.seconds - track.present > MOMENT
            passage = self._passages[track]
            if track.is_reported:
                events += self._update(passage, frame.seconds)
            elif left or frame.seconds - track.first_seconds >= self._rules.settle:
                events += self._begin(passage, frame.seconds, left)
        return events

    def end(self) -> list[Event]:
        """End all passages, as no frame will follow, and return the events."""
        return self._end(list(self._tracks.open))

    def _begin(self, passage: _Passage, seconds: float, left: bool) -> list[Event]:
        """Report a passage for the first time if enough is known of it, or add it to one that has the same text."""
        track = passage.track
        if track.agreeing < self._rules.min_agreement or (seconds < passage.due and not left):
            return []
        reading = self._fused(passage, seconds)
        if not self._is_certain(track, reading) and not (left and self._rules.rejected and reading.label):
            return []
        same = self._reported_as(reading.label)
        if same is not None:
            if (
                same.present < seconds - MOMENT
            ):  # else it is still where it was, and this is a misreading or a reflection
                same.absorb(track)
                self._forget(track)
            return []
        passage.identity = f"{track.first_seen:.2f}-{self._letters()}"
        track.is_reported = True
        return [self._tell("new", passage, reading, seconds)]

    def _update(self, passage: _Passage, seconds: float) -> list[Event]:
        """Report what has changed materially."""
        if seconds < passage.due or passage.told is None or passage.best is None:
            return []
        track = passage.track
        reading = self._better(passage, seconds)
        has_changed = reading.label != passage.told.label or reading.accepted != passage.told.accepted
        has_crossed = track.direction != passage.direction
        if has_changed or has_crossed or track.best(reading.label).clarity >= _BETTER * passage.best.clarity:
            return [self._tell("update", passage, reading, seconds)]
        return []

    def _end(self, tracks: Sequence[Track]) -> list[Event]:
        """Report the end of passages, and before it a passage itself if too little was known of it until now."""
        events = []
        # The unreported ones first, as their text may be that of another one.
        for track in sorted(tracks, key=lambda track: track.is_reported):
            passage = self._passages[track]
            if not track.is_reported:
                events += self._begin(passage, track.present, left=True)
            if track.is_reported:
                events.append(self._tell("end", passage, self._better(passage, track.present), track.present))
        for track in tracks:
            self._forget(track)
        return events

    def _forget(self, track: Track) -> None:
        self._passages.pop(track, None)
        self._tracks.close(track)

    def _fused(self, passage: _Passage, seconds: float) -> FusedReading:
        track = passage.track
        if passage.fused is None or passage.fused_version != track.version:
            passage.fused = track.fused(self._fuse)
            passage.fused_version = track.version
            # Fusing takes as long as reading several frames, so it is done ever more rarely.
            wait = max(_RETRY, (seconds - track.first_seconds) / 2)
            passage.due = seconds + (self._rules.update_after if track.is_reported else wait)
        return passage.fused

    def _better(self, passage: _Passage, seconds: float) -> FusedReading:
        """Return the reading to report: the current one, or the one that was reported if that is more certain."""
        reading = self._fused(passage, seconds)
        told = passage.told
        if told is None or reading.label == told.label:
            return reading if told is None or reading.accepted >= told.accepted else told
        is_free = self._reported_as(reading.label) is None
        return reading if is_free and self._is_certain(passage.track, reading) else told

    def _is_certain(self, track: Track, reading: FusedReading) -> bool:
        """Return whether a reading is accepted, and enough of the sightings agree.

        No sighting reads a rescued text alone. There, those count that agree on what the network sees.
        """
        if reading.rescued:
            return reading.accepted and track.agreeing >= self._rules.min_agreement
        agreeing = track.labels[reading.label]
        return reading.accepted and agreeing >= self._rules.min_agreement and 2 * reading.agreeing >= reading.images

    def _reported_as(self, label: str) -> Track | None:
        """Return the open track that was reported with a label."""
        for track, passage in self._passages.items():
            if passage.told is not None and passage.told.label == label:
                return track
        return None

    def _tell(self, kind: Kind, passage: _Passage, reading: FusedReading, seconds: float) -> Event:
        track = passage.track
        best = track.best(reading.label)
        if passage.best is not None and passage.told is not None and passage.told.label == reading.label:
            best = max(passage.best, best, key=lambda look: look.clarity)
        passage.told, passage.best, passage.direction = reading, best, track.direction
        passage.due = seconds + self._rules.update_after
        return Event(
            kind=kind,
            identity=passage.identity,
            camera=self._camera,
            region=track.region,
            text=reading.text,
            label=reading.label,
            confidence=reading.confidence,
            accepted=reading.accepted,
            agreeing=track.labels[reading.label],
            sightings=track.sightings,
            first_seen=track.first_seen,
            last_seen=track.last_seen,
            delay=0.0,
            quad=track.quad,
            crop=best.crop,
            listed="unlisted" if self._listed is None else self._listed(reading.label),
            rescued=reading.rescued,
            direction=track.direction,
        )
