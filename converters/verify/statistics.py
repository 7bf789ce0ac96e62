"""Statistics of two models that read the same images; exact where that is cheap."""

from __future__ import annotations

import math

from edge_crnn.binomial import Interval, binomial_cdf, binomial_interval, lower_bound

__all__ = ["Interval", "binomial_cdf", "binomial_interval", "lower_bound", "mcnemar", "paired_change_interval"]

_Z95 = 1.959963984540054


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p of McNemar's test (1947), whose hypothesis is that both are equally accurate.

    Args:
        only_first: number of images that only the first model reads correctly.
        only_second: number of images that only the second model reads correctly.
    """
    discordant = only_first + only_second
    return min(1.0, 2 * binomial_cdf(min(only_first, only_second), discordant, 0.5))


def paired_change_interval(only_first: int, only_second: int, trials: int) -> Interval:
    """Return the 95 % interval of the change in accuracy from the first model to the second, in [-1, 1].

    This is the adjusted Wald interval of Bonett and Price (2012), which keeps its level for small counts too.
    """
    first = (only_first + 1) / (trials + 2)
    second = (only_second + 1) / (trials + 2)
    change = second - first
    margin = _Z95 * math.sqrt(max(first + second - change**2, 0) / (trials + 2))
    return max(change - margin, -1.0), min(change + margin, 1.0)
