"""Values that several nodes take: layouts, precisions, and whole networks."""

from __future__ import annotations

from typing import Any

import pytest

from converters.graph import nodes as n
from converters.graph.graph import INPUT, Graph

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from converters.onnx.layouts import channels_first  # noqa: E402
from converters.onnx.to_onnx import to_onnx  # noqa: E402
from converters.recipe import ONNX_RECIPES, Recipe  # noqa: E402
from edge_crnn.backends.tensorrt.build import BuildOptions, build  # noqa: E402
from tests.converters.onnx.made import (  # noqa: E402
    FLOAT,
    HALF,
    NETWORKS,
    Random,
    after,
    assert_runs_as_the_oracle,
    assert_runs_in_half,
    dense_concat,
    operations,
    parse_errors,
    residual,
    squeeze_excite,
    tail,
    types,
)

networks = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
MIXED = ONNX_RECIPES["float16-mixed"]


@pytest.fixture
def random() -> Random:
    return Random()


@networks
def test_networks_read_as_the_oracle_folded_and_not(network: Any, random: Random) -> None:
    graph = network(random)
    assert_runs_as_the_oracle(graph)
    assert_runs_as_the_oracle(graph.folded())
    assert_runs_in_half(graph.folded())


@networks
@pytest.mark.parametrize("recipe", ONNX_RECIPES)
def test_tensorrt_parses_networks(rtx: Any, network: Any, recipe: str, random: Random) -> None:
    assert parse_errors(rtx, to_onnx(network(random), ONNX_RECIPES[recipe])) == []


@pytest.mark.parametrize("name", ["residual", "squeeze and excite, flat"])
def test_tensorrt_builds_networks_in_half_precision(rtx: Any, name: str, random: Random) -> None:
    built = build(rtx, to_onnx(NETWORKS[name](random), ONNX_RECIPES["float16"]), True, BuildOptions((1, 2, 4)))
    assert built.precision.startswith("float16: ")


# --- layouts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("make", [residual, dense_concat, lambda random: squeeze_excite(random, True)])
def test_between_convolutions_nothing_is_transposed(make: Any, fold: bool, random: Random) -> None:
    """There is a transposition at the start, another at the end, and the network's own permutation of the columns."""
    graph = make(random)
    data = to_onnx(graph.folded() if fold else graph)
    assert operations(data)["Transpose"] == 3


def test_a_flat_squeeze_goes_back_into_the_map_without_a_transposition(random: Random) -> None:
    assert operations(to_onnx(squeeze_excite(random, False)))["Transpose"] == 3


def test_work_on_mapped_axes_stays_channels_first(random: Random) -> None:
    nodes = [
        random.conv("conv", 3, 4),
        n.Unary("unary", "tanh"),
        n.PRelu("prelu", random(1, 1, 4)),
        n.Slice("slice", (1, 0, 0), (6, 5, 3), (1, 2, 1)),
        n.Pad("pad", ((0, 1), (2, 0), (0, 1))),
        n.Reverse("reverse", 1),
        n.Resize("resize", (2, 1), "bilinear"),
        n.Normalise("normalise", (2,), 1e-2),
        n.Reduce("reduce", "mean", (0, 1), keepdims=True),
    ]
    graph = Graph.chain((6, 5, 3), nodes)
    assert channels_first(graph) == {node.name for node in nodes}
    assert operations(assert_runs_as_the_oracle(graph))["Transpose"] == 2


def test_layout_is_chosen_by_later_nodes(random: Random) -> None:
    """A norm before a convolution runs channels first, one before a dense layer as it comes."""
    start = random.affine("norm", 3)
    assert channels_first(Graph.chain((6, 5, 3), [start, random.conv("conv", 3, 4)])) == {"norm", "conv"}
    graph = Graph.chain((6, 5, 3), [start, random.dense("dense", 3, 4)])
    assert channels_first(graph) == set()
    assert operations(assert_runs_as_the_oracle(graph))["Transpose"] == 0


def test_a_value_is_transposed_once_for_all_that_take_it(random: Random) -> None:
    nodes = [
        random.conv("conv", 3, 4),
        n.Reshape("one", (30, 4)),
        n.Reshape("two", (30, 4), inputs=("conv",)),
        n.Binary("sum", "add", inputs=("one", "two")),
    ]
    graph = Graph.chain((6, 5, 3), nodes)
    assert operations(assert_runs_as_the_oracle(graph))["Transpose"] == 2
    nodes = [
        random.conv("one", 3, 4),
        n.Pool("two", "max", (1, 1), (1, 1), inputs=(INPUT,)),
        n.Concat("both", 2, inputs=("one", "two", INPUT)),
    ]
    graph = Graph.chain((6, 5, 3), nodes)
    assert operations(assert_runs_as_the_oracle(graph))["Transpose"] == 2


# --- precisions ------------------------------------------------------------------------------------------------------


def _casts(data: bytes) -> list[str]:
    return [node.name for node in onnx.load_from_string(data).graph.node if node.op_type == "Cast"]


def test_a_value_is_cast_once_for_all_that_take_it(random: Random) -> None:
    recipe = Recipe("kept", "half", "half", "op", "", float_layers=("one", "two"))
    nodes = [
        random.dense("dense", 3, 4),
        random.dense("one", 4, 4),
        n.Unary("between", "tanh", inputs=("dense",)),
        after(random.dense("two", 4, 4), "dense"),
        n.Binary("sum", "add", inputs=("one", "two")),
        n.Binary("more", "add", inputs=("sum", "between")),
        n.Softmax("softmax"),
    ]
    data = assert_runs_as_the_oracle(Graph.chain((5, 3), nodes), recipe, 0.01)
    assert _casts(data) == ["dense/Cast", "one/Cast", "sum/Cast", "sum/Cast:2", "softmax/Cast"]
    kinds = types(data)
    assert {kinds[name] for name in ("dense/Add", "between/Tanh", "sum/Add", "more/Add")} == {HALF}
    assert {kinds[name] for name in ("one/Add", "two/Add")} == {FLOAT}


def test_nodes_without_recurrent_ancestors_belong_to_the_stack(random: Random) -> None:
    nodes = [
        random.dense("in", 3, 4),
        n.Recurrent("lstm", random.cell(4, 4), None),
        after(random.dense("beside", 4, 4), "in"),
        n.Binary("sum", "add", inputs=("lstm", "beside")),
        n.Softmax("softmax"),
    ]
    kinds = types(assert_runs_as_the_oracle(Graph.chain((5, 3), nodes), MIXED, 0.01))
    assert {kinds[name] for name in ("in/Add", "beside/Add")} == {HALF}
    assert {kinds[name] for name in ("lstm/LSTM", "sum/Add")} == {FLOAT}


@pytest.mark.parametrize(
    "node",
    [
        n.Normalise("it", (1,), 1e-3),
        n.Reduce("it", "mean", (0,), keepdims=True),
        n.Reduce("it", "sum", (0,), keepdims=True),
        n.Unary("it", "square"),
        n.Unary("it", "exp"),
        n.Softmax("it"),
    ],
    ids=lambda node: f"{node.kind} {getattr(node, 'mode', '')}{getattr(node, 'function', '')}",
)
def test_values_beyond_float16_are_computed_in_float32(node: n.Node, random: Random) -> None:
    graph = Graph.chain((5, 3), [random.dense("in", 3, 4), node, random.dense("out", 4, 4)])
    data = assert_runs_as_the_oracle(graph, ONNX_RECIPES["float16"], 0.01)
    kinds = types(data)
    assert {kind for name, kind in kinds.items() if name.startswith("it/") and kind in (FLOAT, HALF)} == {FLOAT}
    assert kinds["in/Add"] == kinds["out/Add"] == HALF


@pytest.mark.parametrize("mover", [n.Slice("it", (2, 0), (5, 4), (1, 1)), n.Reshape("it", (20, 1)), n.Reverse("it", 0)])
def test_nodes_after_the_softmax_move_its_float32_values(mover: n.Node, random: Random) -> None:
    data = to_onnx(
        Graph.chain((5, 3), [random.dense("in", 3, 4), n.Softmax("softmax"), mover]), ONNX_RECIPES["float16"]
    )
    assert _casts(data) == ["in/Cast", "softmax/Cast"]


# --- constants -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ONNX_RECIPES)
def test_constant_is_stored_in_the_type_of_its_use(recipe: str, random: Random) -> None:
    """A constant is stored in each layout and precision that is used, and repeated only for a concatenation."""
    nodes = [
        n.Constant("grid", random(6, 5, 4)),
        after(random.conv("conv", 3, 4), INPUT),
        n.Binary("sum", "add", inputs=("conv", "grid")),
        n.Reshape("flat", (30, 4)),
        n.Reshape("flat grid", (30, 4), inputs=("grid",)),
        n.Binary("again", "multiply", inputs=("flat", "flat grid")),
        n.Constant("row", random(1, 4)),
        n.Concat("joined", 0, inputs=("row", "again", "row")),
        n.Softmax("softmax"),
    ]
    half = recipe != "float32"
    data = assert_runs_as_the_oracle(Graph.chain((6, 5, 3), nodes), ONNX_RECIPES[recipe], 0.01 if half else 1e-5)
    stored = [tensor for tensor in onnx.load_from_string(data).graph.initializer if tensor.name.startswith("grid/")]
    assert [list(tensor.dims) for tensor in stored] == [[1, 4, 6, 5], [1, 6, 5, 4]]
    assert operations(data)["Expand"] == 2
    assert {tensor.data_type for tensor in stored} == {HALF if half else FLOAT}


def test_constant_network_gives_one_output_per_image(random: Random) -> None:
    graph = Graph.chain((4, 3), [n.Constant("fixed", random(5, 4)), n.Softmax("softmax")])
    assert_runs_as_the_oracle(graph)


def test_empty_network_returns_its_input() -> None:
    assert_runs_as_the_oracle(Graph.chain((4, 3), [n.Unary("nothing", "linear")]))
    assert_runs_as_the_oracle(Graph.chain((4, 3), [n.Unary("nothing", "linear"), n.Softmax("softmax")]))


def test_names_may_be_paths(random: Random) -> None:
    nodes = [random.conv("a", 3, 4), random.conv("a/Conv", 4, 4, activation="relu"), random.conv("a/Conv/Relu", 4, 4)]
    assert_runs_as_the_oracle(Graph.chain((6, 5, 3), [*nodes, *tail(random, (6, 5, 4))]))
