"""The statistics of two readers on the same images, exact where that is cheap."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

Interval = tuple[float, float]

_Z95 = 1.959963984540054


def binomial_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Two-sided interval of a proportion (Clopper and Pearson 1934); (0, 1) where there was no trial."""
    tail = (1 - confidence) / 2
    return lower_bound(successes, trials, 1 - tail), 1 - lower_bound(trials - successes, trials, 1 - tail)


def lower_bound(successes: int, trials: int, confidence: float = 0.95) -> float:
    """One-sided lower bound of a proportion: the one at which so many successes or more are just too unlikely.

    Without a failure it is (1 - confidence)^(1/n), close to 1 - 3/n at 95 % (Hanley and Lippman-Hand 1983).
    """
    if successes == 0:
        return 0.0
    failures = trials - successes
    low, high = 0.0, 1.0
    for _ in range(60):  # halves the bracket to below the spacing of doubles near 1
        middle = (low + high) / 2
        if binomial_cdf(failures, trials, 1 - middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def binomial_cdf(most: int, trials: int, chance: float) -> float:
    """P(X <= most) for X successes in `trials`, each with `chance`."""
    if most >= trials or chance <= 0:
        return 1.0
    if chance >= 1:
        return 0.0
    k = np.arange(most + 1)
    logs = _log_choose(trials)[: most + 1] + k * math.log(chance) + (trials - k) * math.log1p(-chance)
    return min(1.0, float(np.exp(logs).sum()))


@functools.lru_cache(maxsize=4)
def _log_choose(trials: int) -> npt.NDArray[np.float64]:
    """The logarithm of `trials` over k, for k from 0 to `trials`."""
    factorials = np.array([math.lgamma(k + 1) for k in range(trials + 1)])
    return np.asarray(factorials[-1] - factorials - factorials[::-1])


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p of McNemar's test (1947), for: the two are equally often the only one that is right."""
    discordant = only_first + only_second
    return min(1.0, 2 * binomial_cdf(min(only_first, only_second), discordant, 0.5))


def paired_change_interval(only_first: int, only_second: int, trials: int) -> Interval:
    """95 % interval of the second's proportion right less the first's, on the same trials.

    Adjusted Wald interval of Bonett and Price 2012, which holds its level for small counts too.
    """
    first, second = (only_first + 1) / (trials + 2), (only_second + 1) / (trials + 2)
    change = second - first
    margin = _Z95 * math.sqrt(max(first + second - change**2, 0) / (trials + 2))
    return max(change - margin, -1.0), min(change + margin, 1.0)
