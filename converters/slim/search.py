"""Finds the smallest network that still reads the same text."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from edge_crnn.errors import InputError

from ..graph.graph import Graph
from .slim import Slimmed, Slimmer

LEAST = 0.02
"""Smallest share of the multiplications that is looked for."""
_ROUNDS = 6
"""Number of shares that are tried; neighbouring ones then differ by a factor of (1 / LEAST) ** 2 ** -6, or 6 %."""


@dataclass(frozen=True)
class Trial:
    """A network that was tried."""

    share: float
    """Its share of the multiplications."""
    same: int
    """Number of images on which it reads the text of the whole network."""


def least_same(images: int, lose: float) -> int:
    """Return on how many images the text must stay the same if `lose` percent of the texts may change."""
    return images - math.floor(images * lose / 100 + 1e-9)  # a product such as 56.99999999999999 means 57


def smallest(slimmer: Slimmer, count_same: Callable[[Graph], int], least: int) -> tuple[Slimmed | None, list[Trial]]:
    """Find the smallest network that reads the same text on at least `least` images.

    Shares are bisected by their logarithm, as if a larger network never read worse than a smaller one.

    Args:
        slimmer: slims the whole network.
        count_same: returns the number of images on which a graph reads the text of the whole network.
        least: number of images.

    Returns:
        The smallest network that was tried and holds, or None; and all that were tried.

    Raises:
        InputError: no share that is looked for can be reached.
    """
    trials: list[Trial] = []
    unreached: InputError | None = None
    best: Slimmed | None = None
    low = LEAST
    high = 1.0
    for _ in range(_ROUNDS):
        share = math.sqrt(low * high)
        try:
            slimmed = slimmer.slim(share)
        except InputError as error:  # even the fewest units need more multiplications
            unreached = error
            low = share
            continue
        trials.append(Trial(slimmed.share, count_same(slimmed.graph)))
        if trials[-1].same >= least:
            best = slimmed
            high = slimmed.share
        else:
            low = share
        if high <= low:
            break
    if unreached is not None and not trials:
        raise unreached
    return best, trials
