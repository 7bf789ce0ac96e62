from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.cost import multiplications
from converters.graph.graph import INPUT, Graph
from converters.slim.factor import AXES, Axis, Factorisation, better, can_be_factorised, label, window
from converters.slim.observe import observe
from converters.slim.units import find_units
from tests.budget import examples
from tests.converters.graph.made import values

PAIR = st.tuples(st.integers(1, 2), st.integers(1, 2))
PADS = st.tuples(st.tuples(st.integers(0, 2), st.integers(0, 2)), st.tuples(st.integers(0, 2), st.integers(0, 2)))


@st.composite
def convolutions(draw: st.DrawFn) -> n.Conv:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(2, 3)), draw(st.integers(2, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
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


def factorised(node: n.Conv, axis: Axis, covariance: np.ndarray | None = None) -> Factorisation:
    """Return a factorisation weighted by an arbitrary covariance."""
    size = node.kernel.shape[axis] * node.kernel.shape[2]
    if covariance is None:
        mix = np.random.default_rng(size).normal(size=(size, size))
        covariance = mix @ mix.T + np.eye(size)
    return Factorisation(node, axis, label(node, axis), covariance, np.ones(size))


def in_input(node: n.Conv) -> tuple[Graph, np.ndarray]:
    """Return a graph of a convolution alone, and images of which some dimensions are odd."""
    shape = (9, 11, node.kernel.shape[2])
    return Graph(shape, (node,)), values(np.random.default_rng(7), 3, *shape)


@settings(deadline=None, max_examples=examples(60))
@given(convolutions(), st.sampled_from(AXES))
def test_factors_of_full_rank_equal_the_convolution(node: n.Conv, axis: Axis) -> None:
    graph, images = in_input(node)
    factorisation = factorised(node, axis)
    split = factorisation.applied(graph, factorisation.rank)
    assert [part.name for part in split.nodes] == [factorisation.name, "conv"]
    np.testing.assert_allclose(oracle.run(split, images), oracle.run(graph, images), atol=1e-3)


@settings(deadline=None, max_examples=examples(60))
@given(convolutions(), st.sampled_from(AXES), st.data())
def test_the_work_is_that_of_the_factors(node: n.Conv, axis: Axis, data: st.DataObject) -> None:
    graph, _ = in_input(node)
    factorisation = factorised(node, axis)
    rank = data.draw(st.integers(1, factorisation.rank))
    assert rank * sum(factorisation.work(graph.input_shape)) == multiplications(factorisation.applied(graph, rank))


@settings(deadline=None, max_examples=examples(60))
@given(convolutions(), st.sampled_from(AXES))
def test_the_error_is_the_share_of_the_discarded_singular_values(node: n.Conv, axis: Axis) -> None:
    factorisation = factorised(node, axis)
    root = np.linalg.cholesky(factorisation.covariance).T
    matrix = node.kernel.transpose(axis, 2, 1 - axis, 3).reshape(len(root), -1)
    whole = np.square(root @ matrix).sum()
    assume(whole > 1e-3)
    errors = factorisation.ranking.errors
    assert errors[0] == pytest.approx(1)
    assert errors[-1] == 0
    assert (np.diff(errors) <= 0).all()
    for rank in range(1, factorisation.rank + 1):
        inner, outer = factorisation.of_rank(rank)
        first = inner.kernel.reshape(len(root), rank)
        last = np.moveaxis(outer.kernel, 2, 0).reshape(rank, -1)
        lost = np.square(root @ (matrix - first @ last)).sum() / whole
        assert lost == pytest.approx(errors[rank], abs=1e-4)


def test_the_windows_observed_are_those_of_the_first_factor() -> None:
    random = np.random.default_rng(1)
    node = n.Conv("conv", values(random, 3, 2, 2, 4), values(random, 4), (1, 2), ((1, 0), (0, 1)), inputs=(INPUT,))
    graph, images = in_input(node)
    observation = observe(find_units(graph), images)
    for axis in AXES:
        first = window(node, axis)
        count = int(np.prod(first.shape(graph.input_shape)[:2]))
        places = np.broadcast_to(np.arange(count), (len(images), count))
        rows = oracle.patches(first, images, places)
        moments = observation.windows["conv", axis]
        np.testing.assert_allclose(moments.mean, rows.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(moments.covariance, np.cov(rows.T, bias=True), atol=1e-4)


def test_the_axis_that_loses_less_comes_first() -> None:
    random = np.random.default_rng(1)
    tall = values(random, 3, 1, 4, 2) @ values(random, 1, 3, 2, 5)
    node = n.Conv("conv", tall, np.zeros(5, np.float32), inputs=(INPUT,))
    both = [factorised(node, axis, np.eye(12)) for axis in AXES]
    assert both[0].ranking.errors[2] == pytest.approx(0, abs=1e-6)
    assert better(both, (9, 11, 4)) is both[0]


def test_bias_makes_up_for_the_mean() -> None:
    random = np.random.default_rng(2)
    node = n.Conv("conv", values(random, 3, 3, 4, 5), values(random, 5), inputs=(INPUT,))
    graph, _ = in_input(node)
    split = factorised(node, 0).applied(graph, 2)
    constant = np.ones((1, *graph.input_shape), np.float32)
    np.testing.assert_allclose(oracle.run(split, constant), oracle.run(graph, constant), atol=1e-4)


def test_only_windows_over_all_channels_are_factorised() -> None:
    kernel = np.zeros((3, 3, 4, 4), np.float32)
    node = n.Conv("conv", kernel, np.zeros(4, np.float32))
    assert can_be_factorised(node)
    for other in (
        replace(node, kernel=kernel[:1]),
        replace(node, kernel=kernel[:, :1]),
        replace(node, kernel=kernel[:, :, :1], groups=4),
        n.Dense("dense", kernel[0, 0], np.zeros(4, np.float32)),
    ):
        assert not can_be_factorised(other)


def test_a_name_in_use_is_not_taken() -> None:
    node = n.Conv("conv", np.zeros((3, 3, 4, 4), np.float32), np.zeros(4, np.float32))
    assert label(node, 0) == "conv:rows"
    assert label(node, 1, {"conv:columns"}) not in {"conv:columns", "conv"}


@pytest.mark.parametrize("scale", [0, 1e-40, 1e-12, 1e12])
def test_the_scale_of_the_input_does_not_matter(scale: float) -> None:
    random = np.random.default_rng(2)
    node = n.Conv("conv", values(random, 3, 3, 4, 5), values(random, 5), inputs=(INPUT,))
    graph, images = in_input(node)
    factorisation = factorised(node, 0, scale * np.eye(12))
    split = factorisation.applied(graph, factorisation.rank)
    np.testing.assert_allclose(oracle.run(split, images), oracle.run(graph, images), atol=1e-3)
