"""Merges readings of overlapping windows into one per plate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from ..frame import Quad, box_of
from ..sighting import Sighting

_OVERLAP = 0.3


def overlap(one: Quad, other: Quad) -> float:
    """Return the share of the smaller one's box that both boxes have, in [0, 1]."""
    first, second = np.array(box_of(one)), np.array(box_of(other))
    shared = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    smaller = min(np.prod(first[2:] - first[:2]), np.prod(second[2:] - second[:2]))
    return float(np.prod(np.maximum(shared, 0)) / max(float(smaller), 1e-9))


def merged(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Return one sighting per plate.

    Sightings that overlap are of one plate. A text that is a part of another one is that of a window that cuts the
    plate, so it loses. Among the others, the text wins whose confidences have the greatest sum.
    """
    places: list[list[Sighting]] = []
    for sighting in sorted(sightings, key=lambda sighting: -sighting.reading.confidence):
        for place in places:
            if overlap(sighting.quad, place[0].quad) > _OVERLAP:
                place.append(sighting)
                break
        else:
            places.append([sighting])
    return [_best(place) for place in places]


def _best(place: list[Sighting]) -> Sighting:
    """Return the most confident sighting of the winning text; `place` is sorted by confidence."""
    accepted = [sighting for sighting in place if sighting.reading.accepted] or place
    labels = {sighting.reading.label for sighting in accepted}
    whole = [
        sighting
        for sighting in accepted
        if not any(sighting.reading.label in label for label in labels - {sighting.reading.label})
    ]
    votes: defaultdict[str, float] = defaultdict(float)
    for sighting in whole:
        votes[sighting.reading.label] += sighting.reading.confidence
    winner = max(votes, key=lambda label: votes[label])
    return next(sighting for sighting in whole if sighting.reading.label == winner)
