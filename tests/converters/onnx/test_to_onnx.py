from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from itertools import permutations
from typing import Any, get_args

import numpy as np
import pytest

from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.cells import Cell, Gate
from converters.graph.graph import Graph
from converters.recipe import ONNX_RECIPES
from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import preprocess

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from converters.onnx.to_onnx import to_onnx  # noqa: E402
from tests.converters.onnx.made import (  # noqa: E402
    FLOAT,
    HALF,
    Random,
    assert_runs_as_the_oracle,
    operations,
    run,
    types,
)

RANDOM = Random()


def _reads_as_the_oracle(*nodes: n.Node, shape: tuple[int, ...]) -> bytes:
    return assert_runs_as_the_oracle(Graph.chain(shape, nodes))


def test_signature_states_input_and_output() -> None:
    graph = Graph.chain((4, 6), [RANDOM.dense("dense", 6, 3), n.Softmax("softmax")])
    model = onnx.load_from_string(to_onnx(graph))
    onnx.checker.check_model(model, full_check=True)
    dimensions = {
        value.name: [length.dim_param or length.dim_value for length in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert dimensions == {"image": ["N", 4, 6], "probabilities": ["N", 4, 3]}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert model.ir_version == 8


# --- recurrence ------------------------------------------------------------------------------------------------------

KINDS = ("LSTM", "GRU", "GRU as first published")
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("merge", get_args(n.Merge))
@pytest.mark.parametrize("gates", get_args(Gate))
@pytest.mark.parametrize("others", get_args(Gate))
@kinds
def test_recurrence_both_ways_is_one_operation_where_directions_are_alike(
    merge: n.Merge, gates: Gate, others: Gate, kind: str
) -> None:
    wide_open = replace(cell := RANDOM.cell(3, 4, gates, kind), kernel=4 * cell.kernel)
    data = _reads_as_the_oracle(n.Recurrent("pair", wide_open, RANDOM.cell(3, 4, others, kind), merge), shape=(6, 3))
    counts = operations(data)
    assert (counts["LSTM"], counts["GRU"])[kind != "LSTM"] == (1 if gates == others else 2)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@kinds
def test_recurrence_one_way(direction: str, kind: str) -> None:
    cells: dict[str, Cell | None] = {"forward": None, "backward": None, direction: RANDOM.cell(3, 4, kind=kind)}
    _reads_as_the_oracle(n.Recurrent("pair", **cells), shape=(6, 3))


@kinds
def test_recurrence_of_two_widths(kind: str) -> None:
    cells = RANDOM.cell(3, 4, kind=kind), RANDOM.cell(3, 2, kind=kind)
    _reads_as_the_oracle(n.Recurrent("pair", *cells), shape=(6, 3))


@pytest.mark.parametrize("merge", get_args(n.Merge))
@pytest.mark.parametrize(("forward", "backward"), list(permutations(KINDS, 2)))
def test_recurrence_of_two_kinds(forward: str, backward: str, merge: n.Merge) -> None:
    cells = RANDOM.cell(3, 4, kind=forward), RANDOM.cell(3, 4, kind=backward)
    _reads_as_the_oracle(n.Recurrent("pair", *cells, merge), shape=(6, 3))


def test_whole_network_folded_and_not() -> None:
    nodes = (
        RANDOM.conv("conv1", 1, 4),
        RANDOM.affine("norm1", 4),
        n.Unary("relu1", "relu"),
        n.Pool("pool", "max", (2, 2), (2, 2)),
        n.Reshape("columns", (4, 12)),
        RANDOM.dense("dense", 12, 5, "relu"),
        n.Recurrent("lstm1", RANDOM.cell(5, 4), RANDOM.cell(5, 4), "sum"),
        RANDOM.affine("norm2", 4),
        n.Recurrent("lstm2", RANDOM.cell(4, 3), RANDOM.cell(4, 3), "concat"),
        n.Softmax("softmax"),
    )
    graph = Graph.chain((8, 6, 1), nodes)
    assert_runs_as_the_oracle(graph)
    data = assert_runs_as_the_oracle(graph.folded())
    assert not {"Mul", "Sub"} & operations(data).keys()


# --- half precision --------------------------------------------------------------------------------------------------

HALF_RECIPES = ("float16", "float16-mixed")


def _rounded(graph: Graph) -> Graph:
    """The same graph with every weight rounded to float16."""

    def rounded(thing: Any) -> Any:
        if isinstance(thing, np.ndarray):
            return thing.astype(np.float16).astype(np.float32)
        if is_dataclass(thing) and not isinstance(thing, type):
            return replace(thing, **{field.name: rounded(getattr(thing, field.name)) for field in fields(thing)})
        return thing

    return Graph(graph.input_shape, tuple(rounded(node) for node in graph.nodes))


def _network(kind: str = "LSTM", merge: n.Merge = "concat", channels: int = 1) -> Graph:
    cells = RANDOM.cell(5, 4, kind=kind), RANDOM.cell(5, 4, kind=kind)
    nodes = (
        RANDOM.conv("conv", channels, 4, activation="relu6"),
        RANDOM.affine("norm", 4),
        n.Pool("pool", "average", (2, 2), (2, 2)),
        n.Reshape("columns", (4, 12)),
        RANDOM.dense("dense", 12, 5),
        n.Unary("tanh", "tanh"),
        n.Recurrent("pair", *cells, merge),
        RANDOM.dense("head", 8 if merge == "concat" else 4, 5),
        n.Softmax("softmax"),
    )
    return Graph.chain((8, 6, channels), nodes)


@pytest.mark.parametrize("recipe", HALF_RECIPES)
@pytest.mark.parametrize("merge", get_args(n.Merge))
@kinds
def test_half_precision_is_the_oracle_with_rounded_weights(kind: str, merge: n.Merge, recipe: str) -> None:
    graph = _network(kind, merge)
    images = RANDOM(3, 8, 6, 1)
    actual = run(to_onnx(graph, ONNX_RECIPES[recipe]), images)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, oracle.run(_rounded(graph), images), atol=0.02)


@pytest.mark.parametrize("recipe", HALF_RECIPES)
def test_half_precision_is_in_the_types(recipe: str) -> None:
    data = to_onnx(_network(), ONNX_RECIPES[recipe])
    kinds_of = types(data)
    of_node: dict[str, set[int]] = {}
    for name, kind in kinds_of.items():
        if kind in (FLOAT, HALF) and not name.endswith("/Cast"):
            of_node.setdefault(name.partition("/")[0], set()).add(kind)
    head = HALF if recipe == "float16" else FLOAT
    assert of_node == {
        "image": {FLOAT},
        **{name: {HALF} for name in ("conv", "norm", "pool", "columns", "dense", "tanh")},
        **{name: {head} for name in ("pair", "head")},
        "probabilities": {FLOAT},
    }
    casts = [node for node in onnx.load_from_string(data).graph.node if node.op_type == "Cast"]
    assert [kinds_of[node.output[0]] for node in casts] == [HALF, FLOAT]


@pytest.mark.parametrize("where", ["in the middle", "nowhere"])
def test_softmax_and_output_are_float32_wherever_they_are(where: str) -> None:
    softmax = (n.Softmax("softmax"),) if where == "in the middle" else ()
    graph = Graph.chain((4, 6), (RANDOM.dense("one", 6, 5), *softmax, RANDOM.dense("two", 5, 3)))
    data = assert_runs_as_the_oracle(graph, ONNX_RECIPES["float16"], 0.02)
    kinds_of = types(data)
    assert kinds_of["one/Add"] == kinds_of["two/MatMul"] == HALF
    assert kinds_of["probabilities"] == FLOAT
    assert kinds_of.get("softmax/Softmax", FLOAT) == FLOAT


def test_float32_has_no_cast() -> None:
    data = to_onnx(_network())
    assert "Cast" not in operations(data)
    assert HALF not in types(data).values()


def test_a_weight_beyond_float16_is_named() -> None:
    graph = _network()
    dense = graph.by_name["dense"]
    assert isinstance(dense, n.Dense)
    far = replace(dense, kernel=dense.kernel * np.float32(1e6))
    graph = Graph(graph.input_shape, tuple(far if node is dense else node for node in graph.nodes))
    with pytest.raises(
        ConversionError, match=r"weight 'dense/kernel' reaches .*, float16 ends at 65,504; use --recipe"
    ):
        to_onnx(graph, ONNX_RECIPES["float16"])
    to_onnx(graph)


@pytest.mark.parametrize("layer", ["pool", "dense", "pair"])
def test_a_layer_that_is_kept_is_float32_between_casts(layer: str) -> None:
    data = assert_runs_as_the_oracle(_network(), replace(ONNX_RECIPES["float16"], float_layers=(layer,)), 0.02)
    kinds_of = types(data)
    own = {kind for name, kind in kinds_of.items() if name.startswith(f"{layer}/") and kind in (FLOAT, HALF)}
    assert own == {FLOAT}
    assert HALF in {kind for name, kind in kinds_of.items() if name.startswith("conv/")}


# --- pixels ----------------------------------------------------------------------------------------------------------

IMAGES = {
    "upright": InputSpec(6, 8, "HWC", 1 / 127.5, -1.0, dtype="uint8"),
    "on its side": InputSpec(8, 6, "WHC", 1 / 255, 0.25, dtype="uint8"),
    "colour": InputSpec(6, 8, "HWC", -1 / 64, 0.5, "bgr", dtype="uint8"),
    "colour, on its side": InputSpec(8, 6, "WHC", 1 / 127.5, -1.0, "rgb", dtype="uint8"),
    "turned": InputSpec(8, 6, "HWC", 1 / 127.5, -1.0, rotate=90, dtype="uint8"),
    "turned and on its side": InputSpec(6, 8, "WHC", 1 / 127.5, -1.0, rotate=270, dtype="uint8"),
    "inverted": InputSpec(6, 8, "HWC", 1 / 127.5, -1.0, invert=True, dtype="uint8"),
    "per channel": InputSpec(
        8, 6, "WHC", (1 / 64, 1 / 255, -1 / 99), (-1.0, 0.0, 1.0), "rgb", invert=True, dtype="uint8"
    ),
}


@pytest.mark.parametrize("recipe", ONNX_RECIPES)
@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_pixels_read_as_the_values_made_of_them(image: InputSpec, recipe: str) -> None:
    graph = _network(channels=image.channels)
    pictures = list(np.random.default_rng(3).integers(0, 256, (3, 17, 15, 3), np.uint8))
    values = preprocess(pictures, replace(image, dtype="float32"))
    pixels = preprocess(pictures, replace(image, axes="HWC"))
    assert pixels.shape == (3, *image.turned[::-1], image.channels)
    outputs = [
        run(to_onnx(graph, ONNX_RECIPES[recipe], taken), batch)
        for taken, batch in ((image, pixels), (replace(image, dtype="float32"), values))
    ]
    np.testing.assert_allclose(*outputs, atol=1e-5 if recipe == "float32" else 5e-3)
    np.testing.assert_allclose(outputs[0], oracle.run(graph, values), atol=1e-5 if recipe == "float32" else 0.03)


@pytest.mark.parametrize("recipe", ONNX_RECIPES)
def test_pixels_go_into_a_cast_and_nothing_else(recipe: str) -> None:
    """TensorRT takes uint8 nowhere else; the number of images is not asked of them either."""
    graph = Graph.chain((8, 6, 1), [n.Constant("row", RANDOM(1, 6, 1)), n.Concat("more", 0, inputs=("input", "row"))])
    for network in (_network(), graph):
        model = onnx.load_from_string(to_onnx(network, ONNX_RECIPES[recipe], IMAGES["on its side"]))
        (taken,) = model.graph.input
        assert taken.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert [length.dim_param or length.dim_value for length in taken.type.tensor_type.shape.dim] == ["N", 6, 8, 1]
        assert [node.op_type for node in model.graph.node if "image" in node.input] == ["Cast"]


def test_an_image_that_is_not_the_network_s_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"the spec's input is \(6, 8, 1\), the network takes \(8, 6, 1\)"):
        to_onnx(_network(), image=InputSpec(8, 6, "HWC", 1.0, 0.0))
