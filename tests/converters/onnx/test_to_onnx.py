from __future__ import annotations

from dataclasses import fields, replace
from itertools import permutations
from typing import Any, get_args

import numpy as np
import pytest

from converters.graph import oracle
from converters.graph.layers import (
    Activation,
    Affine,
    Array,
    Cell,
    Conv,
    Dense,
    Gate,
    Graph,
    GruCell,
    Layer,
    LstmCell,
    Permute,
    Pool,
    Recurrent,
    Reshape,
)
from converters.recipe import ONNX_RECIPES
from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import preprocess

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from converters.onnx.to_onnx import to_onnx  # noqa: E402

_RNG = np.random.default_rng(20240117)


def _random(*shape: int) -> Array:
    return _RNG.normal(0, 0.7, shape).astype(np.float32)


def _cell(width: int, units: int, gates: Gate = "sigmoid", kind: str = "LSTM") -> Cell:
    if kind == "LSTM":
        return LstmCell(_random(width, 4 * units), _random(units, 4 * units), _random(4 * units), gates)
    inner = _random(units) if kind == "GRU" else None
    return GruCell(_random(width, 3 * units), _random(units, 3 * units), _random(3 * units), inner, gates)


def _reads_as_the_oracle(*layers: Layer, shape: tuple[int, ...], batch: int = 3) -> Any:
    """Both give the same for a batch and for one image; the tail makes probabilities of whatever `layers` give."""
    given = Graph(shape, layers).output_shape
    flat = int(np.prod(given))
    tail = (Reshape("flat", (1, flat)), Dense("last", _random(flat, 5), _random(5)), Activation("softmax", "softmax"))
    graph = Graph(shape, (*layers, *tail))
    data = to_onnx(graph)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    images = _random(batch, *shape)
    expected = oracle.run(graph, images)
    for each in (images, images[1:2]):
        (found,) = session.run(["probabilities"], {"image": each})
        np.testing.assert_allclose(found, oracle.run(graph, each), atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3  # else the result would not depend on the image
    return onnx.load_from_string(data)


def test_says_what_it_takes_and_gives() -> None:
    graph = Graph((4, 6), (Dense("dense", _random(6, 3), _random(3), "softmax"),))
    model = onnx.load_from_string(to_onnx(graph))
    onnx.checker.check_model(model, full_check=True)
    dimensions = {
        value.name: [each.dim_param or each.dim_value for each in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert dimensions == {"image": ["N", 4, 6], "probabilities": ["N", 4, 3]}
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]
    assert model.ir_version == 8


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (2, 3)])
@pytest.mark.parametrize("size", [(3, 3), (2, 2), (4, 1), (1, 5)])
def test_convolution(size: tuple[int, int], strides: tuple[int, int], padding: str) -> None:
    kernel = _random(*size, 2, 4)
    _reads_as_the_oracle(Conv("c", kernel, _random(4), strides, padding), shape=(7, 8, 2))  # type: ignore[arg-type]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize(("size", "strides"), [((2, 2), (2, 2)), ((1, 2), (1, 2)), ((3, 3), (2, 2)), ((2, 4), (1, 3))])
def test_pool(size: tuple[int, int], strides: tuple[int, int], kind: str, padding: str) -> None:
    _reads_as_the_oracle(Pool("p", kind, size, strides, padding), shape=(7, 9, 2))  # type: ignore[arg-type]


@pytest.mark.parametrize("function", ["linear", "relu", "relu6", "tanh", "sigmoid", "softmax"])
def test_functions_on_maps_and_on_sequences(function: str) -> None:
    conv = Conv("conv", 4 * _random(3, 3, 1, 4), _random(4), activation=function)  # type: ignore[arg-type]
    _reads_as_the_oracle(conv, shape=(5, 6, 1))
    _reads_as_the_oracle(Activation("f", function), shape=(5, 6))  # type: ignore[arg-type]
    _reads_as_the_oracle(Conv("conv", _random(3, 3, 1, 4), _random(4)), Activation("f", function), shape=(5, 6, 1))  # type: ignore[arg-type]
    _reads_as_the_oracle(Dense("d", _random(6, 4), _random(4), function), shape=(5, 6))  # type: ignore[arg-type]


def test_norms_on_maps_and_on_sequences() -> None:
    norm = Affine("norm", _random(3), _random(3))
    _reads_as_the_oracle(norm, shape=(4, 5, 3))
    _reads_as_the_oracle(norm, shape=(4, 3))


def test_reshape_and_permute_keep_the_order_of_channels_last() -> None:
    conv = Conv("conv", _random(2, 2, 1, 3), _random(3))
    _reads_as_the_oracle(conv, Reshape("columns", (4, 15)), Permute("swap", (1, 0)), shape=(4, 5, 1))
    _reads_as_the_oracle(Permute("turn", (1, 0, 2)), conv, shape=(4, 5, 1))


KINDS = ("LSTM", "GRU", "GRU as first published")
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("merge", ["concat", "sum", "average", "product"])
@pytest.mark.parametrize("gates", get_args(Gate))
@pytest.mark.parametrize("others", get_args(Gate))
@kinds
def test_recurrence_both_ways_is_one_op_where_directions_are_alike(
    merge: str, gates: Gate, others: Gate, kind: str
) -> None:
    wide_open = replace(cell := _cell(3, 4, gates, kind), kernel=4 * cell.kernel)
    layer = Recurrent("pair", wide_open, _cell(3, 4, others, kind), merge)  # type: ignore[arg-type]
    model = _reads_as_the_oracle(layer, shape=(6, 3))
    found = [node.op_type for node in model.graph.node if node.op_type in ("LSTM", "GRU")]
    assert found == [kind.partition(" ")[0]] * (1 if gates == others else 2)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@kinds
def test_recurrence_one_way(direction: str, kind: str) -> None:
    cells: dict[str, Cell | None] = {"forward": None, "backward": None, direction: _cell(3, 4, kind=kind)}
    _reads_as_the_oracle(Recurrent("pair", **cells), shape=(6, 3))  # type: ignore[arg-type]


@kinds
def test_recurrence_of_two_widths(kind: str) -> None:
    _reads_as_the_oracle(Recurrent("pair", _cell(3, 4, kind=kind), _cell(3, 2, kind=kind)), shape=(6, 3))


@pytest.mark.parametrize("merge", ["concat", "sum", "average", "product"])
@pytest.mark.parametrize(("one", "other"), list(permutations(KINDS, 2)))
def test_recurrence_of_two_kinds(one: str, other: str, merge: str) -> None:
    layer = Recurrent("pair", _cell(3, 4, kind=one), _cell(3, 4, kind=other), merge)  # type: ignore[arg-type]
    _reads_as_the_oracle(layer, shape=(6, 3))


def test_whole_network_folded_and_not() -> None:
    layers: tuple[Layer, ...] = (
        Conv("conv1", _random(3, 3, 1, 4), _random(4)),
        Affine("norm1", _random(4), _random(4)),
        Activation("relu1", "relu"),
        Pool("pool", "max", (2, 2), (2, 2)),
        Reshape("columns", (4, 12)),
        Dense("dense", _random(12, 5), _random(5), "relu"),
        Recurrent("lstm1", _cell(5, 4), _cell(5, 4), "sum"),
        Affine("norm2", _random(4), _random(4)),
        Recurrent("lstm2", _cell(4, 3), _cell(4, 3), "concat"),
    )
    _reads_as_the_oracle(*layers, shape=(8, 6, 1))
    model = _reads_as_the_oracle(*Graph((8, 6, 1), layers).folded().layers, shape=(8, 6, 1))
    assert not {"Mul", "Sub"} & {node.op_type for node in model.graph.node}


def test_layers_may_share_a_name() -> None:
    _reads_as_the_oracle(Dense("d", _random(6, 4), _random(4)), Dense("d", _random(4, 4), _random(4)), shape=(5, 6))


# --- half precision --------------------------------------------------------------------------------------------------

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
HALF_RECIPES = ("float16", "float16-mixed")


def _rounded(graph: Graph) -> Graph:
    """The same graph with every weight rounded to float16."""

    def rounded(thing: Any) -> Any:
        if isinstance(thing, np.ndarray):
            return thing.astype(np.float16).astype(np.float32)
        if isinstance(thing, Layer | Cell):
            return replace(thing, **{each.name: rounded(getattr(thing, each.name)) for each in fields(thing)})
        return thing

    return Graph(graph.input_shape, tuple(rounded(layer) for layer in graph.layers))


def _types(data: bytes) -> dict[str, int]:
    """The type of each value that a node takes or gives, by name."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(data), strict_mode=True).graph
    values = {each.name: each.type.tensor_type.elem_type for each in (*graph.input, *graph.value_info, *graph.output)}
    return values | {each.name: each.data_type for each in graph.initializer}


def _network(kind: str = "LSTM", merge: Any = "concat", function: Any = "relu6") -> Graph:
    cells = _cell(5, 4, kind=kind), _cell(5, 4, kind=kind)
    width = 8 if merge == "concat" else 4
    layers = (
        Conv("conv", _random(3, 3, 1, 4), _random(4), activation=function),
        Affine("norm", _random(4), _random(4)),
        Pool("pool", "average", (2, 2), (2, 2), "same"),
        Reshape("columns", (4, 12)),
        Dense("dense", _random(12, 5), _random(5), "tanh"),
        Recurrent("pair", *cells, merge),
        Dense("head", _random(width, 5), _random(5)),
        Activation("softmax", "softmax"),
    )
    return Graph((8, 6, 1), layers)


@pytest.mark.parametrize("recipe", HALF_RECIPES)
@pytest.mark.parametrize("merge", ["concat", "sum", "average", "product"])
@kinds
def test_half_precision_is_the_oracle_with_rounded_weights(kind: str, merge: str, recipe: str) -> None:
    graph = _network(kind, merge)
    images = _random(3, 8, 6, 1)
    session = ort.InferenceSession(to_onnx(graph, ONNX_RECIPES[recipe]), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": images})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, oracle.run(_rounded(graph), images), atol=0.02)


@pytest.mark.parametrize("recipe", HALF_RECIPES)
def test_half_precision_is_in_the_types(recipe: str) -> None:
    data = to_onnx(_network(), ONNX_RECIPES[recipe])
    types = _types(data)
    of_layer: dict[str, set[int]] = {}
    for name, kind in types.items():
        if kind in (FLOAT, HALF) and not name.endswith("/Cast"):
            of_layer.setdefault(name.partition("/")[0], set()).add(kind)
    head = HALF if recipe == "float16" else FLOAT
    assert of_layer == {
        "image": {FLOAT},
        **{name: {HALF} for name in ("conv", "norm", "pool", "columns", "dense")},
        **{name: {head} for name in ("pair", "head")},
        "probabilities": {FLOAT},
    }
    casts = [node for node in onnx.load_from_string(data).graph.node if node.op_type == "Cast"]
    assert [types[node.output[0]] for node in casts] == [HALF, FLOAT]


@pytest.mark.parametrize("where", ["in the middle", "nowhere"])
def test_softmax_and_output_are_float32_wherever_they_are(where: str) -> None:
    softmax = (Activation("softmax", "softmax"),) if where == "in the middle" else ()
    graph = Graph((4, 6), (Dense("one", _random(6, 5), _random(5)), *softmax, Dense("two", _random(5, 3), _random(3))))
    data = to_onnx(graph, ONNX_RECIPES["float16"])
    types = _types(data)
    assert types["one/Add"] == types["two/MatMul"] == HALF
    assert types["probabilities"] == FLOAT
    assert types.get("softmax/Softmax", FLOAT) == FLOAT
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    images = _random(2, 4, 6)
    np.testing.assert_allclose(session.run(None, {"image": images})[0], oracle.run(graph, images), atol=0.02)


def test_float32_has_no_cast() -> None:
    model = onnx.load_from_string(to_onnx(_network()))
    assert "Cast" not in {node.op_type for node in model.graph.node}
    assert HALF not in {each.data_type for each in model.graph.initializer}


def test_a_weight_beyond_float16_is_named() -> None:
    graph = _network()
    dense = next(layer for layer in graph.layers if isinstance(layer, Dense))
    far = replace(dense, kernel=dense.kernel * np.float32(1e6))
    graph = Graph(graph.input_shape, tuple(far if layer is dense else layer for layer in graph.layers))
    with pytest.raises(
        ConversionError, match=r"weight 'dense/kernel' reaches .*, float16 ends at 65,504; use --recipe"
    ):
        to_onnx(graph, ONNX_RECIPES["float16"])
    to_onnx(graph)


# --- pixels ----------------------------------------------------------------------------------------------------------

IMAGES = {
    "upright": InputSpec(6, 8, "HWC", 1 / 127.5, -1.0, dtype="uint8"),
    "on its side": InputSpec(8, 6, "WHC", 1 / 255, 0.25, dtype="uint8"),
    "colour": InputSpec(6, 8, "HWC", -1 / 64, 0.5, "bgr", dtype="uint8"),
    "colour, on its side": InputSpec(8, 6, "WHC", 1 / 127.5, -1.0, "rgb", dtype="uint8"),
}


@pytest.mark.parametrize("recipe", ONNX_RECIPES)
@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_pixels_read_as_the_values_made_of_them(image: InputSpec, recipe: str) -> None:
    network = _network()
    conv = Conv("conv", _random(3, 3, image.channels, 4), _random(4), activation="relu")
    graph = Graph((8, 6, image.channels), (conv, *network.layers[1:]))
    pictures = list(_RNG.integers(0, 256, (3, 17, 15, 3), np.uint8))
    values = preprocess(pictures, replace(image, dtype="float32"))
    pixels = preprocess(pictures, replace(image, axes="HWC"))
    assert pixels.shape == (3, image.height, image.width, image.channels)
    found = []
    for each, batch in ((image, pixels), (replace(image, dtype="float32"), values)):
        data = to_onnx(graph, ONNX_RECIPES[recipe], each)
        session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
        found.append(session.run(None, {"image": batch})[0])
    np.testing.assert_allclose(*found, atol=1e-5 if recipe == "float32" else 5e-3)
    np.testing.assert_allclose(found[0], oracle.run(graph, values), atol=1e-5 if recipe == "float32" else 0.03)


@pytest.mark.parametrize("recipe", ONNX_RECIPES)
def test_pixels_go_into_a_cast_and_nothing_else(recipe: str) -> None:
    """TensorRT takes uint8 nowhere else."""
    model = onnx.load_from_string(to_onnx(_network(), ONNX_RECIPES[recipe], IMAGES["on its side"]))
    (taken,) = model.graph.input
    assert taken.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [each.dim_param or each.dim_value for each in taken.type.tensor_type.shape.dim] == ["N", 6, 8, 1]
    assert [node.op_type for node in model.graph.node if "image" in node.input] == ["Cast"]


def test_an_image_that_is_not_the_network_s_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"the spec's input is \(6, 8, 1\), the network takes \(8, 6, 1\)"):
        to_onnx(_network(), image=InputSpec(8, 6, "HWC", 1.0, 0.0))
