from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.bench.statistics import (
    fewest,
    larger_p,
    quantile,
    quantile_interval,
    smallest_p,
    steady_after,
)


def test_a_quantile_is_one_of_the_values() -> None:
    values = list(range(100, 0, -1))
    assert [quantile(values, share) for share in (0.5, 0.9, 0.99)] == [50, 90, 99]
    assert quantile([7], 0.99) == 7


@pytest.mark.parametrize(
    ("n", "share", "ranks"),
    [
        (10, 0.5, (2, 9)),  # 97.9 %, the textbook interval of a median
        (20, 0.5, (6, 15)),
        (6, 0.5, (1, 6)),
        (1000, 0.5, (469, 532)),
    ],
)
def test_known_ranks(n: int, share: float, ranks: tuple[int, int]) -> None:
    assert quantile_interval(np.random.default_rng(0).permutation(n) + 1, share) == ranks


@settings(deadline=None)
@given(st.integers(1, 60), st.sampled_from([0.5, 0.75, 0.9, 0.95]))
def test_the_interval_is_the_narrowest_with_its_tails(n: int, share: float) -> None:
    """The reference sums the binomial formula of the books."""

    at_most = [*itertools.accumulate(math.comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(n))]
    lows = [rank for rank in range(1, n + 1) if at_most[rank - 1] <= 0.025]
    highs = [rank for rank in range(1, n + 1) if 1 - at_most[rank - 1] <= 0.025]
    expected = (max(lows), min(highs)) if lows and highs else None
    assert quantile_interval(range(1, n + 1), share) == expected
    assert (expected is None) == (n < fewest(share))


def test_fewest_values_for_a_percentile() -> None:
    assert [fewest(share) for share in (0.5, 0.9, 0.99)] == [6, 36, 368]
    values = np.arange(368)
    assert quantile_interval(values[:367], 0.99) is None
    assert quantile_interval(values, 0.99) == (359, 367)


def test_the_interval_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    truth = math.log(10)  # the 90th percentile of an exponential
    intervals = [quantile_interval(random.exponential(size=200), 0.9) for _ in range(2000)]
    covered = [low <= truth <= high for low, high in filter(None, intervals)]
    assert len(covered) == 2000
    assert 0.945 <= np.mean(covered) <= 0.98


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=6),
    st.lists(st.integers(0, 6), min_size=1, max_size=6),
)
def test_the_rank_test_counts_every_way_to_deal(first: list[int], second: list[int]) -> None:
    pooled = [*first, *second]
    ranks = [sum(other < value for other in pooled) + sum(other <= value for other in pooled) + 1 for value in pooled]
    sums = [sum(dealt) for dealt in itertools.combinations(ranks, len(second))]
    observed = sum(ranks[len(first) :])
    expected = sum(rank_sum >= observed for rank_sum in sums) / len(sums)
    assert larger_p(first, second) == pytest.approx(expected)


def test_the_rank_test_by_the_book() -> None:
    """The tail of U for groups of 5: at 4, 12 of 252 ways (Mann and Whitney 1947, table I: 0.048)."""
    assert larger_p([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) == pytest.approx(1 / 252) == smallest_p(5, 5)
    assert larger_p([1, 2, 3, 5, 8], [4, 6, 7, 9, 10]) == pytest.approx(12 / 252)
    assert larger_p([3.0] * 4, [3.0] * 4) == 1
    assert larger_p([2, 2], [1, 1]) == 1


@pytest.mark.thorough
def test_many_rounds_are_no_trouble() -> None:
    values = np.random.default_rng(3).normal(size=(2, 100))
    p = larger_p(values[0], values[1])
    mirrored = larger_p(values[1], values[0])
    assert p + mirrored == pytest.approx(1, abs=0.01)  # both count the ways that equal what was observed
    assert larger_p(values[0], values[1] + 1) < 1e-6


def test_calls_until_steady() -> None:
    assert steady_after([90, 30, 20, *[10] * 47]) == 3
    assert steady_after([*[30] * 20, *[10] * 40]) == 20
    assert steady_after([*[30] * 5, 10, *[30] * 5, *[10] * 40]) == 11  # one fast call is no beginning
    assert steady_after([10.0] * 50) == 0
    assert steady_after([*range(10, 60)]) == 0  # it only ever gets slower
    assert steady_after([1, 2]) is None
