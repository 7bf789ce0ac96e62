from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.cost import multiplications
from converters.graph.graph import INPUT, Graph
from converters.slim.factor import Factorisation, Ranks, can_be_factorised, factor_names, rotation
from converters.slim.observe import observe
from converters.slim.units import find_units
from tests.budget import examples
from tests.converters.graph.made import values

PAIR = st.tuples(st.integers(1, 2), st.integers(1, 2))
PADS = st.tuples(st.tuples(st.integers(0, 2), st.integers(0, 2)), st.tuples(st.integers(0, 2), st.integers(0, 2)))
SHAPE = (9, 11)
"""Rows and columns of the images."""


@st.composite
def convolutions(draw: st.DrawFn) -> n.Conv:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 3)), draw(st.integers(2, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    return n.Conv(
        "conv",
        values(random, *shape),
        values(random, shape[-1]),
        draw(PAIR),
        draw(PADS),
        draw(PAIR),
        activation=draw(st.sampled_from(["linear", "relu", "relu6"])),
        inputs=(INPUT,),
    )


def covariance(size: int) -> np.ndarray:
    """Return an arbitrary covariance."""
    mix = np.random.default_rng(size).normal(size=(size, size))
    return np.asarray(mix @ mix.T + np.eye(size))


def factorised(node: n.Conv, inside: np.ndarray | None = None) -> Factorisation:
    """Return a factorisation weighted by arbitrary covariances."""
    channels, out = node.kernel.shape[2:]
    if inside is None:
        inside = covariance(channels)
    return Factorisation(node, (*SHAPE, channels), factor_names(node), inside, np.ones(channels), covariance(out))


def in_input(node: n.Conv) -> tuple[Graph, np.ndarray]:
    """Return a graph of a convolution alone, and images."""
    shape = (*SHAPE, node.kernel.shape[2])
    return Graph(shape, (node,)), values(np.random.default_rng(7), 3, *shape)


@settings(deadline=None, max_examples=examples(60))
@given(convolutions())
def test_factors_of_full_rank_equal_the_convolution(node: n.Conv) -> None:
    graph, images = in_input(node)
    factorisation = factorised(node)
    split = factorisation.applied(graph, Ranks(*node.kernel.shape[2:]))
    assert [part.name for part in split.nodes] == ["conv:first", "conv:core", "conv"]
    np.testing.assert_allclose(oracle.run(split, images), oracle.run(graph, images), atol=1e-3)


@settings(deadline=None, max_examples=examples(60))
@given(convolutions(), st.data())
def test_the_work_is_that_of_the_factors(node: n.Conv, data: st.DataObject) -> None:
    graph, _ = in_input(node)
    factorisation = factorised(node)
    ranks = Ranks(*(data.draw(st.integers(1, size)) for size in node.kernel.shape[2:]))
    assert factorisation.work(ranks) == multiplications(factorisation.applied(graph, ranks))
    assert factorisation.whole_work == multiplications(graph)


@settings(deadline=None, max_examples=examples(60))
@given(convolutions())
def test_no_other_ranks_lose_less_for_as_few_multiplications_as_the_path(node: n.Conv) -> None:
    factorisation = factorised(node)
    errors = factorisation.ranking.errors
    inside, outside = (reference_losses(node, factorisation, side) for side in ("inside", "outside"))
    path = [
        (factorisation.work(ranks), (inside[ranks.first] + outside[ranks.last]) / 2) for ranks in factorisation.path
    ]
    assert [error for _, error in path] == pytest.approx(list(errors[1:-1]), abs=1e-4)
    assert errors[-1] == 0
    assert all(before[0] < after[0] and before[1] > after[1] - 1e-6 for before, after in pairwise(path))
    slopes = [(before[1] - after[1]) / (after[0] - before[0]) for before, after in pairwise(path)]
    assert all(before >= after - 1e-6 for before, after in pairwise(slopes))
    for first in range(1, node.kernel.shape[2]):
        for last in range(1, node.kernel.shape[3]):
            ranks = Ranks(first, last)
            work = factorisation.work(ranks)
            if work < factorisation.whole_work:
                assert path
                assert (inside[first] + outside[last]) / 2 >= on_line(path, work) - 1e-4


def reference_losses(node: n.Conv, factorisation: Factorisation, side: str) -> list[float]:
    """Return the share of the variance that every rank loses, from singular values."""
    if side == "outside":
        variances = np.linalg.svd(factorisation.output_covariance, compute_uv=False)
    else:
        kernel = np.moveaxis(node.kernel, 2, 0).reshape(node.kernel.shape[2], -1)
        root = np.linalg.cholesky(factorisation.input_covariance)
        variances = np.linalg.svd(root.T @ kernel, compute_uv=False) ** 2
        variances = np.append(variances, np.zeros(len(kernel) - len(variances)))
    total = variances.sum() or 1.0
    return [float(variances[rank:].sum() / total) for rank in range(len(variances) + 1)]


def on_line(path: list[tuple[int, float]], work: int) -> float:
    """Return the error at some multiplications on the line through the points of a path."""
    works, errors = zip(*path, strict=True)
    if work > works[-1]:
        return errors[-1]
    return float(np.interp(work, works, errors))


def test_large_convolutions_have_ranks_that_kernels_in_int8_use_well() -> None:
    random = np.random.default_rng(1)
    node = n.Conv("conv", values(random, 3, 3, 64, 48), values(random, 48), inputs=(INPUT,))
    path = factorised(node).path
    assert len(path) > 5
    assert all(rank % 8 == 0 for ranks in path for rank in ranks)


def test_the_nearest_ranks_have_about_the_multiplications_that_are_asked_for() -> None:
    random = np.random.default_rng(1)
    node = n.Conv("conv", values(random, 3, 3, 64, 48), values(random, 48), inputs=(INPUT,))
    factorisation = factorised(node)
    for share in (0.1, 0.25, 0.5):
        ranks = factorisation.path[factorisation.nearest(share) - 1]
        assert factorisation.work(ranks) / factorisation.whole_work == pytest.approx(share, abs=0.05)
    assert factorisation.nearest(0) == 1
    assert factorisation.nearest(2) == len(factorisation.path)


def test_the_observation_has_the_channels_of_the_input() -> None:
    random = np.random.default_rng(1)
    node = n.Conv("conv", values(random, 3, 2, 2, 4), values(random, 4), (1, 2), ((1, 0), (0, 1)), inputs=(INPUT,))
    graph, images = in_input(node)
    moments = observe(find_units(graph), images).channels["conv"]
    channels = images.reshape(-1, 2)
    np.testing.assert_allclose(moments.mean, channels.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(moments.covariance, np.cov(channels.T, bias=True), atol=1e-4)


def test_bias_makes_up_for_the_mean() -> None:
    random = np.random.default_rng(2)
    node = n.Conv("conv", values(random, 3, 3, 4, 5), values(random, 5), inputs=(INPUT,))
    graph, _ = in_input(node)
    split = factorised(node).applied(graph, Ranks(2, 3))
    constant = np.ones((1, *graph.input_shape), np.float32)
    np.testing.assert_allclose(oracle.run(split, constant), oracle.run(graph, constant), atol=1e-4)


def test_only_windows_over_all_channels_are_factorised() -> None:
    kernel = np.zeros((3, 3, 4, 4), np.float32)
    node = n.Conv("conv", kernel, np.zeros(4, np.float32))
    assert can_be_factorised(node)
    assert can_be_factorised(replace(node, kernel=kernel[:1]))
    for other in (
        replace(node, kernel=kernel[:1, :1]),
        replace(node, kernel=kernel[:, :, :1], groups=4),
        n.Dense("dense", kernel[0, 0], np.zeros(4, np.float32)),
    ):
        assert not can_be_factorised(other)


def test_a_name_in_use_is_not_taken() -> None:
    node = n.Conv("conv", np.zeros((3, 3, 4, 4), np.float32), np.zeros(4, np.float32))
    assert factor_names(node) == ("conv:first", "conv:core")
    assert {"conv:core", "conv:first'"}.isdisjoint(factor_names(node, {"conv:core", "conv:first'"}))


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_scale_of_the_input_does_not_matter(scale: float) -> None:
    random = np.random.default_rng(2)
    node = n.Conv("conv", values(random, 3, 3, 4, 5), values(random, 5), inputs=(INPUT,))
    graph, images = in_input(node)
    plain, scaled = factorised(node), factorised(node, scale * covariance(4))
    assert scaled.path == plain.path
    outputs = (oracle.run(item.applied(graph, Ranks(2, 3)), images) for item in (plain, scaled))
    np.testing.assert_allclose(*outputs, atol=1e-3)


@pytest.mark.parametrize("scale", [0, 1e-40])
def test_an_input_that_does_not_vary_is_factorised_by_the_kernel_alone(scale: float) -> None:
    random = np.random.default_rng(2)
    node = n.Conv("conv", values(random, 3, 3, 4, 5), values(random, 5), inputs=(INPUT,))
    graph, images = in_input(node)
    split = factorised(node, scale * np.eye(4)).applied(graph, Ranks(4, 5))
    np.testing.assert_allclose(oracle.run(split, images), oracle.run(graph, images), atol=1e-3)


def test_variances_that_rounding_makes_negative_are_none() -> None:
    random = np.random.default_rng(2)
    node = n.Conv("conv", values(random, 3, 3, 8, 5), values(random, 5), inputs=(INPUT,))
    directions = np.linalg.qr(random.normal(size=(8, 8)))[0]
    inside = directions @ np.diag([100, 10, 1, 0, 0, 0, 0, -1e-3]) @ directions.T
    graph, images = in_input(node)
    split = factorised(node, inside).applied(graph, Ranks(4, 5))
    assert np.isfinite(oracle.run(split, images)).all()


@pytest.mark.parametrize("rank", [1, 2, 3, 8, 72, 256])
def test_the_rotation_is_orthogonal_and_mixes_all_channels(rank: int) -> None:
    matrix = rotation(rank)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(rank), atol=1e-12)
    largest = np.abs(matrix).max()
    assert largest <= np.sqrt(2 / rank) + 1e-12


def test_channels_between_factors_have_similar_variances() -> None:
    """One scale of int8 serves all of them, although the input's directions differ a thousandfold."""
    random = np.random.default_rng(3)
    node = n.Conv("conv", values(random, 3, 3, 16, 32), np.zeros(32, np.float32), inputs=(INPUT,))
    mix = np.linalg.qr(random.normal(size=(16, 16)))[0]
    images = random.normal(size=(40, *SHAPE, 16)) * np.geomspace(1, 1e-3, 16) @ mix
    inside = np.cov(images.reshape(-1, 16).T)
    plain, _ = in_input(node)
    sums = oracle.run(plain, images.astype(np.float32))
    outside = np.cov(sums.reshape(-1, 32).T)
    item = Factorisation(node, (*SHAPE, 16), factor_names(node), inside, np.zeros(16), outside)
    graph = Graph((*SHAPE, 16), item.of_ranks(Ranks(8, 16)))
    seen: dict[str, np.ndarray] = {}
    oracle.run(graph, images.astype(np.float32), lambda name, value: seen.update({name: value}))
    for name in item.names:
        variances = seen[name].reshape(-1, seen[name].shape[-1]).var(axis=0)
        assert variances.max() / variances.min() < 30
