from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.watch.finding.attempts import Attempts
from edge_crnn.watch.frame import Quad


def place(x: float, y: float = 100, height: float = 20, windows: int = 2) -> list[Quad]:
    """Windows that begin at the same corner and are ever longer."""
    corners = [np.array([[0, 0], [w, 0], [w, 1], [0, 1]]) * height + (x, y) for w in np.arange(windows) / 4 + 4]
    return [quad.astype(np.float32) for quad in corners]


def fail(attempts: Attempts, places: list[list[Quad]], seconds: float, most: int = 12) -> list[Quad]:
    """Return the windows that are read, all of them in vain."""
    due = attempts.due(places, seconds, most)
    windows = [attempt.window for attempt in due]
    for attempt in due:
        attempt.failed(seconds)
    return windows


def test_a_place_tries_one_window_after_the_other_and_then_waits_ever_longer() -> None:
    attempts, sign = Attempts(), place(50)
    tried = [number for number in range(120) if fail(attempts, [sign], number / 8)]
    # After each round it waits 0.2, 0.4, 0.8, 1.6, 2 and again 2 seconds; a frame takes 0.125.
    assert np.diff(tried).tolist()[:11] == [1, 2, 1, 4, 1, 7, 1, 13, 1, 16, 1]
    windows = [fail(Attempts(), [sign], 0.0)[0], sign[0]]
    assert np.array_equal(*windows)


def test_a_place_that_moves_or_grows_slowly_is_the_same_one() -> None:
    attempts = Attempts()
    tried = [bool(fail(attempts, [place(50 + 9 * n, height=20 + 0.05 * n)], n / 10)) for n in range(40)]
    assert sum(tried) < 16


def test_a_place_that_has_grown_is_tried_anew() -> None:
    attempts = Attempts()
    for number in range(30):
        fail(attempts, [place(50)], number / 10)
    assert not fail(attempts, [place(50)], 3.0)
    assert fail(attempts, [place(50, height=25)], 3.1)


def test_new_places_come_before_those_that_were_read_in_vain() -> None:
    attempts, signs = Attempts(), [place(50 + 150 * n, windows=1) for n in range(3)]
    for number in range(3):
        fail(attempts, signs, number / 10)
    windows = fail(attempts, [*signs, place(800)], 1.5, most=2)
    assert np.array_equal(windows[0], place(800)[0])
    assert np.array_equal(windows[1], signs[0][0])


def test_a_place_that_is_gone_is_forgotten() -> None:
    attempts = Attempts()
    for number in range(30):
        fail(attempts, [place(50)], number / 10)
    attempts.due([], 6.0, 12)
    assert fail(attempts, [place(50)], 6.1)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 900), st.integers(8, 60)), max_size=8), min_size=1, max_size=30),
    st.integers(1, 5),
)
def test_no_more_than_the_limit_and_each_place_once(frames: list[list[tuple[int, int]]], most: int) -> None:
    attempts = Attempts()
    for number, places in enumerate(frames):
        given_places = [place(x, height=height) for x, height in places]
        due = attempts.due(given_places, number / 10, most)
        assert len(due) <= min(most, len(places))
        assert len({id(attempt) for attempt in due}) == len(due)
        suggested = {id(window) for windows in given_places for window in windows}
        assert all(id(attempt.window) in suggested for attempt in due)
        for attempt in due[::2]:
            attempt.failed(number / 10)
