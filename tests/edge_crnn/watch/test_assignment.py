"""The fast assignment costs what the best of all assignments costs."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.watch.assignment import assign

MOST = 1.0
COSTS = st.one_of(st.just(math.inf), st.floats(0, 2), st.sampled_from([0.0, 0.5, 1.0]))


@st.composite
def tables(draw: st.DrawFn) -> list[list[float]]:
    rows, columns = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    return [[draw(COSTS) for _ in range(columns)] for _ in range(rows)]


def total(costs: list[list[float]], pairs: list[tuple[int, int]]) -> float:
    return sum(costs[row][column] for row, column in pairs) + MOST * (len(costs) - len(pairs))


def least_of_all(costs: list[list[float]]) -> float:
    """Try every assignment of rows to columns or to nothing."""
    columns = range(len(costs[0]) if costs else 0)
    best = math.inf
    for choice in itertools.product([None, *columns], repeat=len(costs)):
        taken = [column for column in choice if column is not None]
        if len(taken) == len(set(taken)):
            pairs = [(row, column) for row, column in enumerate(choice) if column is not None]
            best = min(best, total(costs, pairs))
    return best


@given(tables())
def test_it_costs_what_the_best_of_all_assignments_costs(costs: list[list[float]]) -> None:
    pairs = assign(costs, MOST)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(costs[row][column] <= MOST for row, column in pairs)
    assert math.isclose(total(costs, pairs), least_of_all(costs), abs_tol=1e-6)
