from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph import oracle
from converters.graph.layers import (
    Activation,
    Affine,
    Conv,
    Dense,
    Graph,
    GruCell,
    Layer,
    LstmCell,
    Permute,
    Pool,
    Recurrent,
    Reshape,
    weights,
)
from edge_crnn.errors import ModelFileError

Random = np.random.Generator


def values(random: Random, *shape: int) -> np.ndarray:
    return random.uniform(-1, 1, shape).astype(np.float32)


def cell(random: Random, width: int, units: int) -> LstmCell:
    return LstmCell(values(random, width, 4 * units), values(random, units, 4 * units), values(random, 4 * units))


def gru(random: Random, width: int, units: int, inner: bool) -> GruCell:
    arrays = values(random, width, 3 * units), values(random, units, 3 * units), values(random, 3 * units)
    return GruCell(*arrays, values(random, units) if inner else None)


def conv(random: Random, width: int, **settings: object) -> Conv:
    return Conv("conv", values(random, 3, 2, width, 4), values(random, 4), **settings)  # type: ignore[arg-type]


def affine(random: Random, width: int, name: str = "norm") -> Affine:
    return Affine(name, values(random, width) + 2, values(random, width))


def assert_same(graph: Graph, other: Graph, random: Random) -> None:
    images = values(random, 3, *graph.input_shape)
    np.testing.assert_allclose(oracle.run(other, images), oracle.run(graph, images), atol=2e-5, rtol=2e-5)


FEATURES = ("conv-same", "conv-valid", "affine", "relu", "relu6", "tanh", "linear", "max", "average")
SEQUENCE = ("dense", "dense-tanh", "affine", "relu", "linear", "both", "forward", "backward", "gru")


def feature_layer(kind: str, random: Random, width: int) -> Layer:
    if kind.startswith("conv"):
        return conv(random, width, padding=kind.removeprefix("conv-"))
    if kind in ("max", "average"):
        return Pool(kind, kind, (2, 2), (1, 1), "same")  # type: ignore[arg-type]
    return affine(random, width) if kind == "affine" else Activation(kind, kind)  # type: ignore[arg-type]


def sequence_layer(kind: str, random: Random, width: int) -> Layer:
    if kind.startswith("dense"):
        activation = kind.removeprefix("dense").removeprefix("-") or "linear"
        return Dense(kind, values(random, width, 5), values(random, 5), activation)  # type: ignore[arg-type]
    if kind in ("both", "forward", "backward", "gru"):
        forward = None if kind == "backward" else cell(random, width, 3)
        return Recurrent(kind, forward, None if kind == "forward" else cell(random, width, 3))
    if kind == "gru":
        return Recurrent(kind, gru(random, width, 3, True), gru(random, width, 3, False))
    return affine(random, width) if kind == "affine" else Activation(kind, kind)  # type: ignore[arg-type]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(FEATURES), max_size=5),
    st.lists(st.sampled_from(SEQUENCE), max_size=5),
    st.integers(0, 2**32 - 1),
)
def test_folding_changes_no_result(features: list[str], sequence: list[str], seed: int) -> None:
    random = np.random.default_rng(seed)
    layers: list[Layer] = []
    shape: tuple[int, ...] = (12, 9, 2)
    for kind in features:
        layers.append(feature_layer(kind, random, shape[-1]))
        shape = Graph(shape, (layers[-1],)).output_shape
    layers.append(Reshape("reshape", (shape[0], shape[1] * shape[2])))
    shape = Graph(shape, (layers[-1],)).output_shape
    for kind in sequence:
        layers.append(sequence_layer(kind, random, shape[-1]))
        shape = Graph(shape, (layers[-1],)).output_shape
    graph = Graph((12, 9, 2), (*layers, Activation("softmax", "softmax")))
    folded = graph.folded()
    assert folded.output_shape == graph.output_shape == shape
    assert_same(graph, folded, random)
    assert not any(isinstance(each, Activation) and each.function == "linear" for each in folded.layers)


def test_norm_goes_into_the_linear_layer_before_it_then_the_relu() -> None:
    random = np.random.default_rng(1)
    graph = Graph((8, 6, 2), (conv(random, 2), affine(random, 4), Activation("relu", "relu")))
    (layer,) = graph.folded().layers
    assert isinstance(layer, Conv)
    assert (layer.name, layer.activation) == ("conv", "relu")
    assert_same(graph, graph.folded(), random)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_norm_before_a_convolution_stays_only_where_the_padding_would_shift(padding: str) -> None:
    random = np.random.default_rng(2)
    relu = Activation("relu", "relu")
    graph = Graph((8, 6, 2), (relu, affine(random, 2), conv(random, 2, padding=padding)))
    assert [each.name for each in graph.folded().layers] == ["relu", *["norm"] * (padding == "same"), "conv"]
    assert_same(graph, graph.folded(), random)


def test_norms_between_recurrent_layers_go_into_the_input_weights_of_the_next() -> None:
    random = np.random.default_rng(3)
    pair = Recurrent("pair", cell(random, 4, 3), cell(random, 4, 3), "product")
    again = Recurrent("again", cell(random, 3, 2), cell(random, 3, 2))
    head = Dense("head", values(random, 4, 5), values(random, 5))
    graph = Graph((7, 4), (pair, affine(random, 3), again, affine(random, 4), head))
    assert [each.name for each in graph.folded().layers] == ["pair", "again", "head"]
    assert_same(graph, graph.folded(), random)


def test_a_layer_is_told_by_its_function_not_its_name() -> None:
    random = np.random.default_rng(4)
    graph = Graph((5, 3), (Activation("linear", "relu"), affine(random, 3), Activation("relu", "linear")))
    assert [each.name for each in graph.folded().layers] == ["linear", "norm"]
    average = Graph((4, 4, 1), (Pool("max", "average", (2, 2), (2, 2)),))
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    assert oracle.run(average, image).ravel().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_shapes_and_parameters() -> None:
    random = np.random.default_rng(5)
    graph = Graph(
        (8, 6, 2),
        (
            Pool("pool", "max", (2, 4), (2, 3), "same"),
            conv(random, 2, strides=(2, 1)),
            Permute("permute", (1, 0, 2)),
            Reshape("reshape", (2, 8)),
            Recurrent("pair", cell(random, 8, 3), cell(random, 8, 3)),
            Recurrent("grus", gru(random, 6, 4, True), gru(random, 6, 2, False)),
            Dense("head", values(random, 6, 5), values(random, 5)),
        ),
    )
    shapes = [(4, 2, 2), (2, 2, 4), (2, 2, 4), (2, 8), (2, 6), (2, 6), (2, 5)]
    assert [given for _, _, given in graph.shapes()] == shapes
    assert graph.output_shape == oracle.run(graph, values(random, 3, 8, 6, 2)).shape[1:]
    assert graph.parameters == 52 + 2 * (96 + 36 + 12) + (72 + 48 + 12 + 4) + (36 + 12 + 6) + 35
    assert [len(weights(each)) for each in graph.layers] == [0, 2, 0, 0, 6, 7, 2]


@pytest.mark.parametrize(
    "layer",
    [
        conv(np.random.default_rng(0), 3),
        Conv("large", np.zeros((9, 1, 2, 1), np.float32), np.zeros(1, np.float32), padding="valid"),
        Pool("pool", "max", (9, 9), (1, 1)),
        Affine("affine", np.ones(3, np.float32), np.ones(3, np.float32)),
        Reshape("reshape", (8, 5)),
        Reshape("wrapped", (2**32, 2**32, 96)),
        Permute("permute", (0, 1)),
        Permute("twice", (0, 1, 1)),
        Dense("dense", np.zeros((3, 3), np.float32), np.zeros(3, np.float32)),
        Recurrent("image", cell(np.random.default_rng(0), 2, 2), None),
    ],
    ids=lambda layer: layer.name,
)
def test_layer_that_does_not_fit_is_named(layer: Layer) -> None:
    with pytest.raises(ModelFileError, match=layer.name):
        _ = Graph((8, 6, 2), (layer,)).output_shape


def test_directions_of_different_width_cannot_be_added() -> None:
    random = np.random.default_rng(6)
    pair = Recurrent("pair", cell(random, 4, 3), cell(random, 4, 2))
    assert Graph((7, 4), (pair,)).output_shape == (7, 5)
    with pytest.raises(ModelFileError, match="pair"):
        _ = Graph((7, 4), (Recurrent("pair", pair.forward, pair.backward, "sum"),)).output_shape
