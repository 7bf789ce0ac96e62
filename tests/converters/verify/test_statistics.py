from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.verify.statistics import mcnemar, paired_change_interval


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_enumerates_coin_throws(first: int, second: int) -> None:
    throws = first + second
    tail = sum((Fraction(math.comb(throws, k), 2**throws) for k in range(min(first, second) + 1)), Fraction(0))
    assert mcnemar(first, second) == mcnemar(second, first) == pytest.approx(float(min(2 * tail, Fraction(1))))


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(0, 0, 1.0), (5, 5, 1.0), (0, 6, 0.03125), (1, 9, 0.021484375), (0, 1, 1.0)]
)
def test_mcnemar_known_values(first: int, second: int, expected: float) -> None:
    assert mcnemar(first, second) == pytest.approx(expected)


def test_paired_change_known_value() -> None:
    """Twenty trials: 1 correct in the first alone, 5 in the second alone; by hand after Bonett and Price."""
    p12, p21 = 2 / 22, 6 / 22
    margin = 1.959964 * math.sqrt((p12 + p21 - (p21 - p12) ** 2) / 22)
    assert paired_change_interval(1, 5, 20) == pytest.approx((p21 - p12 - margin, p21 - p12 + margin))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 1000))
def test_paired_change_is_antisymmetric_and_narrows(first: int, second: int, others: int) -> None:
    trials = first + second + others + 1
    low, high = paired_change_interval(first, second, trials)
    assert -1 <= low <= high <= 1
    assert paired_change_interval(second, first, trials) == pytest.approx((-high, -low))
    wider = paired_change_interval(first, second, trials)
    narrower = paired_change_interval(4 * first, 4 * second, 4 * trials)
    assert narrower[1] - narrower[0] < wider[1] - wider[0]


def test_paired_change_covers_the_truth_as_often_as_it_says() -> None:
    """Every outcome of 25 trials, weighed: first alone correct in 10 %, second alone in 5 %."""
    trials, one, two = 25, 0.1, 0.05
    covered = 0.0
    for first in range(trials + 1):
        for second in range(trials + 1 - first):
            chance = (
                math.comb(trials, first) * math.comb(trials - first, second)
                * one**first * two**second * (1 - one - two) ** (trials - first - second)
            )  # fmt: skip
            low, high = paired_change_interval(first, second, trials)
            covered += chance * (low <= two - one <= high)
    assert 0.94 <= covered <= 0.99


@pytest.mark.parametrize("only_first", [0, 1, 250, 25_000, 49_999, 50_000])
def test_many_images_stay_finite(only_first: int) -> None:
    assert 0 <= mcnemar(only_first, 50_000) <= 1
