from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from converters.graph import oracle
from converters.graph.cells import Cell
from converters.graph.graph import Graph
from converters.slim.absorb import absorb
from converters.slim.observe import observe
from converters.slim.repair import fit, fit_factors, repair
from converters.slim.units import find_units
from tests.budget import examples
from tests.converters.graph.made import KINDS, gru, lstm, random_graph, values
from tests.converters.slim import networks

CELLS: dict[str, Callable[[np.random.Generator], Cell]] = {
    "lstm": lambda random: lstm(random, 6, 4),
    "gru": lambda random: gru(random, 6, 4),
    "gru without inner bias": lambda random: gru(random, 6, 4, False),
}


def test_least_squares_with_a_bias() -> None:
    random = np.random.default_rng(1)
    x = values(random, 400, 5) + 3
    kernel, bias = values(random, 5, 2), values(random, 2)
    fitted, offset = fit(x, x @ kernel + bias, np.zeros((5, 2), np.float32))
    np.testing.assert_allclose(fitted, kernel, atol=0.05)
    np.testing.assert_allclose(x @ fitted + offset, x @ kernel + bias, atol=0.05)


@pytest.mark.parametrize(("activation", "upper"), [("relu", np.inf), ("relu6", 6)])
def test_a_fit_before_a_relu_cares_for_what_passes_it(activation: object, upper: float) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(2000, 6)).astype(np.float32)
    target = (3 * x @ values(random, 6, 4) + random.normal(size=4)).astype(np.float32)
    start = np.zeros((5, 4), np.float32)

    def error(fitted: tuple[np.ndarray, np.ndarray]) -> float:
        kernel, bias = fitted
        return float(np.square(np.clip(x[:, :5] @ kernel + bias, 0, upper) - np.clip(target, 0, upper)).mean())

    assert error(fit(x[:, :5], target, start, activation)) < 0.97 * error(fit(x[:, :5], target, start))  # type: ignore[arg-type]


def test_an_input_that_does_not_vary_leaves_the_kernel_and_fits_the_bias() -> None:
    random = np.random.default_rng(1)
    x, kernel, target = np.ones((50, 3), np.float32), values(random, 3, 2), values(random, 50, 2)
    fitted, bias = fit(x, target, kernel)
    np.testing.assert_allclose(fitted, kernel, atol=1e-6)
    np.testing.assert_allclose(x[0] @ fitted + bias, target.mean(axis=0), atol=1e-5)
    first, last, bias = fit_factors(x, target, kernel, 1)
    np.testing.assert_allclose(x[0] @ first @ last + bias, target.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("activation", ["linear", "relu", "relu6"])
@pytest.mark.parametrize("rank", [1, 3, 5])
def test_factors_fit_as_well_as_any_kernel_of_their_rank(rank: int, activation: object) -> None:
    random = np.random.default_rng(1)
    upper = {"linear": np.inf, "relu": np.inf, "relu6": 6}[str(activation)]
    lower = -np.inf if activation == "linear" else 0
    x = random.normal(size=(2000, 6)).astype(np.float32) + 1
    target = (x @ values(random, 6, 5) + values(random, 5) + 0.1 * random.normal(size=(2000, 5))).astype(np.float32)
    first, last, bias = fit_factors(x, target, np.zeros((6, 5), np.float32), rank, activation)  # type: ignore[arg-type]
    assert first.shape == (6, rank)
    assert last.shape == (rank, 5)
    assert np.isfinite(first).all()
    kernel, offset = fit(x, target, np.zeros((6, 5), np.float32), activation)  # type: ignore[arg-type]
    directions = np.linalg.svd((x - x.mean(axis=0)) @ kernel, full_matrices=False)[2][:rank].T
    cut = kernel @ directions @ directions.T
    centred = offset + x.mean(axis=0) @ (kernel - cut)

    def error(weights: np.ndarray, constant: np.ndarray) -> float:
        return float(np.square(np.clip(x @ weights + constant, lower, upper) - np.clip(target, lower, upper)).mean())

    assert error(first @ last, bias) <= 1.0001 * error(cut, centred)


def cells(make: Callable[[np.random.Generator], Cell]) -> tuple[Cell, Cell]:
    random = np.random.default_rng(3)
    return make(random), make(random)


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS.keys())
@pytest.mark.parametrize(
    "network",
    [
        networks.plain, networks.residual, networks.depthwise, networks.joined,
        lambda both: networks.plain(both, "sum"), lambda both: networks.plain((both[0], None)),
        lambda both: networks.plain((None, both[1])),
    ],
    ids=["plain", "residual", "depthwise", "joined", "summed", "forward", "backward"],
)  # fmt: skip
def test_copies_go_without_loss(network: Callable[[tuple[Cell, Cell]], Graph], make: Callable[..., Cell]) -> None:
    units = find_units(networks.doubled(find_units(network(cells(make)))))
    images = values(np.random.default_rng(4), 40, *networks.SHAPE)
    removed = networks.every_other(units)
    expected = oracle.run(units.graph, images)
    assert abs(oracle.run(units.without(removed), images) - expected).max() > 0.02
    observation = observe(units, images)
    np.testing.assert_allclose(oracle.run(absorb(units, removed, observation), images), expected, atol=2e-4)
    repaired = repair(units, removed, images, observation)
    np.testing.assert_allclose(oracle.run(repaired, images), expected, atol=2e-3)


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS.keys())
def test_repair_lowers_the_error(make: Callable[..., Cell]) -> None:
    units = find_units(networks.plain(cells(make)))
    images = values(np.random.default_rng(5), 80, *networks.SHAPE)
    removed = {units.groups["first",][0], units.groups["second",][3], units.groups["recurrent",][1]}
    expected = oracle.run(units.graph, images)
    observation = observe(units, images)
    graphs = units.without(removed), absorb(units, removed, observation), repair(units, removed, images, observation)
    cut, absorbed, repaired = (abs(oracle.run(graph, images) - expected).mean() for graph in graphs)
    assert repaired < absorbed < cut


@pytest.mark.parametrize(("cell", "most"), [("lstm", 0.7), ("gru", 0.4), ("gru without inner bias", 0.25)])
def test_a_recurrent_layer_is_repaired_if_only_its_own_units_go(cell: str, most: float) -> None:
    """The mean square error of its states falls to a share of that after `absorb`."""
    units = find_units(networks.plain(cells(CELLS[cell])))
    images = values(np.random.default_rng(5), 80, *networks.SHAPE)
    removed = set(units.groups["recurrent",][::4])
    observation = observe(units, images)
    kept = units.places("recurrent", 1, removed)

    def states(graph: Graph) -> np.ndarray:
        seen: dict[str, np.ndarray] = {}
        oracle.run(graph, images, lambda *pair: seen.update([pair]))
        return seen["recurrent"]

    graphs = absorb(units, removed, observation), repair(units, removed, images, observation)
    absorbed, repaired = (np.square(states(graph) - states(units.graph)[..., kept]).mean() for graph in graphs)
    assert repaired < most * absorbed


@pytest.mark.thorough
@settings(deadline=None, max_examples=examples(60))
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8), st.integers(0, 2**32 - 1), st.data())
def test_any_graph_is_repaired_to_what_is_left_of_its_shape(kinds: list[str], seed: int, data: st.DataObject) -> None:
    units = find_units(random_graph(kinds, seed))
    groups = [numbers for numbers in units.groups.values() if len(numbers) > 1]
    assume(groups)
    removed = {number for numbers in groups for number in data.draw(st.sets(st.sampled_from(numbers[1:])))}
    images = values(np.random.default_rng(seed), 5, *units.graph.input_shape)
    observation = observe(units, images)
    repaired = repair(units, removed, images, observation)
    assert repaired.shapes == units.without(removed).shapes
    assert np.isfinite(oracle.run(repaired, images)).all()


@settings(deadline=None, max_examples=examples(30))
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
@example(["reduce", "transposed"], 0)
def test_nothing_removed_changes_nothing(kinds: list[str], seed: int) -> None:
    units = find_units(random_graph(kinds, seed))
    images = values(np.random.default_rng(seed), 3, *units.graph.input_shape)
    same = repair(units, set(), images, observe(units, images))
    np.testing.assert_array_equal(oracle.run(same, images), oracle.run(units.graph, images))
