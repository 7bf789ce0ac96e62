from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.binomial import binomial_cdf, binomial_interval, lower_bound

COUNTS = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def exact_cdf(most: int, trials: int, chance: Fraction) -> Fraction:
    return sum((math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(most + 1)), Fraction(0))


@given(COUNTS, st.fractions(0, 1, max_denominator=1000))
def test_cdf_is_exact(counts: tuple[int, int], chance: Fraction) -> None:
    assert binomial_cdf(*counts, float(chance)) == pytest.approx(
        float(exact_cdf(*counts, chance)), rel=1e-9, abs=1e-300
    )


def test_cdf_counts_every_outcome() -> None:
    trials = 7
    chance = 0.3
    for most in range(trials + 1):
        total = sum(
            math.prod(chance if success else 1 - chance for success in outcome)
            for outcome in product((0, 1), repeat=trials)
            if sum(outcome) <= most
        )
        assert binomial_cdf(most, trials, chance) == pytest.approx(total)


@given(COUNTS, st.sampled_from([0.8, 0.95, 0.99]))
def test_lower_bound_is_where_so_many_successes_become_too_unlikely(counts: tuple[int, int], confidence: float) -> None:
    successes, trials = counts
    bound = lower_bound(successes, trials, confidence)
    if successes == 0:
        assert bound == 0
    else:
        at_least = 1 - exact_cdf(successes - 1, trials, Fraction(bound))
        assert float(at_least) == pytest.approx(1 - confidence, rel=1e-6)


@given(st.integers(1, 100_000), st.floats(0.5, 0.999))
def test_without_failure_the_bound_has_a_closed_form(trials: int, confidence: float) -> None:
    assert lower_bound(trials, trials, confidence) == pytest.approx((1 - confidence) ** (1 / trials), rel=1e-9)


def test_rule_of_three() -> None:
    assert 1 - lower_bound(600, 600) == pytest.approx(3 / 600, rel=0.01)
    assert lower_bound(598, 598) >= 0.995 > lower_bound(597, 597)  # what the default gate asks for


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [  # two-sided 95 %, from printed tables of Clopper and Pearson's limits
        (0, 10, (0.0, 0.3085)),
        (1, 10, (0.0025, 0.4450)),
        (5, 10, (0.1871, 0.8129)),
        (10, 10, (0.6915, 1.0)),
        (81, 263, (0.2527, 0.3676)),
        (0, 0, (0.0, 1.0)),
    ],
)
def test_interval_known_values(successes: int, trials: int, expected: tuple[float, float]) -> None:
    assert binomial_interval(successes, trials) == pytest.approx(expected, abs=6e-5)


@given(COUNTS)
def test_interval_holds_the_estimate_and_mirrors(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = binomial_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    assert binomial_interval(trials - successes, trials) == pytest.approx((1 - high, 1 - low))


@given(COUNTS)
def test_more_images_or_more_successes_show_more(counts: tuple[int, int]) -> None:
    successes, trials = counts
    assert lower_bound(successes + 1, trials + 1) > lower_bound(successes, trials)
    assert lower_bound(successes, trials + 1) <= lower_bound(successes, trials)
    assert lower_bound(10 * successes, 10 * trials) >= lower_bound(successes, trials)
    assert lower_bound(successes, trials, 0.99) <= lower_bound(successes, trials, 0.95)


@pytest.mark.parametrize("failures", [0, 1, 250, 25_000, 49_999, 50_000])
def test_many_images_stay_finite(failures: int) -> None:
    trials = 50_000
    low, high = binomial_interval(trials - failures, trials)
    share = 1 - failures / trials
    assert 0 <= low <= share <= high <= 1
    # Far from both ends, the interval is that of the normal approximation.
    margin = 1.96 * math.sqrt(share * (1 - share) / trials)
    assert high - low == pytest.approx(2 * margin, rel=0.03) or failures in (0, 1, 49_999, 50_000)
