"""The loop: a source in, events out."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from itertools import repeat

import pytest

from edge_crnn import open_reader
from edge_crnn.errors import SourceError
from edge_crnn.images import read_pixels
from edge_crnn.reader import Reader
from edge_crnn.watch.event import Event
from edge_crnn.watch.events import Events, Rules
from edge_crnn.watch.frame import Frame
from edge_crnn.watch.newest import Newest
from edge_crnn.watch.protocols import Source
from edge_crnn.watch.sighting import Sighting
from edge_crnn.watch.sources import FakeSource
from edge_crnn.watch.watch import Watch, watch
from tests.edge_crnn.watch.street import LABELS, Seen, fake_fuse, painted, quad_of, sightings_of

TRUE, OTHER = LABELS[0], LABELS[2]
PLATES = [[Seen(TRUE, 40 + 5 * step), *([Seen(OTHER, 200, y=30)] if step > 20 else [])] for step in range(40)]


class FakeFinder:
    """Knows what is in each frame."""

    def __init__(self, frames: Sequence[Sequence[Seen]]) -> None:
        self._frames = frames

    def find(self, frame: Frame) -> list[Sighting]:
        return sightings_of(self._frames[frame.number % len(self._frames)])


class CropFinder:
    """Finds the same plate in each frame, and reads it with the network."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._crop = read_pixels("samples/plates/A11tk5290.jpg")

    def find(self, frame: Frame) -> list[Sighting]:
        probabilities = self._reader.probabilities([self._crop])
        (reading,) = self._reader.decode(probabilities)
        quad = quad_of(Seen("", 40 + 15 * frame.number))
        return [Sighting(quad, "road", self._crop, reading, probabilities[0])]


def source_of(frames: Sequence[Sequence[Seen]], **options: object) -> FakeSource:
    return FakeSource([painted(plates) for plates in frames], **options)  # type: ignore[arg-type]


def watching(source: Source, frames: Sequence[Sequence[Seen]] = PLATES) -> Watch:
    events = Events("gate", fake_fuse, rules=Rules(settle=0.1), letters=lambda: "letter")
    return Watch(Newest(source, note=lambda line: None, waits=(0.01, 0.02)), FakeFinder(frames), events)


def gist(events: Sequence[Event]) -> list[tuple[object, ...]]:
    return [(event.kind, event.label, event.sightings, event.last_seen - event.first_seen) for event in events]


def test_a_recording_ends_and_gives_the_same_events_each_time() -> None:
    once, again = (gist(list(watching(source_of(PLATES)))) for _ in range(2))
    assert once == again
    assert [event[:2] for event in once] == [("new", TRUE), ("new", OTHER), ("end", TRUE), ("end", OTHER)]
    assert once[-2][2:] == (40, pytest.approx(39 / 25))


@pytest.mark.thorough
def test_a_camera_gives_events_across_an_outage_until_it_is_stopped() -> None:
    frames = [[Seen(TRUE, 100)]]
    endless = repeat(painted(frames[0]))
    source = FakeSource(endless, rate=100.0, is_live=True, faults={20: "the cable is cut"}, refusals=3)
    told = []
    with watching(source, frames) as events:
        for event in events:
            told.append(event)
            if event.kind == "new":
                threading.Timer(0.5, events.stop).start()
        assert events.newest.counts.reconnects == 1
    assert [event.kind for event in told] == ["new", "end"]
    assert 0 <= told[0].delay < 5
    assert not source.is_open


def test_closing_it_closes_the_source_at_once() -> None:
    source = source_of(PLATES)
    events = watching(source)
    assert next(events).kind == "new"
    events.close()
    assert list(events) == []
    deadline = time.monotonic() + 5
    while source.is_open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not source.is_open


def test_a_recording_that_breaks_ends_its_passages_and_then_fails() -> None:
    told = []
    with pytest.raises(SourceError, match="cut"):  # noqa: PT012 - the events before the failure count
        for event in watching(source_of(PLATES, faults={30: "the file is cut"})):
            told.append(event)  # noqa: PERF402
    assert [event.kind for event in told] == ["new", "new", "end", "end"]


def test_every_frame_can_be_seen_with_what_was_read_in_it() -> None:
    seen = []
    with open_reader("plates") as reader:
        told = list(
            watch(
                source_of(PLATES[:3]),
                reader,
                finder=FakeFinder([[]]),
                on_frame=lambda frame, sightings: seen.append((frame.number, len(sightings))),
            )
        )
    assert told == []
    assert seen == [(0, 0), (1, 0), (2, 0)]


@pytest.mark.thorough
def test_fused_text_comes_from_the_network() -> None:
    """The finder is fake and the reader is real: it reads a plate that drives by."""
    with open_reader("plates") as reader:
        finder = CropFinder(reader)
        frames = [painted([])] * 12
        told = list(watch(FakeSource(frames, rate=10, name="drive"), reader, finder=finder))
    assert [(event.kind, event.label, event.accepted) for event in told] == [
        ("new", "A11tk5290", True),
        ("end", "A11tk5290", True),
    ]
    assert told[0].camera == "drive"
    assert told[0].text == "서울 11 사 5290"
