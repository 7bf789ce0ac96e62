"""Exact bounds of a proportion, from successes and trials."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

Interval = tuple[float, float]


def binomial_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Return the two-sided interval of a proportion (Clopper and Pearson 1934); (0, 1) without a trial."""
    tail = (1 - confidence) / 2
    return lower_bound(successes, trials, 1 - tail), 1 - lower_bound(trials - successes, trials, 1 - tail)


@lru_cache(maxsize=1024)  # a report and a search ask for the same bounds again and again
def lower_bound(successes: int, trials: int, confidence: float = 0.95) -> float:
    """Return the one-sided lower bound of a proportion, at which so many successes or more become too unlikely.

    Without a failure it is (1 - confidence)^(1/n), close to 1 - 3/n at 95 % (Hanley and Lippman-Hand 1983).
    """
    if successes == 0:
        return 0.0
    failures = trials - successes
    low = 0.0
    high = 1.0
    for _ in range(60):  # halves the bracket to below the spacing of doubles near 1
        middle = (low + high) / 2
        if binomial_cdf(failures, trials, 1 - middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def binomial_cdf(most: int, trials: int, chance: float) -> float:
    """Return P(X <= most) for X successes in `trials`, each of which succeeds with probability `chance`."""
    if most >= trials or chance <= 0:
        return 1.0
    if chance >= 1:
        return 0.0
    k = np.arange(1, most + 1)
    ratios = np.log((trials + 1 - k) / k) + (math.log(chance) - math.log1p(-chance))  # of P(X = k) to P(X = k - 1)
    logs = trials * math.log1p(-chance) + np.concatenate([[0.0], np.cumsum(ratios)])
    return min(1.0, float(np.exp(logs).sum()))
