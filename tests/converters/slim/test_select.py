from __future__ import annotations

import numpy as np
import pytest

from converters.slim.select import rank

Sum = tuple[np.ndarray, np.ndarray]
"""Values (rows, units) and weights (units, sums)."""


def slow_rank(sums: list[Sum], kinds: list[int]) -> tuple[list[int], list[float]]:
    """Rank units by solving least squares for every candidate anew."""
    totals = [np.sum((values @ weights) ** 2) for values, weights in sums]
    order: list[int] = []
    errors = [1.0]

    def error(units: list[int]) -> float:
        shares = []
        for (values, weights), total in zip(sums, totals, strict=True):
            kept = values[:, units]
            fit = kept @ np.linalg.lstsq(kept, values, rcond=None)[0]
            shares.append(np.sum(((values - fit) @ weights) ** 2) / total)
        return float(np.mean(shares))

    while len(order) < len(kinds):
        left = sorted(set(range(len(kinds))) - set(order))
        picked = [sum(kinds[unit] == kinds[other] for other in order) for unit in left]
        turn = [unit for unit, count in zip(left, picked, strict=True) if count == min(picked)]
        order.append(min(turn, key=lambda unit: error([*order, unit])))
        errors.append(error(order))
    return order, errors


def products(sums: list[Sum]) -> list[Sum]:
    return [(values.T @ values, weights @ weights.T) for values, weights in sums]


@pytest.mark.parametrize("kinds", [[0] * 7, [0, 1, 0, 1, 0, 1, 0]])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_ranking_against_least_squares(seed: int, count: int, kinds: list[int]) -> None:
    random = np.random.default_rng(seed)
    sums = [
        (random.normal(size=(60, 7)) @ random.normal(size=(7, 7)), random.normal(size=(7, 4))) for _ in range(count)
    ]
    ranking = rank(products(sums), np.array(kinds))
    order, errors = slow_rank(sums, kinds)
    assert list(ranking.order) == order
    np.testing.assert_allclose(ranking.errors, errors, atol=1e-6)


def test_copies_and_dead_units_come_last() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(50, 3))
    values = np.concatenate([values, 2 * values[:, :1], np.zeros((50, 1))], axis=1)
    ranking = rank([(values.T @ values, np.eye(5))])
    assert ranking.errors[3] == pytest.approx(0, abs=1e-9)
    assert set(ranking.order[3:]) <= {0, 3, 4}
    assert sorted(ranking.order) == list(range(5))


def test_units_that_nobody_uses_come_last() -> None:
    values = np.random.default_rng(2).normal(size=(50, 4))
    weights = np.array([[0.0], [1.0], [0.0], [1.0]])
    ranking = rank(products([(values, weights)]))
    assert set(ranking.order[:2]) == {1, 3}


def test_units_without_variance_are_ranked_all_the_same() -> None:
    ranking = rank([(np.zeros((3, 3)), np.eye(3))])
    assert sorted(ranking.order) == [0, 1, 2]
    assert ranking.errors[-1] == 0
