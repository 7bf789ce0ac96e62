from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.bounds import Bounds

TEN = Bounds(1, 10)


@given(st.integers() | st.integers(-2, 12))
def test_whole_numbers_within_the_bounds_are_allowed(number: int) -> None:
    assert TEN.allow(number) == (number in range(1, 11))
    assert (TEN.problem("width", number) is None) == TEN.allow(number)


def test_whole_numbers_of_numpy_are_allowed() -> None:
    assert TEN.allow(np.int64(10))
    assert not TEN.allow(np.uint8(11))


@pytest.mark.parametrize("value", [1.0, 2.5, "3", None, float("nan"), [1], np.float32(1)])
def test_other_values_are_no_whole_numbers(value: object) -> None:
    assert not TEN.allow(value)
    assert "expected a whole number from 1 to 10" in str(TEN.problem("width", value))


@pytest.mark.parametrize(
    "value", [0, -1, 11, 2**70, 10**30, -(10**30), pytest.param(10**5000, id="long"), "x" * 10_000]
)
def test_a_problem_is_one_short_sentence(value: object) -> None:
    """Python refuses to spell an integer of more than 4,300 digits."""
    problem = TEN.problem("width", value)
    assert problem is not None
    assert problem.startswith("width is ")
    assert len(problem) < 200
