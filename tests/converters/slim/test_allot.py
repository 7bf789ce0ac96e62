from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from converters.graph import oracle
from converters.graph.cost import multiplications
from converters.graph.nodes import Recurrent
from converters.slim.absorb import absorb
from converters.slim.allot import Work, allot, block, divergence, interpolated, kinds_of, measured_losses, removed_units
from converters.slim.observe import observe
from converters.slim.select import Ranking
from converters.slim.slim import ranking_of
from converters.slim.units import Group, Units, find_units
from edge_crnn.errors import InputError
from tests.budget import examples
from tests.converters.graph.made import KINDS, lstm, random_graph, values
from tests.converters.slim import networks

RANDOM = np.random.default_rng(1)


def ranked(units: Units, seed: int = 0) -> dict[Group, Ranking]:
    """Rank units in an arbitrary order; the error falls evenly."""
    random = np.random.default_rng(seed)
    return {
        group: Ranking(tuple(random.permutation(len(numbers)).tolist()), tuple(np.linspace(1, 0, len(numbers) + 1)))
        for group, numbers in units.groups.items()
    }


@pytest.mark.thorough
@settings(deadline=None, max_examples=examples(100))
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=10), st.integers(0, 2**32 - 1), st.data())
def test_work_is_counted_as_the_cost_of_the_graph(kinds: list[str], seed: int, data: st.DataObject) -> None:
    units = find_units(random_graph(kinds, seed))
    rankings = ranked(units, seed)
    assume(rankings)
    work = Work(units, rankings)
    whole = {group: len(ranking.order) for group, ranking in rankings.items()}
    counts = {group: data.draw(st.integers(1, count)) for group, count in whole.items()}
    assert work.count(whole) == multiplications(units.graph)
    assert work.count(counts) == multiplications(units.without(removed_units(units, rankings, counts)))
    group = data.draw(st.sampled_from(list(counts)))
    assert work.saved(whole, group, counts[group]) == work.count(whole) - work.count({**whole, group: counts[group]})


def recurrent_network(units: int = 4) -> Units:
    return find_units(networks.plain((lstm(RANDOM, 6, units), lstm(RANDOM, 6, units))))


def test_directions_keep_equally_many() -> None:
    units = recurrent_network(40)
    images = values(RANDOM, 30, *networks.SHAPE)
    ranking = ranking_of(units, ("recurrent",), observe(units, images))
    kinds = kinds_of(units, ("recurrent",))
    assert kinds.tolist() == [0] * 40 + [1] * 40
    assert block(units, ("recurrent",)) == 16
    removed = removed_units(units, {("recurrent",): ranking}, {("recurrent",): 48})
    node = units.without(removed).by_name["recurrent"]
    assert isinstance(node, Recurrent)
    assert [cell.units for _, cell in node.cells] == [24, 24]


@pytest.mark.parametrize("share", [1.0, 0.7, 0.4, 0.2])
def test_a_share_is_met_by_the_least_loss_per_multiplication(share: float) -> None:
    units = recurrent_network()
    rankings = ranked(units)
    losses = {group: np.array(ranking.errors) ** 2 for group, ranking in rankings.items()}
    counts = allot(units, rankings, losses, share)
    thinned = units.without(removed_units(units, rankings, counts))
    assert multiplications(thinned) <= share * multiplications(units.graph)
    if share == 1:
        assert counts == {group: len(ranking.order) for group, ranking in rankings.items()}


def test_groups_without_loss_go_first() -> None:
    units = recurrent_network()
    rankings = ranked(units)
    losses = {group: np.array(ranking.errors) for group, ranking in rankings.items()}
    losses["second",] = np.zeros(5)
    counts = allot(units, rankings, losses, 0.6)
    assert counts["second",] == 1


def test_a_share_out_of_reach_names_the_smallest() -> None:
    units = recurrent_network()
    rankings = ranked(units)
    losses = {group: np.array(ranking.errors) for group, ranking in rankings.items()}
    with pytest.raises(InputError, match=r"slimmed to 0\.001 .* (0\.\d+) are left") as raised:
        allot(units, rankings, losses, 0.001)
    smallest = float(str(raised.value).split(" are left")[0].split()[-1])
    fewest = allot(units, rankings, losses, smallest)
    assert fewest == {group: block(units, group) for group in rankings}


def test_measured_losses_grow_as_units_go() -> None:
    units = recurrent_network()
    images = values(RANDOM, 40, *networks.SHAPE)
    observation = observe(units, images)
    rankings = {group: ranking_of(units, group, observation) for group in units.groups}
    for group, losses in measured_losses(units, rankings, observation, images[:20]).items():
        assert losses[-1] == 0
        assert (np.diff(losses) <= 0).all()
        assert losses[len(units.groups[group]) // 2] > 0


def test_losses_are_those_of_the_thinned_graph_at_the_levels() -> None:
    units = recurrent_network(8)
    images = values(RANDOM, 40, *networks.SHAPE)
    observation = observe(units, images)
    group = ("recurrent",)
    rankings = {group: ranking_of(units, group, observation)}
    some = images[:20]  # more than are evaluated at once
    (losses,) = measured_losses(units, rankings, observation, some, levels=(1 / 2, 1 / 4)).values()
    expected = oracle.run(units.graph, some)
    for kept in (8, 4):
        thinned = absorb(units, removed_units(units, rankings, {group: kept}), observation)
        alone = divergence(expected, oracle.run(thinned, some)).mean()
        assert losses[kept] == pytest.approx(4 * alone, rel=1e-3)  # repair would lower the loss of a convolution


@pytest.mark.parametrize("power", [0.5, 2, 8])
def test_between_the_levels_losses_are_powers_of_the_error(power: float) -> None:
    """Beyond the levels, too, but there the power is from 1 to 4."""
    errors = np.linspace(1, 0, 17)
    losses = interpolated(
        Ranking(tuple(range(16)), tuple(errors)), {8: 0.01, 4: 0.01 * (errors[4] / errors[8]) ** power}
    )
    inside = slice(4, 9)
    np.testing.assert_allclose(losses[inside], 0.01 * (errors[inside] / errors[8]) ** power, rtol=1e-9)
    for outside, end in ((slice(0, 4), 4), (slice(9, 16), 8)):
        expected = losses[end] * (errors[outside] / errors[end]) ** np.clip(power, 1, 4)
        np.testing.assert_allclose(losses[outside], expected, rtol=1e-9)
    assert losses[16] == 0


def test_losses_that_noise_turns_round_do_not_fall() -> None:
    losses = interpolated(Ranking(tuple(range(16)), tuple(np.linspace(1, 0, 17))), {8: 0.02, 4: 0.01})
    assert (np.diff(losses) <= 0).all()
    assert losses[4] == pytest.approx(0.02)


def test_divergence_is_zero_for_equal_posteriors_and_positive_for_others() -> None:
    p = np.random.default_rng(2).dirichlet(np.ones(5), (3, 4)).astype(np.float32)
    assert divergence(p, p) == pytest.approx(0, abs=1e-9)
    assert (divergence(p, p[..., ::-1]) > 0).all()
