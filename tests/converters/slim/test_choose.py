from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.cost import multiplications
from converters.graph.graph import INPUT, Graph
from converters.slim.allot import Factorisations, Work, allot, divergence, measured_losses, removed_units
from converters.slim.choose import choose
from converters.slim.factor import Factorisation, Ranks, factor_names
from converters.slim.observe import Observation, observe
from converters.slim.repair import repair
from converters.slim.select import Ranking
from converters.slim.slim import factorisations_of, ranking_of
from converters.slim.units import Group, Units, find_units
from edge_crnn.errors import InputError
from tests.budget import examples
from tests.converters.graph.made import KINDS, lstm, random_graph, values
from tests.converters.keras.checks import assert_written_as_the_oracle
from tests.converters.slim import networks

RANDOM = np.random.default_rng(1)
IMAGES = values(RANDOM, 40, *networks.SHAPE)


def network() -> Graph:
    return networks.residual((lstm(np.random.default_rng(3), 6, 4), lstm(np.random.default_rng(4), 6, 4)))


def of_low_rank(graph: Graph, rank: int) -> Graph:
    """Return a graph whose convolutions inside the network have kernels of low ranks."""

    def lowered(node: n.Node) -> n.Node:
        if not isinstance(node, n.Conv) or node.kernel.shape[2] == 1:
            return node
        inside, out = node.kernel.shape[2:]
        random = np.random.default_rng(inside * out)
        core = values(random, 3, 3, rank, rank)
        kernel = values(random, inside, rank) @ core @ values(random, rank, out)
        return replace(node, kernel=kernel * (node.kernel.std() / kernel.std()))

    return Graph(graph.input_shape, tuple(map(lowered, graph.nodes)))


def looked_at(graph: Graph) -> tuple[Units, Observation, dict[Group, Ranking], Factorisations]:
    units = find_units(graph)
    observation = observe(units, IMAGES)
    rankings = {group: ranking_of(units, group, observation) for group in units.groups}
    factorisations = factorisations_of(units, observation)
    return units, observation, rankings | {key: item.ranking for key, item in factorisations.items()}, factorisations


def test_convolutions_of_low_rank_are_factorised_with_less_loss() -> None:
    units, observation, rankings, factorisations = looked_at(of_low_rank(network(), 2))
    losses = measured_losses(units, rankings, observation, IMAGES[:20], factorisations=factorisations)
    choice = choose(units, rankings, losses, 0.7, factorisations)
    assert choice.factorisations
    for group, item in choice.factorisations.items():
        assert min(item.path[choice.counts[group] - 1]) >= 2
        assert not any(item.node.name in other for other in choice.counts if other not in factorisations)
    thinned = {group: kept for group, kept in choice.counts.items() if group not in factorisations}
    removed = removed_units(units, {group: rankings[group] for group in thinned}, thinned)
    ranks = [(item, item.path[choice.counts[group] - 1]) for group, item in choice.factorisations.items()]
    small = repair(units, removed, IMAGES, observation, ranks=ranks)
    assert multiplications(small) <= 0.7 * multiplications(units.graph)
    of_units = {group: rankings[group] for group in units.groups}
    only_thinned = choose(units, of_units, losses, 0.7, {})
    removed = removed_units(units, of_units, only_thinned.counts)
    expected = oracle.run(units.graph, IMAGES)
    graphs = small, repair(units, removed, IMAGES, observation)
    mine, other = (divergence(expected, oracle.run(graph, IMAGES)).mean() for graph in graphs)
    assert mine < other


@pytest.mark.parametrize("make", [networks.plain, networks.residual, networks.depthwise, networks.joined])
def test_repaired_factors_of_full_rank_give_the_same(make: object) -> None:
    cells = lstm(np.random.default_rng(3), 6, 4), lstm(np.random.default_rng(4), 6, 4)
    units, observation, _, factorisations = looked_at(make(cells))  # type: ignore[operator]
    assert factorisations
    ranks = [(item, Ranks(*item.node.kernel.shape[2:])) for item in factorisations.values()]
    small = repair(units, set(), IMAGES, observation, ranks=ranks)
    np.testing.assert_allclose(oracle.run(small, IMAGES), oracle.run(units.graph, IMAGES), atol=2e-3)


def test_repair_lowers_the_error_of_factors() -> None:
    units, observation, _, factorisations = looked_at(network())
    item = next(item for item in factorisations.values() if item.node.name == "last")
    expected = oracle.run(units.graph, IMAGES)
    small = repair(units, set(), IMAGES, observation, ranks=[(item, Ranks(3, 3))])
    assert [node.name for node in small.nodes if node.name.startswith("last")] == [*item.names, "last"]
    repaired, closed = (
        divergence(expected, oracle.run(g, IMAGES)).mean() for g in (small, item.applied(units.graph, Ranks(3, 3)))
    )
    assert repaired < closed


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8), st.integers(0, 2**32 - 1), st.data())
def test_work_is_counted_as_the_cost_of_the_factorised_graph(kinds: list[str], seed: int, data: st.DataObject) -> None:
    units = find_units(random_graph(kinds, seed))
    observation = observe(units, values(np.random.default_rng(seed), 4, *units.graph.input_shape))
    factorisations = factorisations_of(units, observation)
    graph = units.graph
    counts = {}
    for group, item in factorisations.items():
        assert multiplications(item.applied(units.graph, item.path[-1])) < multiplications(units.graph)
        counts[group] = data.draw(st.integers(1, len(item.path)))
        graph = item.applied(graph, item.path[counts[group] - 1])
    assert Work(units, {}, factorisations).count(counts) == multiplications(graph)


def test_a_step_along_a_path_that_saves_nothing_is_skipped() -> None:
    """With 24 of 128 input channels, the twelfth ranks on this path need as much as the eleventh."""
    random = np.random.default_rng(55)
    wide = n.Conv("a", values(random, 3, 3, 1, 128), np.zeros(128, np.float32), pads=networks.SAME, inputs=(INPUT,))
    kernel = values(np.random.default_rng(55), 3, 3, 128, 128)
    node = replace(wide, name="b", kernel=kernel, inputs=("a",))
    dense = n.Dense("d", values(random, 128, 5), np.zeros(5, np.float32), inputs=("s",))
    shaped = n.Reshape("s", (32, 128), inputs=("b",))
    units = find_units(Graph((4, 8, 1), (wide, node, shaped, dense, n.Softmax("p", inputs=("d",)))))
    inside, outside = (np.diag(np.exp(-np.arange(128) * rate)) for rate in (0.03, 0.01))
    item = Factorisation(node, (4, 8, 128), factor_names(node), inside, np.zeros(128), outside)
    group, core = ("a",), (item.names.core,)
    rankings = {group: Ranking(tuple(range(128)), tuple(np.linspace(1, 0, 129))), core: item.ranking}
    losses = {group: np.where(np.arange(129) < 24, 1e6, 0.0), core: np.array(item.ranking.errors)}
    work = Work(units, rankings, {core: item})
    assert work.count({group: 24, core: 12}) == work.count({group: 24, core: 11})
    share = work.count({group: 24, core: 5}) / multiplications(units.graph)
    assert allot(units, rankings, losses, share, {core: item})[group] == 24


def test_the_better_of_thinning_and_factorising_is_chosen() -> None:
    units, _, rankings, factorisations = looked_at(network())
    losses = {group: 1 - np.linspace(0, 1, len(ranking.order) + 1) for group, ranking in rankings.items()}
    without = {group: np.zeros_like(loss) if group not in factorisations else loss for group, loss in losses.items()}
    assert not choose(units, rankings, without, 0.5, factorisations).factorisations
    free = {group: np.zeros_like(loss) if group in factorisations else 100 * loss for group, loss in losses.items()}
    choice = choose(units, rankings, free, 0.5, factorisations)
    assert choice.factorisations
    assert sum(free[group][kept] for group, kept in choice.counts.items()) == 0


def test_the_whole_network_is_not_factorised() -> None:
    units, observation, rankings, factorisations = looked_at(network())
    losses = measured_losses(units, rankings, observation, IMAGES[:20], factorisations=factorisations)
    choice = choose(units, rankings, losses, 1, factorisations)
    assert not choice.factorisations
    assert choice.counts == {group: len(numbers) for group, numbers in units.groups.items()}


def test_a_share_out_of_reach_names_that_of_the_thinned_network() -> None:
    units, _, rankings, factorisations = looked_at(network())
    losses = {group: np.array(ranking.errors) for group, ranking in rankings.items()}
    with pytest.raises(InputError, match="ask for that or more"):
        choose(units, rankings, losses, 0.001, factorisations)


def test_a_factorised_network_is_written_by_keras(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    units, observation, _, factorisations = looked_at(network())
    ranks = [(item, Ranks(2, 3)) for item in factorisations.values()]
    small = repair(units, set(), IMAGES, observation, ranks=ranks)
    read = assert_written_as_the_oracle(small, tmp_path / "small.keras")
    assert {"last_first", "last_core", "last"} <= read.by_name.keys()


def test_a_rank_is_at_most_that_of_the_convolution_with_fewer_inputs() -> None:
    units, observation, rankings, factorisations = looked_at(network())
    item = next(item for item in factorisations.values() if item.node.name == "back")
    channels = ("inner",)
    removed = removed_units(units, {channels: rankings[channels]}, {channels: 1})
    small = repair(units, removed, IMAGES, observation, ranks=[(item, Ranks(*item.node.kernel.shape[2:]))])
    assert small.shapes[item.names.first][-1] == 1
    assert np.isfinite(oracle.run(small, IMAGES)).all()
