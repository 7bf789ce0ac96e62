"""Statistics of repeated measurements: the uncertainty of a percentile, and whether two runs differ.

These methods assume independent readings, and consecutive readings are not independent. So they understate the
uncertainty. A control, the same artifact measured twice, shows the rest.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..binomial import Interval, binomial_cdf

CONFIDENCE = 0.95
"""Confidence of every interval here, two-sided, with equal tails."""

MLPERF = {0.90: (64, 23_886), 0.99: (662, 262_742)}
"""Share → queries that MLPerf requires: the fewest from which it estimates that percentile (early stopping), and the
number for 99 % confidence in it within 0.5 or 0.05 points. Source: MLPerf Inference Rules; its LoadGen,
early_stopping.cc."""


def quantile(values: npt.ArrayLike, share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed; it is always a measured value."""
    return float(np.quantile(np.asarray(values), share, method="inverted_cdf"))


def quantile_interval(values: npt.ArrayLike, share: float) -> Interval | None:
    """Return the interval that covers the true quantile, for any distribution; None if there are too few values.

    Both ends are order statistics: of n independent values, the number below the quantile is binomial (n, `share`).
    Source: David and Nagaraja, Order Statistics, 3rd edition 2003, section 7.1.
    """
    ordered = np.sort(np.asarray(values))
    n = len(ordered)
    below, above = _ranks(n, share)
    if below < 1 or above > n:
        return None
    return float(ordered[below - 1]), float(ordered[above - 1])


@lru_cache(maxsize=256)  # a report asks for many intervals of the same number of values
def _ranks(n: int, share: float) -> tuple[int, int]:
    """Return how many ranks may be left out at the low end, and the first rank that is exceeded too rarely."""
    tail = (1 - CONFIDENCE) / 2

    def at_most(k: int) -> float:
        return binomial_cdf(k, n, share)

    return bisect_right(range(n), tail, key=at_most), bisect_left(range(n), 1 - tail, key=at_most) + 1


def fewest(share: float) -> int:
    """Return the fewest independent values that give `quantile_interval` an interval.

    With that many, both share^n and (1 - share)^n are at most 2.5 %.
    """
    return math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(max(share, 1 - share)))


def larger_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the exact one-sided p of the hypothesis that values of `second` are no larger than those of `first`.

    It is the share of all ways to deal the values into two groups of these sizes that give the second group a rank sum
    at least as high (Wilcoxon 1945; Mann and Whitney 1947). Ties get their mean rank.
    """
    pooled = np.concatenate([np.asarray(first, float), np.asarray(second, float)])
    _, place, counts = np.unique(pooled, return_inverse=True, return_counts=True)
    doubled = (2 * np.cumsum(counts) - counts + 1)[place.reshape(-1)]  # twice the mean rank of equal values
    chosen = len(second)
    total = int(doubled.sum())
    ways = np.zeros((chosen + 1, total + 1))
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : total + 1 - rank].copy()
    observed = int(doubled[len(first) :].sum())
    return float(ways[chosen, observed:].sum() / ways[chosen].sum())


def smallest_p(first: int, second: int) -> float:
    """Return the p of `larger_p` for groups of these sizes that do not overlap at all."""
    return 1 / math.comb(first + second, second)


def steady_after(times: Sequence[float], window: int = 10, within: float = 0.05) -> int | None:
    """Return the number of calls before calls reach their final speed; None if there are too few.

    From there on, the first call and the median of the first `window` calls exceed the median of the last half of all
    calls by at most the share `within`.
    """
    limit = (1 + within) * float(np.median(times[len(times) // 2 :]))
    for start in range(len(times) - window + 1):
        if times[start] <= limit and float(np.median(times[start : start + window])) <= limit:
            return start
    return None
