from __future__ import annotations

import numpy as np
import pytest

from edge_crnn.watch.finding.known import Known
from edge_crnn.watch.frame import Quad


def quad(x: float, y: float = 100, width: float = 80) -> Quad:
    corners = np.array([[-1, -0.25], [1, -0.25], [1, 0.25], [-1, 0.25]]) * width / 2
    result: Quad = (corners + np.array([x, y])).astype(np.float32)
    return result


def test_a_plate_is_expected_where_it_goes_and_as_large_as_it_becomes() -> None:
    plate = Known(quad(100), 0.0)
    for step in range(1, 11):
        plate.see(quad(100 + 10 * step, width=80 * 1.02**step), step / 10)
    expected = plate.expected(1.1)
    np.testing.assert_allclose(expected.mean(axis=0), [210, 100], atol=1)
    assert np.ptp(expected[:, 0]) == pytest.approx(80 * 1.02**11, rel=0.01)


def test_a_movement_is_not_continued_for_long() -> None:
    plate = Known(quad(100), 0.0)
    for step in range(1, 6):
        plate.see(quad(100 + 10 * step), step / 10)
    np.testing.assert_allclose(plate.expected(0.8), plate.expected(1.5))


def test_a_standing_plate_is_expected_where_it_stands() -> None:
    plate = Known(quad(100), 0.0)
    plate.see(quad(100), 0.0)  # a frame may come twice
    np.testing.assert_array_equal(plate.expected(0.5), quad(100))


def test_a_plate_is_lost_after_some_seconds() -> None:
    plate = Known(quad(100), 0.0)
    assert not plate.is_lost(1.9)
    assert plate.is_lost(2.1)


def test_a_plate_counts_from_its_second_reading_on() -> None:
    plate = Known(quad(100), 0.0)
    assert not plate.is_legible
    plate.see(quad(100), 0.1)
    assert plate.is_legible


def test_a_plate_that_is_read_in_one_frame_of_five_never_counts() -> None:
    plate = Known(quad(100), 0.0)
    for number in range(1, 100):
        if number % 5:
            plate.miss()
        else:
            plate.see(quad(100), number / 10)
        assert not plate.is_legible


def test_a_plate_that_comes_near_counts_after_a_while() -> None:
    plate = Known(quad(100), 0.0)
    for _ in range(10):
        plate.miss()
    seen = 0
    while not plate.is_legible:
        seen += 1
        plate.see(quad(100), 1 + seen / 10)
    assert seen == 4
