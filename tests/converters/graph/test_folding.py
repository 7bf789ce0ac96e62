"""Folding: each rule does what it says, and none changes a result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.folding import fold
from converters.graph.graph import INPUT, Graph
from tests.budget import examples

from .made import KINDS, affine, conv, gru, lstm, random_graph, values


def assert_same(graph: Graph, other: Graph, seed: int = 0) -> None:
    images = values(np.random.default_rng(seed), 3, *graph.input_shape)
    expected = oracle.run(graph, images)
    np.testing.assert_allclose(oracle.run(other, images), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.thorough
@settings(deadline=None, max_examples=examples(150))
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_folding_changes_no_result_and_leaves_nothing_idle(kinds: Sequence[str], seed: int) -> None:
    graph = random_graph(kinds, seed)
    folded = fold(graph)
    assert folded.output_shape == graph.output_shape
    assert len(folded.nodes) <= len(graph.nodes)
    assert all(folded.consumers[node.name] for node in folded.nodes[:-1])
    assert [node.name for node in fold(folded).nodes] == [node.name for node in folded.nodes]
    assert_same(graph, folded, seed)


def folded_names(input_shape: n.Shape, *nodes: n.Node) -> list[str]:
    """Names of what is left of a graph, after a check that it gives the same."""
    graph = Graph.chain(input_shape, nodes)
    assert_same(graph, fold(graph))
    return [node.name for node in fold(graph).nodes]


RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("nodes", "left"),
    [
        ([conv(RANDOM, 4), affine(RANDOM, 4), n.Unary("relu", "relu")], ["conv"]),
        ([n.ConvTranspose("up", values(RANDOM, 2, 2, 4, 3), values(RANDOM, 3), (2, 2)), affine(RANDOM, 3)], ["up"]),
        ([affine(RANDOM, 4), affine(RANDOM, 4, "second"), n.Unary("relu6", "relu6")], ["norm"]),
        ([affine(RANDOM, 4), conv(RANDOM, 4)], ["conv"]),
        ([affine(RANDOM, 4), conv(RANDOM, 1, groups=4)], ["conv"]),
        ([affine(RANDOM, 4), conv(RANDOM, 2, groups=2, dilation=(2, 1))], ["conv"]),
        ([affine(RANDOM, 4), conv(RANDOM, 4, pads=((1, 1), (0, 0)))], ["norm", "conv"]),
        ([affine(RANDOM, 4), n.Unary("tanh", "tanh")], ["norm", "tanh"]),
        ([n.Pad("pad", ((1, 2), (0, 1), (0, 0))), conv(RANDOM, 4)], ["conv"]),
        ([n.Pad("ones", ((1, 2), (0, 1), (0, 0)), 1.0), conv(RANDOM, 4)], ["ones", "conv"]),
        ([n.Pad("channels", ((0, 0), (0, 0), (1, 0))), conv(RANDOM, 5)], ["channels", "conv"]),
        ([n.Reverse("there", 1), n.Reverse("back", 1), n.Unary("tanh", "tanh")], ["tanh"]),
        ([n.Reverse("rows", 0), n.Reverse("columns", 1)], ["rows", "columns"]),
        ([n.Permute("a", (2, 0, 1)), n.Unary("tanh", "tanh"), n.Permute("b", (1, 2, 0))], ["tanh"]),
        ([n.Permute("a", (1, 0, 2)), affine(RANDOM, 4), n.Permute("b", (1, 0, 2))], ["norm"]),
        ([n.Permute("a", (2, 0, 1)), affine(RANDOM, 5)], ["a", "norm"]),
        ([n.Reshape("a", (40, 3)), n.Unary("tanh", "tanh"), n.Reshape("b", (6, 5, 4))], ["tanh"]),
        ([n.Slice("all", (0, 0, 0), (6, 5, 4), (1, 1, 1)), n.Unary("tanh", "tanh")], ["tanh"]),
        ([n.Concat("one", 0), n.Unary("linear", "linear"), n.Unary("tanh", "tanh")], ["tanh"]),
    ],
)
def test_chains(nodes: list[n.Node], left: list[str]) -> None:
    assert folded_names((6, 5, 4), *nodes) == left


def test_a_value_that_is_used_twice_is_not_fused_away() -> None:
    graph = Graph((6, 5, 4), (
        conv(RANDOM, 4, pads=((1, 1), (0, 1)), inputs=(INPUT,)),
        n.Unary("relu", "relu", inputs=("conv",)),
        n.Binary("add", "add", inputs=("conv", "relu")),
    ))  # fmt: skip
    assert [node.name for node in fold(graph).nodes] == ["conv", "relu", "add"]
    assert_same(graph, fold(graph))


def pair(merge: n.Node, turned: bool, same: bool = True, swapped: bool = False) -> Graph:
    random = np.random.default_rng(4)
    inputs = ["forward", "turned" if turned else "backward"]
    return Graph((7, 4), (
        n.Unary("first", "tanh", inputs=(INPUT,)),
        n.Recurrent("forward", lstm(random, 4, 3), None, inputs=("first",)),
        n.Recurrent("backward", None, gru(random, 4, 3), inputs=("first" if same else INPUT,)),
        n.Reverse("reversed", 0, inputs=("backward",)),
        n.Reverse("turned", 0, inputs=("reversed",)),
        type(merge)(**{**vars(merge), "inputs": tuple(inputs[::-1] if swapped else inputs)}),
    ))  # fmt: skip


@pytest.mark.parametrize("merge", [n.Concat("merge", 1), n.Binary("merge", "add"), n.Binary("merge", "multiply")])
def test_two_directions_become_one_node(merge: n.Node) -> None:
    graph = pair(merge, turned=True)
    *_, last = fold(graph).nodes
    assert (last.name, type(last)) == ("merge", n.Recurrent)
    assert_same(graph, fold(graph))


@pytest.mark.parametrize(
    "graph",
    [
        pair(n.Concat("merge", 1), turned=True, same=False),
        pair(n.Concat("merge", 1), turned=True, swapped=True),
        pair(n.Binary("merge", "subtract"), turned=True),
    ],
)
def test_directions_that_are_no_pair_stay_apart(graph: Graph) -> None:
    assert sum(isinstance(node, n.Recurrent) for node in fold(graph).nodes) == 2
    assert_same(graph, fold(graph))


def test_a_backward_layer_that_is_not_turned_round_keeps_its_reversal() -> None:
    random = np.random.default_rng(5)
    graph = Graph((7, 4), (
        n.Recurrent("forward", lstm(random, 4, 3), None, inputs=(INPUT,)),
        n.Recurrent("backward", None, lstm(random, 4, 3), inputs=(INPUT,)),
        n.Reverse("reversed", 0, inputs=("backward",)),
        n.Concat("merge", 1, inputs=("forward", "reversed")),
    ))  # fmt: skip
    assert [node.name for node in fold(graph).nodes] == ["forward", "backward", "reversed", "merge"]
    assert_same(graph, fold(graph))


def test_a_channels_first_residual_block_loses_all_its_permutations() -> None:
    random = np.random.default_rng(6)
    first, last = (2, 0, 1), (1, 2, 0)

    def same(name: str, x: str) -> n.Conv:
        kernel = values(random, 3, 3, 4, 4)
        return n.Conv(name, kernel, values(random, 4), pads=((1, 1), (1, 1)), inputs=(x,))

    graph = Graph((6, 5, 4), (
        same("a", INPUT), n.Permute("a first", first, inputs=("a",)),
        n.Unary("act", "leaky_relu", 0.2, inputs=("a first",)), n.Permute("b last", last, inputs=("act",)),
        same("b", "b last"), n.Permute("b first", first, inputs=("b",)),
        n.Binary("add", "add", inputs=("b first", "act")), n.Permute("c last", last, inputs=("add",)),
        same("c", "c last"),
    ))  # fmt: skip
    assert not any(isinstance(node, n.Permute) for node in fold(graph).nodes)
    assert_same(graph, fold(graph))


def test_nodes_on_constants_become_constants() -> None:
    random = np.random.default_rng(7)
    graph = Graph((3, 4), (
        n.Constant("positions", values(random, 3, 4)),
        n.Unary("sine", "tanh", inputs=("positions",)),
        n.Binary("sum", "add", inputs=("sine", "positions")),
        n.Binary("add", "add", inputs=(INPUT, "sum")),
    ))  # fmt: skip
    assert [(node.name, type(node)) for node in fold(graph).nodes] == [("sum", n.Constant), ("add", n.Binary)]
    assert_same(graph, fold(graph))
