"""One tracked plate: what is remembered of its sightings, and what they read together."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..backends import Probabilities
from ..reading import FusedReading
from .frame import Frame, Pixels, Quad
from .line import Crossing
from .place import Place
from .presence import is_there, patch_of
from .sighting import Sighting

LOOKS = 8
"""Largest number of sightings that are kept per track and fused."""
LABELS = 32
"""Largest number of different labels that are counted per track."""

_LEGIBLE = 32.0
"""Height of a plate in pixels from which more pixels do not make it easier to read."""
_INDEPENDENT = 1.0
"""Seconds after which two looks at a standing plate are largely independent; a movement by its width counts as much."""
_COMPARE = 0.2
"""Seconds between two looks at the pixels of a plate that is not read."""
_LIGHT = 10.0
"""Seconds after which the pixels of a standing plate are remembered anew."""
_STEADY = 0.5
"""How much a new speed counts against those before."""


class Fuse(Protocol):
    """Makes one reading of several images of one text, as `Reader.fuse_decoded`."""

    def __call__(self, probabilities: Probabilities, weights: npt.ArrayLike | None = None) -> FusedReading:
        """Return the reading of (N, T, C) float32 probabilities with (N,) weights."""


@dataclass(frozen=True, eq=False)
class Look:
    """A sighting that is kept."""

    label: str
    probabilities: npt.NDArray[np.float32]
    crop: Pixels
    place: Place
    seconds: float
    quality: float
    """How well the plate can be read, in [0, 1]."""

    @classmethod
    def of(cls, frame: Frame, sighting: Sighting, place: Place) -> Look:
        """Return what is kept of a sighting; the arrays are copied, so that no whole frame is kept alive by a view."""
        return cls(
            sighting.reading.label,
            np.array(sighting.probabilities, np.float32),
            np.array(sighting.crop),
            place,
            frame.seconds,
            sighting.reading.confidence * min(place.height / _LEGIBLE, 1.0),
        )

    @property
    def clarity(self) -> float:
        """How well a person can read the crop: the larger, the better."""
        return self.quality * self.place.height

    def novelty(self, other: Look) -> float:
        """Return how independent two looks are, in [0, 1]: they err alike if little time and movement are between."""
        change = abs(self.seconds - other.seconds) / _INDEPENDENT
        change += self.place.distance(other.place) + abs(math.log2(self.place.width / other.place.width))
        return 1 - math.exp(-change)


class Track:
    """A plate over many frames.

    Its memory is bounded: it keeps at most `LOOKS` sightings, the best ones, and counts at most `LABELS` labels.

    Args:
        frame: the frame in which it is seen first.
        sighting: its first sighting.
        crossing: how it crosses the line; None: there is no line.
    """

    def __init__(self, frame: Frame, sighting: Sighting, crossing: Crossing | None = None) -> None:
        self.number = frame.number
        self.first_seen = frame.time
        self.first_seconds = frame.seconds
        self.sightings = 0
        self.looks: list[Look] = []
        self.labels: Counter[str] = Counter()
        self.crossing = crossing
        self.version = 0
        """Changes with the looks."""
        self.is_reported = False
        """Whether others know of it, so that no other track may absorb it."""
        self._speed = (0.0, 0.0)
        self.place = Place.of(sighting.quad)
        self.seconds = frame.seconds
        self.see(frame, sighting)

    quad: Quad
    """Where it was last read."""
    region: str
    """The region in which it was last read."""
    last_seen: float
    """Seconds since the epoch of the last frame in which it was read, or its pixels were unchanged."""
    seconds: float
    """Time of the last frame in which it was read."""
    present: float
    """Time of the last frame in which it was read, or its pixels were unchanged."""
    absence: float
    """Seconds in which it was neither."""

    @property
    def label(self) -> str:
        """The label that most sightings read, and of several the one that was read first."""
        return self.labels.most_common(1)[0][0]

    @property
    def agreeing(self) -> int:
        """Number of sightings that read `label`."""
        return self.labels.most_common(1)[0][1]

    @property
    def direction(self) -> str | None:
        """Name of the side of the line that it went to last; None: there is no line, or it has not crossed it."""
        return None if self.crossing is None else self.crossing.direction

    def see(self, frame: Frame, sighting: Sighting) -> None:
        """Take the next sighting."""
        place = Place.of(sighting.quad)
        gap = frame.seconds - self.seconds
        if gap > 0:
            speed = ((place.x - self.place.x) / gap, (place.y - self.place.y) / gap)
            share = _STEADY if self.sightings > 1 else 1.0
            self._speed = (
                self._speed[0] + share * (speed[0] - self._speed[0]),
                self._speed[1] + share * (speed[1] - self._speed[1]),
            )
        self.place = place
        self.quad = sighting.quad
        self.region = sighting.region
        self.seconds = frame.seconds
        self.sightings += 1
        self._patch, self._patch_seconds = patch_of(frame.pixels, place), frame.seconds
        self._compared = frame.seconds
        self._is_present(frame)
        self._count(sighting.reading.label, 1)
        self._keep(Look.of(frame, sighting, place))
        if self.crossing is not None:
            height, width = frame.pixels.shape[:2]
            self.crossing.move(place, (width, height))

    def compare(self, frame: Frame) -> None:
        """Look whether its pixels are still where it was last read; a few times per second are enough."""
        if frame.seconds - self._compared < _COMPARE:
            return
        self._compared = frame.seconds
        if self.is_unmoved(frame):
            self._is_present(frame)
            # Follows the light and shadows, but no vehicle that creeps away.
            if frame.seconds - self._patch_seconds >= _LIGHT:
                self._patch, self._patch_seconds = patch_of(frame.pixels, self.place), frame.seconds

    def is_unmoved(self, frame: Frame) -> bool:
        """Return whether its pixels are still where it was last read."""
        return is_there(frame.pixels, self.place, self._patch)

    def miss(self, seconds: float) -> None:
        """Count time in which it was absent."""
        self.absence += seconds

    def predicted(self, seconds: float) -> Place:
        """Return where it is expected at a time, if it goes on as it went in its last sightings."""
        gap = min(max(seconds - self.seconds, 0.0), 1.0)
        return self.place.moved(self._speed[0] * gap, self._speed[1] * gap)

    def absorb(self, other: Track) -> None:
        """Take over what another track has seen of the same plate."""
        self.sightings += other.sightings
        self.first_seconds = min(self.first_seconds, other.first_seconds)
        self.first_seen = min(self.first_seen, other.first_seen)
        for label, count in other.labels.items():
            self._count(label, count)
        for look in other.looks:
            self._keep(look)
        if other.seconds > self.seconds:
            self.place, self.quad, self.region = other.place, other.quad, other.region
            self.seconds, self._speed = other.seconds, other._speed
            self._patch, self._patch_seconds = other._patch, other._patch_seconds
        if other.present > self.present:
            self.present, self.last_seen, self.absence = other.present, other.last_seen, other.absence
        if self.crossing is not None and other.crossing is not None and self.crossing.direction is None:
            self.crossing.direction = other.crossing.direction

    def fused(self, fuse: Fuse) -> FusedReading:
        """Return the joint reading of the looks."""
        return fuse(np.stack([look.probabilities for look in self.looks]), weights_of(self.looks))

    def best(self, label: str) -> Look:
        """Return the look that shows a label best; if none reads it alone, the best one of all."""
        fitting = [look for look in self.looks if look.label == label] or self.looks
        return max(fitting, key=lambda look: look.clarity)

    def _is_present(self, frame: Frame) -> None:
        self.present = frame.seconds
        self.last_seen = frame.time
        self.absence = 0.0

    def _count(self, label: str, count: int) -> None:
        self.labels[label] += count
        if len(self.labels) > LABELS:
            rarest = min((other for other in self.labels if other != label), key=lambda other: self.labels[other])
            del self.labels[rarest]

    def _keep(self, look: Look) -> None:
        self.looks.append(look)
        if len(self.looks) > LOOKS:
            worst = min(self.looks, key=lambda kept: kept.quality)
            self.looks.remove(worst)
            if worst is look:
                return
        self.version += 1


def weights_of(looks: list[Look]) -> list[float]:
    """Return what each look is worth beside the others, for `ctc.fuse`.

    The best look counts as 1. In order of quality, each other one counts by how independent it is of those before, and
    by its quality. So a hundred frames of a standing car are little more than one, and far frames do not outvote near
    ones.
    """
    weights = [0.0] * len(looks)
    order = sorted(range(len(looks)), key=lambda index: -looks[index].quality)
    best = looks[order[0]]
    for place, index in enumerate(order):
        look = looks[index]
        novelty = min((look.novelty(looks[before]) for before in order[:place]), default=1.0)
        weights[index] = novelty * (look.quality / best.quality if best.quality > 0 else 1.0)
    weights[order[0]] = 1.0
    return weights
