"""A track keeps little, and what it keeps is what shows its plate best."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.watch.tracked import LABELS, LOOKS, Track, weights_of
from tests.edge_crnn.watch.street import Seen, fake_fuse, frame_of, sighting_of

TRUE, WRONG = "A18sk6897", "A18sk6891"


def track_of(plates: list[Seen], rate: float = 25.0) -> Track:
    track = Track(frame_of(0, 0.0, plates[:1]), sighting_of(plates[0]))
    for number, seen in enumerate(plates[1:], 1):
        track.see(frame_of(number, number / rate, [seen]), sighting_of(seen))
    return track


def test_memory_is_bounded() -> None:
    track = track_of([Seen(f"label {number}", 100, confidence=number / 200) for number in range(200)])
    assert len(track.looks) == LOOKS
    assert len(track.labels) <= LABELS
    assert track.sightings == 200
    assert all(look.probabilities.base is None and look.crop.base is None for look in track.looks)


def test_far_frames_do_not_outvote_near_ones() -> None:
    far = [Seen(WRONG, 100 + step / 5, width=24, confidence=0.98, true=TRUE) for step in range(40)]
    near = [Seen(TRUE, 120 + 8 * step, width=120 + 6 * step) for step in range(5)]
    track = track_of([*far, *near])
    assert track.label == WRONG
    assert track.fused(fake_fuse).label == TRUE


def test_frames_of_a_standing_plate_are_little_more_than_one() -> None:
    standing = weights_of(track_of([Seen(TRUE, 100)] * LOOKS).looks)
    driving = weights_of(track_of([Seen(TRUE, 40 + 30 * step) for step in range(LOOKS)], rate=5.0).looks)
    assert 1 <= sum(standing) < 1.5 < 3 < sum(driving)


@given(st.lists(st.tuples(st.floats(0, 320), st.floats(10, 150), st.floats(0, 1)), min_size=1, max_size=20))
def test_weights_are_those_that_fusing_takes(plates: list[tuple[float, float, float]]) -> None:
    weights = weights_of(track_of([Seen(TRUE, x, width=width, confidence=sure) for x, width, sure in plates]).looks)
    assert sum(weights) >= 1
    assert all(0 <= weight <= 1 for weight in weights)


def test_the_best_crop_shows_the_text_and_is_large() -> None:
    track = track_of([Seen(TRUE, 100, width=60), Seen(TRUE, 110, width=80), Seen(WRONG, 120, width=140)])
    assert track.best(TRUE).place.width == pytest.approx(80)
    assert track.best("unread").place.width == pytest.approx(140)


def test_a_place_is_expected_where_the_plate_drives() -> None:
    track = track_of([Seen(TRUE, 40 + 10 * step) for step in range(5)], rate=10.0)
    assert track.predicted(0.5).x == pytest.approx(90, abs=3)


def test_pixels_show_whether_it_is_still_there() -> None:
    track = track_of([Seen(TRUE, 100)])
    track.compare(frame_of(1, 1.0, [Seen(TRUE, 100)]))
    assert track.present == 1.0
    track.compare(frame_of(2, 2.0))
    track.compare(frame_of(3, 3.0, [Seen(WRONG, 100)]))
    assert track.present == 1.0


def test_a_plate_that_creeps_away_does_not_stay() -> None:
    track = track_of([Seen(TRUE, 60)])
    for step in range(1, 250):
        track.compare(frame_of(step, step / 25, [Seen(TRUE, 60 + step / 5)]))
    assert track.present < 2
