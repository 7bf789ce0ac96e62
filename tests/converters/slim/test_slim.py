from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.cost import multiplications
from converters.graph.graph import Graph
from converters.slim import slim as module
from converters.slim.allot import divergence
from converters.slim.slim import Slimmer
from converters.slim.units import find_units
from edge_crnn.errors import DatasetError, InputError
from tests.budget import examples
from tests.converters.graph.made import KINDS, gru, lstm, random_graph, values
from tests.converters.slim import networks


def reader(graph: Graph, sharpness: float = 8) -> Graph:
    """Return a graph whose posteriors are sharp."""
    classes = graph.by_name["classes"]
    assert isinstance(classes, n.Dense)
    sharp = replace(classes, kernel=classes.kernel * np.float32(sharpness))
    return Graph(graph.input_shape, tuple(sharp if node is classes else node for node in graph.nodes))


def network(kind: object = lstm, units: int = 8, sharpness: float = 8) -> Graph:
    random = np.random.default_rng(1)
    cells = kind(random, 6, units), kind(random, 6, units)  # type: ignore[operator]
    return reader(networks.residual(cells), sharpness)


def pictures(count: int = module.MIN_IMAGES) -> np.ndarray:
    return values(np.random.default_rng(2), count, *networks.SHAPE)


@pytest.mark.parametrize("kind", [lstm, gru])
def test_a_network_of_copies_is_halved_without_loss(kind: object) -> None:
    graph = networks.doubled(find_units(network(kind)))
    images = pictures()
    least = multiplications(find_units(graph).without(networks.every_other(find_units(graph)))) / multiplications(graph)
    slimmed = Slimmer(graph, images).slim(1.05 * least)
    assert slimmed.share <= 1.05 * least
    assert slimmed.share == multiplications(slimmed.graph) / multiplications(graph)
    loss = divergence(oracle.run(graph, images), oracle.run(slimmed.graph, images))
    assert loss.mean() < 1e-3


@pytest.mark.parametrize("share", [0.9, 0.6, 0.4, 0.2])
def test_channels_of_several_groups_stay_whole_together(share: float) -> None:
    random = np.random.default_rng(1)
    graph = reader(networks.branched((lstm(random, 6, 8), lstm(random, 6, 8))))
    images = pictures()
    slimmed = Slimmer(graph, images).slim(share)
    assert slimmed.share <= share
    assert np.isfinite(oracle.run(slimmed.graph, images)).all()


@settings(deadline=None, max_examples=examples(40))
@given(st.lists(st.sampled_from([*KINDS, "conv", "conv"]), min_size=2, max_size=9), st.integers(0, 2**32 - 1))
def test_any_network_is_slimmed_to_a_share_or_the_smallest_is_named(kinds: list[str], seed: int) -> None:
    graph = random_graph(kinds, seed)
    assume(0 < multiplications(graph) < 3e6)
    images = values(np.random.default_rng(seed), 5, *graph.input_shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MIN_IMAGES", 4)
        patch.setattr(module, "_require_text", lambda _: None)
        slimmer = Slimmer(graph, images)
        for share in (0.6, 0.2):
            try:
                slimmed = slimmer.slim(share)
            except InputError:
                continue
            assert slimmed.share <= share
            assert slimmed.graph.shapes[slimmed.graph.output] == graph.shapes[graph.output]
            assert np.isfinite(oracle.run(slimmed.graph, images)).all()


@pytest.mark.parametrize("make", [networks.with_constant, networks.split, networks.shuffled])
def test_a_network_becomes_as_small_as_the_message_says(make: Callable[..., Graph]) -> None:
    random = np.random.default_rng(1)
    slimmer = Slimmer(reader(make((lstm(random, 6, 4), lstm(random, 6, 4)))), pictures())
    with pytest.raises(InputError, match="ask for that or more") as raised:
        slimmer.slim(0.001)
    fewest = float(str(raised.value).split(" are left")[0].split()[-1])
    for share in (0.6, fewest):
        small = slimmer.slim(share)
        assert small.share <= share
        assert np.isfinite(oracle.run(small.graph, pictures())).all()


def test_all_multiplications_are_the_network_itself() -> None:
    graph = network()
    images = pictures()
    slimmed = Slimmer(graph, images).slim(1)
    assert slimmed.share == 1
    np.testing.assert_array_equal(oracle.run(slimmed.graph, images), oracle.run(graph, images))


def test_the_loss_grows_as_the_share_falls_and_a_seed_gives_the_same_bits() -> None:
    graph = network()
    images = pictures(100)
    slimmer = Slimmer(graph, images, seed=3)
    expected = oracle.run(graph, images)
    slimmed = [slimmer.slim(share) for share in (0.8, 0.5, 0.25)]
    losses = [divergence(expected, oracle.run(small.graph, images)).mean() for small in slimmed]
    assert losses == sorted(losses)
    again = Slimmer(graph, images, seed=3).slim(0.5)
    assert again.kept == slimmed[1].kept
    for mine, other in zip(again.graph.nodes, slimmed[1].graph.nodes, strict=True):
        for first, second in zip(mine.weights, other.weights, strict=True):
            np.testing.assert_array_equal(first, second)


def test_what_is_kept_is_named_by_the_layers() -> None:
    slimmed = Slimmer(network(), pictures()).slim(0.5)
    assert {name: of for name, (_, of) in slimmed.kept.items()} == {
        "first+back": 4, "inner": 6, "last": 4, "narrow": 6, "recurrent": 16,
    }  # fmt: skip
    assert slimmed.graph.by_name["inner"].weights[0].shape[-1] == slimmed.kept["inner"][0]


@pytest.mark.parametrize("share", [0, -0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="above 0 and at most 1"):
        Slimmer(network(), pictures()).slim(share)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DatasetError, match=f"{module.MIN_IMAGES - 1} images .* at least {module.MIN_IMAGES}"):
        Slimmer(network(), pictures(module.MIN_IMAGES - 1)).slim(0.5)


def test_images_that_the_model_cannot_read_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"cannot read .* confidence is 0\."):
        Slimmer(network(sharpness=0.1), pictures()).slim(0.5)


def test_progress_says_what_is_done() -> None:
    lines: list[str] = []
    Slimmer(network(), pictures(), progress=lines.append).slim(0.5)
    text = "\n".join(lines)
    assert f"of {module.MIN_IMAGES} images" in text
    assert re.search(r"loses: (\d+) of \1$", text, re.MULTILINE)
    assert "10 of 10 layers" in text
