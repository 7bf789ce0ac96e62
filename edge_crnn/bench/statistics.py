"""The statistics of repeated measurements: what a percentile is known to, and whether two runs differ.

Readings that follow each other are not independent of each other, which these methods suppose: what they give is
the least that must be doubted. A control, the same artifact measured twice, shows the rest.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..binomial import Interval, binomial_cdf

CONFIDENCE = 0.95
"""Confidence of every interval here, two-sided, with equal tails."""

MLPERF = {0.90: (64, 23_886), 0.99: (662, 262_742)}
"""Share → queries that MLPerf wants for it: the fewest from which it estimates that percentile (early stopping), and
those for 99 % confidence in it within 0.5 and 0.05 points. Source: MLPerf Inference Rules; its LoadGen,
early_stopping.cc."""


def quantile(values: npt.ArrayLike, share: float) -> float:
    """The smallest of the values that at least `share` of them do not exceed; always one that was measured."""
    return float(np.quantile(np.asarray(values), share, method="inverted_cdf"))


def quantile_interval(values: npt.ArrayLike, share: float) -> Interval | None:
    """Between which two of the values the true quantile lies, whatever their distribution; None: they are too few.

    By order statistics: the number of n independent values below the quantile is binomial (n, `share`).
    Source: David and Nagaraja, Order Statistics, 3rd edition 2003, section 7.1.
    """
    ordered = np.sort(np.asarray(values))
    n, tail = len(ordered), (1 - CONFIDENCE) / 2

    def at_most(k: int) -> float:
        return binomial_cdf(k, n, share)

    below = bisect_right(range(n), tail, key=at_most)  # so many ranks can be left out at the low end
    above = bisect_left(range(n), 1 - tail, key=at_most) + 1  # the first rank that is exceeded too rarely
    if below < 1 or above > n:
        return None
    return float(ordered[below - 1]), float(ordered[above - 1])


def fewest(share: float) -> int:
    """Independent values from which `quantile_interval` has one: both share^n and (1 - share)^n are at most 2.5 %."""
    return math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(max(share, 1 - share)))


def larger_p(first: Sequence[float], second: Sequence[float]) -> float:
    """One-sided p for: values of `second` are no larger than those of `first`; exact, ties included.

    The share of all ways to deal the values into two such groups that give the second a rank sum at least as high
    (Wilcoxon 1945; Mann and Whitney 1947), counted by the size of the group and its sum.
    """
    pooled = np.concatenate([np.asarray(first, float), np.asarray(second, float)])
    _, place, counts = np.unique(pooled, return_inverse=True, return_counts=True)
    doubled = (2 * np.cumsum(counts) - counts + 1)[place.reshape(-1)]  # twice the mean rank of equal values
    chosen, total = len(second), int(doubled.sum())
    ways = np.zeros((chosen + 1, total + 1))
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : total + 1 - rank].copy()
    observed = int(doubled[len(first) :].sum())
    return float(ways[chosen, observed:].sum() / ways[chosen].sum())


def smallest_p(first: int, second: int) -> float:
    """What `larger_p` gives for groups of these sizes that do not overlap at all."""
    return 1 / math.comb(first + second, second)


def steady_after(times: Sequence[float], window: int = 10, within: float = 0.05) -> int | None:
    """How many calls it took until calls are as fast as they stay; None: there are too few.

    The first of the others, and the median of the `window` calls that it begins, are at most so much above the median
    of the last half of all.
    """
    limit = (1 + within) * float(np.median(times[len(times) // 2 :]))
    for start in range(len(times) - window + 1):
        if times[start] <= limit and float(np.median(times[start : start + window])) <= limit:
            return start
    return None
