"""A small street: frames in which each plate has its own pixels, and sightings of them without a finder."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_crnn.reading import FusedReading, Reading
from edge_crnn.watch.frame import Frame, Pixels, Quad
from edge_crnn.watch.sighting import Sighting

START = 1_796_088_000.0
LABELS = ["A18sk6897", "A18sk6891", "Z52ga3108", "123ha4567", "B70ba1122"]
HEIGHT, WIDTH = 180, 320


class Seen(NamedTuple):
    """A plate in a frame, and what it reads there."""

    label: str
    x: float
    y: float = 90.0
    width: float = 60.0
    confidence: float = 0.99
    true: str = ""
    """What the plate shows; empty: what it reads."""
    is_read: bool = True
    accepted: bool = True


@cache
def texture(label: str) -> Pixels:
    rng = np.random.default_rng(zlib.crc32(label.encode()))
    return rng.integers(0, 256, (8, 32, 3), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)


ROAD = np.random.default_rng(1).integers(0, 256, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)


def quad_of(seen: Seen) -> Quad:
    half_width, half_height = seen.width / 2, seen.width / 8
    left, right, top, bottom = seen.x - half_width, seen.x + half_width, seen.y - half_height, seen.y + half_height
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def painted(plates: Sequence[Seen]) -> Pixels:
    pixels = ROAD.copy()
    for seen in plates:
        (left, top), _, (right, bottom), _ = np.round(quad_of(seen)).astype(int)
        xs = np.arange(max(left, 0), min(right, WIDTH))
        ys = np.arange(max(top, 0), min(bottom, HEIGHT))
        plate = texture(seen.true or seen.label)
        rows = (ys - top) * plate.shape[0] // max(bottom - top, 1)
        columns = (xs - left) * plate.shape[1] // max(right - left, 1)
        pixels[ys[:, None], xs] = plate[rows[:, None], columns]
    return pixels


def frame_of(number: int, seconds: float, plates: Sequence[Seen] = ()) -> Frame:
    return Frame(number, seconds, START + seconds, painted(plates))


def sighting_of(seen: Seen) -> Sighting:
    votes = np.zeros((1, len(LABELS) + 1), np.float32)
    votes[0, LABELS.index(seen.label) if seen.label in LABELS else -1] = seen.confidence
    reading = Reading(f"text of {seen.label}", seen.label, seen.confidence, (), (), seen.accepted)
    return Sighting(quad_of(seen), "road", texture(seen.true or seen.label), reading, votes)


def sightings_of(plates: Sequence[Seen]) -> list[Sighting]:
    return [sighting_of(seen) for seen in plates if seen.is_read]


def fake_fuse(probabilities: npt.NDArray[np.float32], weights: npt.ArrayLike | None = None) -> FusedReading:
    """Vote: the label with the most weight wins, and is accepted if its votes are sure."""
    votes = probabilities[:, 0]
    totals = np.asarray(weights) @ votes
    best = int(totals.argmax())
    label = [*LABELS, "?"][best]
    share = float(totals[best] / np.sum(weights))
    agreeing = int((votes.argmax(axis=1) == best).sum())
    return FusedReading(
        f"text of {label}", label, share, (), (), accepted=share > 0.6, images=len(votes), agreeing=agreeing
    )  # fmt: skip
