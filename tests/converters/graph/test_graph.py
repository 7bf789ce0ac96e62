from __future__ import annotations

import numpy as np
import pytest

from converters.graph import graph as graphs
from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.graph import INPUT, Graph
from edge_crnn.errors import ModelFileError

from .made import conv, gru, lstm, values


def test_shapes_and_parameters() -> None:
    random = np.random.default_rng(5)
    pads = n.same_pads((8, 6), (2, 4), (2, 3))
    graph = Graph.chain(
        (8, 6, 2),
        (
            n.Pool("pool", "max", (2, 4), (2, 3), pads),
            conv(random, 2, strides=(2, 1), pads=n.same_pads((4, 2), (3, 2), (2, 1))),
            n.Permute("permute", (1, 0, 2)),
            n.Reshape("reshape", (2, 8)),
            n.Recurrent("pair", lstm(random, 8, 3), lstm(random, 8, 3)),
            n.Recurrent("grus", gru(random, 6, 4, True), gru(random, 6, 2, False)),
            n.Dense("head", values(random, 6, 5), values(random, 5)),
        ),
    )
    shapes = [(4, 2, 2), (2, 2, 4), (2, 2, 4), (2, 8), (2, 6), (2, 6), (2, 5)]
    assert [graph.shapes[node.name] for node in graph.nodes] == shapes
    assert graph.output_shape == oracle.run(graph, values(random, 3, 8, 6, 2)).shape[1:]
    assert graph.parameters == 52 + 2 * (96 + 36 + 12) + (72 + 48 + 12 + 4) + (36 + 12 + 6) + 35
    assert [len(node.weights) for node in graph.nodes] == [0, 2, 0, 0, 6, 7, 2]


FLOATS = np.zeros((2, 2, 4, 2), np.float32)


@pytest.mark.parametrize(
    "node",
    [
        conv(np.random.default_rng(0), 3),
        conv(np.random.default_rng(0), 1, groups=3),
        conv(np.random.default_rng(0), 2, groups=0),
        n.Conv("large", np.zeros((9, 1, 2, 1), np.float32), np.zeros(1, np.float32)),
        n.Conv("bias", np.zeros((1, 1, 2, 1), np.float32), np.zeros(2, np.float32)),
        n.ConvTranspose("up", FLOATS, np.zeros(2, np.float32)),
        n.ConvTranspose("trimmed", FLOATS[:, :, :2], np.zeros(2, np.float32), trims=((9, 0), (0, 0))),
        n.Pool("pool", "max", (9, 9), (1, 1)),
        n.Pool("padded", "max", (2, 2), (1, 1), ((2, 0), (0, 0))),
        n.Affine("affine", np.ones(3, np.float32), np.ones(3, np.float32)),
        n.PRelu("slope", np.ones((1, 3, 1), np.float32)),
        n.PRelu("rank", np.ones(2, np.float32)),
        n.Reduce("axes", "mean", (3,)),
        n.Reduce("none", "mean", ()),
        n.Normalise("twice", (0, 0), 1e-3),
        n.Slice("beyond", (0, 0, 0), (8, 7, 2), (1, 1, 1)),
        n.Slice("empty", (4, 0, 0), (4, 6, 2), (1, 1, 1)),
        n.Slice("stuck", (0, 0, 0), (8, 6, 2), (1, 0, 1)),
        n.Pad("negative", ((0, -1), (0, 0), (0, 0))),
        n.Pad("short", ((0, 1),)),
        n.Reverse("reverse", 3),
        n.Concat("concat", 3),
        n.Resize("resize", (0, 1), "nearest"),
        n.Reshape("reshape", (8, 5)),
        n.Reshape("wrapped", (2**32, 2**32, 96)),
        n.Permute("permute", (0, 1)),
        n.Permute("again", (0, 1, 1)),
        n.Dense("dense", np.zeros((3, 3), np.float32), np.zeros(3, np.float32)),
        n.Recurrent("image", lstm(np.random.default_rng(0), 2, 2), None),
        n.Recurrent("nothing", None, None),
    ],
    ids=lambda node: node.name,
)
def test_a_node_that_does_not_fit_is_named(node: n.Node) -> None:
    with pytest.raises(ModelFileError, match=node.name):
        _ = Graph.chain((8, 6, 2), (node,)).output_shape


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (n.Binary("add", "add", inputs=(INPUT, "one")), (3, 4)),
        (n.Binary("add", "add", inputs=(INPUT, "row")), (1, 5)),
        (n.MatMul("product", inputs=(INPUT, "one")), (3, 4)),
        (n.MatMul("product", transposed=True, inputs=(INPUT, "row")), (1, 5)),
        (n.SpatialTransform("sampler", inputs=(INPUT, "one")), (3, 4)),
    ],
)
def test_operands_that_do_not_fit_are_named(node: n.Node, shape: n.Shape) -> None:
    name = node.inputs[1]
    with pytest.raises(ModelFileError, match=node.name):
        _ = Graph((2, 3, 4), (n.Constant(name, np.zeros(shape, np.float32)), node)).shapes


def test_directions_of_different_width_cannot_be_added() -> None:
    random = np.random.default_rng(6)
    pair = n.Recurrent("pair", lstm(random, 4, 3), lstm(random, 4, 2))
    assert Graph.chain((7, 4), (pair,)).output_shape == (7, 5)
    with pytest.raises(ModelFileError, match="pair"):
        _ = Graph.chain((7, 4), (n.Recurrent("pair", pair.forward, pair.backward, "sum"),)).output_shape


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((n.Unary("a", "tanh", inputs=("b",)), n.Unary("b", "tanh", inputs=("a",))), "cycle"),
        ((n.Unary("a", "tanh", inputs=("a",)),), "cycle"),
        ((n.Unary("a", "tanh", inputs=("nowhere",)),), "'nowhere'"),
        ((n.Unary(INPUT, "tanh", inputs=(INPUT,)),), "two values are named"),
        ((n.Unary("a", "tanh", inputs=(INPUT,)), n.Unary("a", "tanh", inputs=(INPUT,))), "two values are named"),
        ((n.Unary("a", "tanh", inputs=(INPUT, INPUT)),), "takes 2 values, expected 1"),
        ((n.Binary("a", "add", inputs=(INPUT,)),), "takes 1 values, expected 2"),
        ((n.Concat("a", 0, inputs=()),), "takes 0 values"),
        ((n.Resize("a", (1 << 20, 1 << 20), "nearest", inputs=(INPUT,)),), "at most"),
        ((n.Pad("a", ((0, 1 << 40), (0, 0), (0, 0)), inputs=(INPUT,)),), "at most"),
    ],
)
def test_malformed_graph_is_refused(nodes: tuple[n.Node, ...], message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        _ = Graph((8, 6, 2), nodes).shapes


def test_broadcasting_cannot_grow_without_bounds() -> None:
    """Broadcasting a row against a column multiplies their sizes."""
    nodes: list[n.Node] = []
    for power in range(12, 15):
        row, column = (
            n.Constant(f"{side}{power}", np.zeros(shape, np.float32))
            for side, shape in (("row", (1, 1 << power)), ("column", (1 << power, 1)))
        )
        nodes += [row, column, n.Binary(f"bomb{power}", "multiply", inputs=(row.name, column.name))]
    with pytest.raises(ModelFileError, match="bomb14"):
        _ = Graph((1, 1), tuple(nodes)).shapes


def test_too_many_nodes_are_refused_before_their_shapes_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MAX_NODES", 3)
    with pytest.raises(ModelFileError, match="4 nodes; at most 3"):
        _ = Graph.chain((2,), [n.Unary(f"n{i}", "tanh") for i in range(4)]).shapes


def test_the_head_starts_at_the_first_recurrent_node() -> None:
    random = np.random.default_rng(7)
    graph = Graph((7, 4), (
        n.Unary("before", "relu", inputs=(INPUT,)),
        n.Recurrent("lstm", lstm(random, 4, 4), None, inputs=("before",)),
        n.Unary("beside", "tanh", inputs=("before",)),
        n.Binary("sum", "add", inputs=("lstm", "beside")),
    ))  # fmt: skip
    assert graph.head == {"lstm", "sum"}
    assert {name: [node.name for node in nodes] for name, nodes in graph.consumers.items()} == {
        INPUT: ["before"], "before": ["lstm", "beside"], "lstm": ["sum"], "beside": ["sum"], "sum": [],
    }  # fmt: skip
    assert graph.owner("lstm/forward/state") == "lstm"
    assert graph.owner("sum") == "sum"
