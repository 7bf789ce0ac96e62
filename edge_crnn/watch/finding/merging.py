"""Merges readings of overlapping windows into one per plate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ..frame import Quad, box_of, shared
from ..sighting import Sighting

_OVERLAP = 0.3
_DOUBTFUL = 0.1
"""Least confidence of a reading that makes a part of its text doubtful."""


def overlap(one: Quad, other: Quad) -> float:
    """Return the share of the smaller one's box that both boxes have, in [0, 1]."""
    return shared(box_of(one), box_of(other))


def merged(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Return one sighting per plate.

    Sightings that overlap are of one plate. A text that is a part of another one is that of a window that cuts the
    plate, so it loses, even against a text that is rejected. Among the others, the text wins whose confidences have the
    greatest sum.
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
    texts = {_joined(sighting) for sighting in place if sighting.reading.confidence >= _DOUBTFUL}
    candidates = [sighting for sighting in place if sighting.reading.accepted] or place
    whole = [sighting for sighting in candidates if not _is_cut(sighting, texts)]
    if not whole:
        whole = [sighting for sighting in place if not _is_cut(sighting, texts)]
    votes: defaultdict[str, float] = defaultdict(float)
    for sighting in whole:
        votes[sighting.reading.label] += sighting.reading.confidence
    winner = max(votes, key=lambda label: votes[label])
    return next(sighting for sighting in whole if sighting.reading.label == winner)


def _is_cut(sighting: Sighting, texts: set[str]) -> bool:
    """Return whether another text goes on where this one ends."""
    text = _joined(sighting)
    return any(text in other for other in texts - {text})


def _joined(sighting: Sighting) -> str:
    """Return the text without spaces; a label may have a symbol for what a plate lacks."""
    return "".join(sighting.reading.text.split())
