"""Which sightings are taken for the same plate."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.watch.tracks import MOST, Tracks
from tests.edge_crnn.watch.street import LABELS, Seen, frame_of, sightings_of

FIRST, ALIKE, OTHER = LABELS[0], LABELS[1], LABELS[2]


def tracked(frames: Sequence[Sequence[Seen]], rate: float = 25.0) -> Tracks:
    tracks = Tracks(leave_after=10.0)
    for number, plates in enumerate(frames):
        tracks.update(frame_of(number, number / rate, plates), sightings_of(plates))
    return tracks


def labels_of(tracks: Tracks) -> list[tuple[str, int]]:
    return sorted((track.label, track.sightings) for track in tracks.open)


def test_two_vehicles_side_by_side_are_two() -> None:
    frames = [[Seen(FIRST, 60 + 4 * step), Seen(ALIKE, 150 + 4 * step)] for step in range(10)]
    assert labels_of(tracked(frames)) == sorted([(FIRST, 10), (ALIKE, 10)])


def test_readings_that_flicker_are_one_vehicle() -> None:
    frames = [[Seen([FIRST, ALIKE, OTHER][step % 3], 60 + 4 * step, true=FIRST)] for step in range(12)]
    assert [track.sightings for track in tracked(frames).open] == [12]


def test_a_gap_of_readings_is_bridged() -> None:
    frames = [[Seen(FIRST, 60 + 6 * step, is_read=step not in range(3, 9))] for step in range(15)]
    assert labels_of(tracked(frames)) == [(FIRST, 9)]


def test_a_fast_vehicle_at_a_low_rate_is_one() -> None:
    frames = [[Seen(FIRST, 60 + 80 * step)] for step in range(4)]
    assert labels_of(tracked(frames, rate=5.0)) == [(FIRST, 4)]


def test_a_vehicle_that_follows_closely_is_another_one() -> None:
    """The second reaches the place that the first had left a second before."""
    frames = [[Seen(FIRST, 100)]] * 10 + [[]] * 20 + [[Seen(OTHER, 100)]] * 10
    assert labels_of(tracked(frames)) == sorted([(FIRST, 10), (OTHER, 10)])


@pytest.mark.parametrize("rate", [5.0, 10.0, 25.0])
def test_a_vehicle_where_a_moving_one_was_a_moment_ago_is_another_one(rate: float) -> None:
    """The second is read for the first time where the first was read last, 0.4 seconds before."""
    passing = [20 + 200 / rate * step for step in range(10)]
    first, second = ([[Seen(label, x)] for x in passing] for label in (FIRST, OTHER))
    frames: list[list[Seen]] = [*first, *[[]] * (round(0.4 * rate) - 1), *second[9:], *second[9:]]
    assert labels_of(tracked(frames, rate)) == sorted([(FIRST, 10), (OTHER, 2)])


def test_a_fleet_has_similar_plates() -> None:
    frames = [[Seen(FIRST, 100)]] * 10 + [[]] * 20 + [[Seen(ALIKE, 100)]] * 10
    assert labels_of(tracked(frames)) == sorted([(FIRST, 10), (ALIKE, 10)])


def test_a_vehicle_of_the_fleet_that_passes_a_parked_one_is_another_one() -> None:
    parked = Seen(FIRST, 60, y=40, is_read=False)
    frames = [[parked._replace(is_read=True)]] * 10 + [[parked]] * 250
    frames += [[parked, Seen(ALIKE, 20 + 8 * step, y=100)] for step in range(30)]
    assert labels_of(tracked(frames)) == sorted([(FIRST, 10), (ALIKE, 30)])


def test_a_vehicle_behind_another_one_is_the_same_when_it_comes_out() -> None:
    frames = [[Seen(FIRST, 60)]] * 5 + [[]] * 75 + [[Seen(FIRST, 250)]] * 5
    assert labels_of(tracked(frames)) == [(FIRST, 10)]


def test_a_standing_plate_is_the_same_after_an_hour_whatever_it_reads() -> None:
    tracks = Tracks(leave_after=10.0)
    for second in range(60):
        tracks.update(frame_of(second, 60.0 * second, [Seen(FIRST, 100)]), sightings_of([Seen(FIRST, 100)][second:]))
    plates = [Seen(OTHER, 101, true=FIRST)]
    tracks.update(frame_of(60, 3600.0, plates), sightings_of(plates))
    assert [track.sightings for track in tracks.open] == [2]


def test_a_moving_vehicle_beside_a_parked_one_is_another_one() -> None:
    frames = [[Seen(OTHER, 100, y=50), Seen(FIRST, 20 + 8 * step, y=110)] for step in range(30)]
    assert labels_of(tracked(frames)) == sorted([(OTHER, 30), (FIRST, 30)])


def test_two_windows_of_one_plate_are_one_sighting() -> None:
    frames = [[Seen(FIRST, 100), Seen(OTHER, 108, confidence=0.8)]] * 3
    assert labels_of(tracked(frames)) == [(FIRST, 3)]


def test_a_track_ends_after_its_absence_and_not_after_an_outage() -> None:
    tracks = tracked([[Seen(FIRST, 100)]])
    assert tracks.update(frame_of(1, 3600.0), []) == []
    assert tracks.update(frame_of(2, 3604.0), []) == []
    assert [track.label for track in tracks.update(frame_of(3, 3606.0), [])] == [FIRST]
    assert tracks.open == []


def test_there_are_never_too_many() -> None:
    tracks = Tracks(leave_after=10.0)
    for number in range(MOST + 20):
        plates = [Seen(f"{number:x}" * 8, 40 + 60 * (number % 5), 20 + 40 * (number % 4), width=30)]
        tracks.update(frame_of(number, number / 25, plates), sightings_of(plates))
        assert len(tracks.open) <= MOST


SEEN = st.builds(
    Seen,
    st.sampled_from(LABELS),
    st.floats(20, 300),
    st.floats(20, 160),
    st.floats(20, 90),
    st.sampled_from([0.9, 0.99]),
)


@given(st.lists(st.lists(SEEN, max_size=4), max_size=6), st.randoms(use_true_random=False))
def test_the_order_within_a_frame_does_not_matter(frames: list[list[Seen]], random: Random) -> None:
    shuffled = [random.sample(plates, len(plates)) for plates in frames]
    one, other = Tracks(10.0), Tracks(10.0)
    for number, (plates, mixed) in enumerate(zip(frames, shuffled, strict=True)):
        frame = frame_of(number, number / 5, plates)
        one.update(frame, sightings_of(plates))
        other.update(frame, sightings_of(mixed))
    assert [(track.labels, track.place) for track in one.open] == [(track.labels, track.place) for track in other.open]
