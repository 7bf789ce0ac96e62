"""The search for the smallest network, with a fake in place of the slimmer."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.graph.graph import Graph
from converters.slim.search import LEAST, least_same, smallest
from converters.slim.slim import Slimmed, Slimmer
from edge_crnn.errors import InputError


class Fake:
    """A slimmer whose graphs are shares, and which reaches no share below `fewest`."""

    def __init__(self, fewest: float = 0.0) -> None:
        self.fewest = fewest

    def slim(self, share: float) -> Slimmed:
        if share < self.fewest:
            raise InputError("too small")
        return Slimmed(cast(Graph, share), share, {})


def searched(needed: float, fewest: float = 0.0) -> tuple[Any, int]:
    """Search for a network where a share of `needed` suffices to read all of 100 images."""
    best, trials = smallest(cast(Slimmer, Fake(fewest)), lambda graph: 100 if cast(float, graph) >= needed else 99, 100)
    assert all((trial.same == 100) == (trial.share >= needed) for trial in trials)
    return best, len(trials)


@given(st.floats(LEAST, 0.9))
def test_the_share_is_at_most_7_percent_too_large(needed: float) -> None:
    best, _ = searched(needed)
    assert needed <= best.share <= 1.07 * needed


@pytest.mark.parametrize("fewest", [0.1, 0.5])
def test_shares_that_cannot_be_reached_are_passed_over(fewest: float) -> None:
    best, tried = searched(0.0, fewest)
    assert fewest <= best.share <= 1.07 * fewest
    assert tried < 6


def test_nothing_is_found_if_every_network_loses_texts() -> None:
    assert searched(1.1)[0] is None


def test_a_network_that_cannot_be_slimmed_is_the_error_of_the_slimmer() -> None:
    with pytest.raises(InputError, match="too small"):
        searched(0.0, fewest=1.0)


@pytest.mark.parametrize(
    ("images", "lose", "least"),
    [(100, 0, 100), (100, 1, 99), (99, 1, 99), (150, 18, 123), (100, 57, 43), (250, 16.4, 209), (7, 100, 0)],
)
def test_the_percentage_of_texts_is_counted_in_whole_images(images: int, lose: float, least: int) -> None:
    assert least_same(images, lose) == least
