"""Every vehicle has one passage: it is new once, may change, and ends once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.errors import InputError
from edge_crnn.watch.event import Event
from edge_crnn.watch.events import Events, Rules
from edge_crnn.watch.line import Line
from tests.edge_crnn.watch.street import LABELS, START, Seen, fake_fuse, frame_of, sightings_of

TRUE, WRONG, OTHER = LABELS[:3]


def events_of(rules: Rules | None = None, line: Line | None = None) -> Events:
    numbers = count()
    return Events("gate", fake_fuse, rules=rules, line=line, letters=lambda: f"{next(numbers):06d}")


def played(
    frames: Sequence[Sequence[Seen]], rate: float = 25.0, *, rules: Rules | None = None, line: Line | None = None
) -> list[Event]:
    events = events_of(rules, line)
    told = []
    for number, plates in enumerate(frames):
        told += events.update(frame_of(number, number / rate, plates), sightings_of(plates))
    return told + events.end()


def kinds_of(events: Sequence[Event]) -> list[tuple[str, str]]:
    return [(event.kind, event.label) for event in events]


def test_a_vehicle_that_passes_is_one_event_and_its_end() -> None:
    told = played([[Seen(TRUE, 30 + 5 * step)] for step in range(50)])
    assert kinds_of(told) == [("new", TRUE), ("end", TRUE)]
    new, end = told
    assert new.identity == end.identity == f"{START:.2f}-000000"
    assert (new.camera, new.region, new.text, new.accepted) == ("gate", "road", f"text of {TRUE}", True)
    assert 3 <= new.agreeing <= end.agreeing == end.sightings == 50
    assert (end.first_seen, end.last_seen) == pytest.approx((START, START + 49 / 25))
    assert end.quad.mean(axis=0)[0] == pytest.approx(30 + 5 * 49)


def test_the_first_far_readings_do_not_win() -> None:
    """They are wrong, alike, and sure."""
    far = [[Seen(WRONG, 100 + step, width=24, confidence=0.98, true=TRUE)] for step in range(6)]
    near = [[Seen(TRUE, 106 + 8 * step, width=60 + 10 * step)] for step in range(10)]
    assert kinds_of(played([*far, *near])) == [("new", TRUE), ("end", TRUE)]


def test_nearer_frames_correct_what_was_told() -> None:
    far = [[Seen(WRONG, 100, width=24, confidence=0.98, true=TRUE)] for _ in range(50)]
    near = [[Seen(TRUE, 106 + 8 * step, width=60 + 10 * step)] for step in range(8)]
    told = played([*far, *near, *([[]] * 30)])
    assert kinds_of(told) == [("new", WRONG), ("update", TRUE), ("end", TRUE)]
    assert len({event.identity for event in told}) == 1


def test_a_single_reading_is_no_vehicle() -> None:
    assert played([[], [Seen(TRUE, 100)], [], []]) == []


def test_a_vehicle_that_is_gone_before_it_settles_is_told() -> None:
    told = played([[Seen(TRUE, 60 + 50 * step)] for step in range(4)] + [[]] * 25)
    assert kinds_of(told) == [("new", TRUE), ("end", TRUE)]


def test_a_clearer_crop_is_told_but_not_too_often() -> None:
    frames = [[Seen(TRUE, 100 + step / 2, width=20 + step)] for step in range(100)]
    told = played(frames)
    updates = [event for event in told if event.kind == "update"]
    assert 1 <= len(updates) <= 3
    assert {event.label for event in told} == {TRUE}


def test_rejected_readings_are_told_only_on_request() -> None:
    frames = [
        [Seen([TRUE, OTHER][step % 2], 100 + step, confidence=0.4, true=TRUE, accepted=False)] for step in range(20)
    ]
    assert played(frames) == []
    told = played(frames + [[]] * 25, rules=Rules(rejected=True))
    assert [event.kind for event in told] == ["new", "end"]
    assert not told[0].accepted


def test_the_direction_is_told() -> None:
    frames = [[Seen(TRUE, 160, y=20 + 3 * step)] for step in range(50)]
    told = played(frames, line=Line.parse("0,0.5 1,0.5 out in"))
    assert [(event.kind, event.direction) for event in told] == [("new", None), ("update", "in"), ("end", "in")]


def test_a_return_is_a_new_passage_only_after_a_while() -> None:
    passing = [[Seen(TRUE, 60 + 5 * step)] for step in range(20)]
    soon = played([*passing, *([[]] * 100), *passing])
    late = played([*passing, *([[]] * 300), *passing])
    assert [event.kind for event in soon] == ["new", "end"]
    assert [event.kind for event in late] == ["new", "end", "new", "end"]


def test_a_standing_vehicle_stays_one_passage_although_nothing_is_read() -> None:
    standing = [[Seen(TRUE, 100, is_read=step < 10)] for step in range(600)]
    leaving = [[Seen(TRUE, 100 + 10 * step, is_read=step > 4)] for step in range(15)]
    told = played([*standing, *leaving, *([[]] * 60)], rate=5.0)
    assert [event.kind for event in told] == ["new", "end"]
    assert told[-1].last_seen == pytest.approx(START + 614 / 5, abs=0.5)


def test_a_vehicle_in_front_of_a_standing_one_does_not_end_it() -> None:
    parked = Seen(OTHER, 160, is_read=False)
    frames = [[Seen(OTHER, 160)]] * 10 + [[parked]] * 20
    frames += [[parked, Seen(TRUE, 60 + 4 * step)] for step in range(50)] + [[parked]] * 250
    told = played(frames)
    assert sorted(kinds_of(told)) == sorted([("new", OTHER), ("new", TRUE), ("end", TRUE), ("end", OTHER)])


def test_a_plate_at_two_places_is_one_passage() -> None:
    """A window reflects it, for example."""
    told = played([[Seen(TRUE, 60 + 2 * step), Seen(TRUE, 220, y=30)] for step in range(30)])
    assert kinds_of(told) == [("new", TRUE), ("end", TRUE)]


def test_a_vehicle_that_is_misread_as_a_standing_one_does_not_end_it() -> None:
    parked = Seen(TRUE, 60, y=40, is_read=False)
    frames = [[parked._replace(is_read=True)]] * 10
    frames += [[parked, Seen(TRUE, 20 + 7 * step, y=130, true=OTHER)] for step in range(40)] + [[parked]] * 200
    told = played(frames, rate=10.0)
    assert kinds_of(told) == [("new", TRUE), ("end", TRUE)]
    assert told[-1].last_seen == pytest.approx(START + 24.9, abs=0.5)
    assert told[-1].quad.mean(axis=0) == pytest.approx((60, 40))


@pytest.mark.parametrize(
    "change", [{"min_agreement": 0}, {"settle": -1.0}, {"leave_after": 0.1}, {"update_after": float("nan")}]
)
def test_impossible_rules_are_rejected(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        Rules(**change)  # type: ignore[arg-type]


SEEN = st.builds(
    Seen,
    st.sampled_from(LABELS),
    st.sampled_from([60.0, 100.0, 104.0, 200.0]),
    st.sampled_from([40.0, 90.0]),
    st.sampled_from([40.0, 80.0]),
    st.sampled_from([0.5, 0.9, 0.99]),
    is_read=st.sampled_from([True, True, False]),
    accepted=st.booleans(),
)
STRETCHES = st.tuples(st.lists(SEEN, max_size=3), st.integers(1, 6))
"""Plates, and for how many frames they are there."""


@settings(max_examples=60)
@given(st.lists(STRETCHES, max_size=8), st.sampled_from([1.0, 5.0, 25.0]), st.integers(1, 3), st.booleans())
def test_every_passage_begins_once_and_ends_once(
    stretches: list[tuple[list[Seen], int]], rate: float, min_agreement: int, rejected: bool
) -> None:
    events = events_of(Rules(min_agreement=min_agreement, settle=0.1, leave_after=2.0, rejected=rejected))
    told: list[Event] = []
    number = 0
    for plates, length in stretches:
        for _ in range(length):
            told += events.update(frame_of(number, number / rate, plates), sightings_of(plates))
            number += 1
    told += events.end()
    passages: dict[str, list[Event]] = defaultdict(list)
    open_labels: dict[str, str] = {}
    for event in told:
        passages[event.identity].append(event)
        assert event.accepted or rejected
        if event.kind == "end":
            del open_labels[event.identity]
        else:
            open_labels[event.identity] = event.label
        assert len(set(open_labels.values())) == len(open_labels), "two open passages have one label"
    for passage in passages.values():
        kinds = [event.kind for event in passage]
        assert kinds[0] == "new"
        assert kinds[-1] == "end"
        assert set(kinds[1:-1]) <= {"update"}
        times = [event.last_seen for event in passage]
        assert times == sorted(times)
