"""Models saved by real Keras, whole and with their configuration changed. Hostile files: `test_file`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.graph.graph import Graph
from converters.graph.nodes import Affine, Recurrent, Softmax
from converters.trained.keras.model import ADDED_SOFTMAX, load_graph
from edge_crnn.errors import ModelFileError

Layers = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(3).uniform(-1, 1, (5, 32, 16, 1)).astype(np.float32)


def rewritten(
    path: Path,
    folder: Path,
    change: Callable[[Layers], object] = lambda _: None,
    model: Callable[[dict[str, Any]], object] = lambda _: None,
    tree: Callable[[Any], object] = lambda _: None,
) -> Path:
    """A `.keras` file with its layers, its configuration or its weights changed."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        data = io.BytesIO(archive.read("model.weights.h5"))
    change({layer["name"]: layer for layer in config["config"]["layers"]})
    model(config["config"])
    with h5py.File(data, "a") as file:
        tree(file)
    with zipfile.ZipFile(folder / "changed.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", data.getvalue())
    return folder / "changed.keras"


def assert_equal(graph: Graph, other: Graph) -> None:
    assert [(type(node), node.name, node.inputs) for node in graph.nodes] == [
        (type(node), node.name, node.inputs) for node in other.nodes
    ]
    assert graph.shapes == other.shapes
    for node, twin in zip(graph.nodes, other.nodes, strict=True):
        for array, same in zip(node.weights, twin.weights, strict=True):
            np.testing.assert_array_equal(array, same)


def test_graph_computes_the_same_as_keras(variant: Path, images: np.ndarray) -> None:
    from converters.reference.keras import KerasReference

    graph = load_graph(variant)
    expected = KerasReference(variant, batch=4).infer(images)
    np.testing.assert_allclose(oracle.run(graph, images), expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(oracle.run(graph.folded(), images), expected, atol=1e-5, rtol=0)
    assert expected.std(axis=0).max() > 0.02  # the images are told apart
    kept = [node.name for node in graph.folded().nodes if isinstance(node, Affine)]
    # Padded with zeros, the convolution after these would see the shift at its border.
    assert kept == {"norm-before-conv": ["stays"], "rectifiers": ["rescaling"]}.get(variant.stem, [])


def test_plate_architecture(tiny_keras: Path) -> None:
    graph = load_graph(tiny_keras)
    assert (graph.input_shape, graph.output_shape) == ((32, 16, 1), (16, 11))
    pairs = [node for node in graph.folded().nodes if isinstance(node, Recurrent)]
    assert [(node.name, node.merge) for node in pairs] == [("add", "sum"), ("concatenate", "concat")]
    kinds = [type(node).__name__ for node in graph.folded().nodes]
    assert kinds == ["Conv", "Pool"] * 2 + ["Conv", "Reshape", "Dense", "Recurrent", "Recurrent", "Dense", "Softmax"]


def test_h5_gives_the_same_graph(tiny_keras: Path, tiny_h5: Path) -> None:
    graph = load_graph(tiny_keras)
    other = load_graph(tiny_h5)
    for node, twin in zip(graph.nodes, other.nodes, strict=True):
        assert type(node) is type(twin)
        for array, same in zip(node.weights, twin.weights, strict=True):
            np.testing.assert_array_equal(array, same)


def test_wrapped_layers_in_h5(keras: Any, tmp_path: Path) -> None:
    image = keras.Input((8, 4, 1))
    x = keras.layers.Reshape((8, 4))(image)
    x = keras.layers.TimeDistributed(keras.layers.Dense(3))(x)
    x = keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True), name="forward_and_back")(x)
    model = keras.Model(image, keras.layers.Dense(5, activation="softmax")(x))
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
    assert_equal(load_graph(tmp_path / "model.keras"), load_graph(tmp_path / "model.h5"))


@pytest.fixture(scope="module")
def stacks(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`stacks.keras` and `stacks.h5`, with cells upon one another in each direction."""
    layers = keras.layers
    image = keras.Input((8, 4, 1))
    x = layers.RNN([layers.GRUCell(3), layers.LSTMCell(2), layers.GRUCell(3)], return_sequences=True, name="one_way")(
        layers.Reshape((8, 4))(image)
    )
    cells = [layers.LSTMCell(3, name="low"), layers.LSTMCell(2, name="high")]
    x = layers.Bidirectional(layers.RNN(cells, return_sequences=True), name="both_ways")(x)
    model = keras.Model(image, layers.Dense(5, activation="softmax")(x))
    folder = tmp_path_factory.mktemp("stacks")
    for name in ("stacks.keras", "stacks.h5"):
        model.save(folder / name)
    return folder / "stacks.keras"


def test_stacks_are_chains_of_layers(stacks: Path) -> None:
    graph = load_graph(stacks)
    recurrent = [(node.name, node.merge) for node in graph.nodes if isinstance(node, Recurrent)]
    names = ["one_way/1", "one_way/2", "one_way", "both_ways/1", "both_ways"]
    assert recurrent == [(name, "concat") for name in names]
    assert_equal(load_graph(stacks.with_suffix(".h5")), graph)


def inner(change: Callable[[dict[str, Any]], object]) -> Callable[[Layers], object]:
    """Change the stack inside the layer that has one in one direction."""
    return lambda layers: change(layers["one_way"]["config"]["cell"]["config"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (inner(lambda stack: stack.update(cells=[])), ["(StackedRNNCells)", "cells [], expected a list of layers"]),
        (inner(lambda stack: stack.update(cells=7)), ["(StackedRNNCells)", "cells 7"]),
        (
            inner(lambda stack: stack["cells"][0].update(class_name="SimpleRNNCell")),
            ["(SimpleRNNCell)", "GRUCell, CuDNNGRU, LSTM"],
        ),
        (
            inner(lambda stack: stack["cells"][0].update(class_name="StackedRNNCells")),
            ["(StackedRNNCells)", "LSTMCell"],
        ),
        (inner(lambda stack: stack["cells"][0].update(module="mine")), ["(mine.GRUCell)", "not supported here"]),
        (inner(lambda stack: stack["cells"].pop()), ["'both_ways'", "(3, 12)"]),
        (
            lambda layers: layers["both_ways"]["config"]["backward_layer"]["config"]["cell"]["config"]["cells"].pop(),
            ["'both_ways'", "2 cells forward and 1 backward"],
        ),
    ],
)
def test_stacks_that_are_not_supported(
    stacks: Path, tmp_path: Path, change: Callable[[Layers], None], words: list[str]
) -> None:
    with pytest.raises(ModelFileError) as caught:
        load_graph(rewritten(stacks, tmp_path, change))
    for word in words:
        assert word in str(caught.value)


def test_sequential(keras: Any, tmp_path: Path, images: np.ndarray) -> None:
    layers = keras.layers
    parts = [layers.Conv2D(2, 3, strides=(2, 4)), layers.Dropout(0.5), layers.Reshape((15, -1))]
    model = keras.Sequential([keras.Input((32, 16, 1)), *parts, layers.Dense(4, activation="softmax")])
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        output = oracle.run(load_graph(tmp_path / name), images)
        np.testing.assert_allclose(output, model(images), atol=1e-6)


def test_order_of_layers_in_the_file_does_not_matter(tiny_keras: Path, tmp_path: Path) -> None:
    changed = rewritten(tiny_keras, tmp_path, model=lambda config: config["layers"].reverse())
    assert_equal(load_graph(changed), load_graph(tiny_keras))


def test_early_keras_3_does_not_name_its_groups(tiny_keras: Path, tmp_path: Path) -> None:
    def unname(file: Any) -> None:
        for group in file["layers"].values():
            del group["vars"].attrs["name"]

    assert_equal(load_graph(rewritten(tiny_keras, tmp_path, tree=unname)), load_graph(tiny_keras))


def test_inbound_nodes_of_keras_2(tiny_keras: Path, tmp_path: Path) -> None:
    def old(layers: Layers) -> None:
        for layer in layers.values():
            for node in layer["inbound_nodes"]:
                tensors = node["args"][0] if isinstance(node["args"][0], list) else node["args"]
                layer["inbound_nodes"] = [[[*tensor["config"]["keras_history"], {}] for tensor in tensors]]

    assert_equal(load_graph(rewritten(tiny_keras, tmp_path, old)), load_graph(tiny_keras))


def test_logits_get_a_softmax(tiny_keras: Path, tmp_path: Path) -> None:
    path = rewritten(tiny_keras, tmp_path, model=lambda config: config.update(output_layers=["dense2", 0, 0]))
    graph = load_graph(path)
    assert isinstance(graph.nodes[-1], Softmax)
    assert [type(node) for node in graph.nodes] == [type(node) for node in load_graph(tiny_keras).nodes]
    assert graph.nodes[-1].name == ADDED_SOFTMAX


def settings(layer: str, **changes: object) -> Callable[[Layers], None]:
    return lambda layers: layers[layer]["config"].update(changes)


def kind(layer: str, name: str) -> Callable[[Layers], None]:
    return lambda layers: layers[layer].update(class_name=name)


def feed(layer: str, *sources: str) -> Callable[[Layers], None]:
    about = {"shape": [None, 16, 12], "dtype": "float32"}
    tensors = [
        {"class_name": "__keras_tensor__", "config": {**about, "keras_history": [source, 0, 0]}} for source in sources
    ]
    args = tensors if len(tensors) == 1 else [tensors]
    return lambda layers: layers[layer].update(inbound_nodes=[{"args": args, "kwargs": {}}])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (kind("con7", "Conv3D"), ["'con7' (Conv3D)", "not supported", "--layers"]),
        (kind("con7", "SeparableConv2D"), ["'con7' (SeparableConv2D)", "no setting 'depth_multiplier'"]),
        (kind("lstm", "SimpleRNN"), ["'lstm' (SimpleRNN)", "not supported"]),
        (kind("lstm_1", "GRU"), ["'lstm_1'", "(12, 48)", "(12, 36)"]),
        (kind("max_pooling2d", "Lambda"), ["'max_pooling2d' (Lambda)", "never run", '"max_pooling2d": "squeeze 1"']),
        (kind("dense1", "Functional"), ["model of class 'Functional' lists no layers"]),
        (settings("con7", groups=2), ["'con7'", "(2, 2, 16, 16)", "(2, 2, 8, 16)"]),
        (settings("con7", groups=3), ["'con7' (Conv2D)"]),
        (settings("con7", padding="causal"), ["'con7' (Conv2D)", "causal"]),
        (settings("con7", activation="swoosh"), ["'con7' (Conv2D)", "swoosh"]),
        (settings("con7", filters=17), ["'con7'", "(2, 2, 16, 17)"]),
        (settings("con7", data_format="last"), ["'con7' (Conv2D)", "last"]),
        (settings("max_pooling2d", data_format="channels_first"), ["'conv2d_1'", "(3, 3, 8, 16)"]),
        (settings("max_pooling2d", pool_size=[2]), ["'max_pooling2d'", "pool_size"]),
        (settings("batch_normalization", axis=1), ["'batch_normalization'", "(8,)", "(32,)"]),
        (settings("batch_normalization", epsilon=-9.0), ["'batch_normalization'", "variance"]),
        (settings("lstm_1", activation="relu"), ["'lstm_1' (LSTM)", "'relu'"]),
        (settings("lstm_1", recurrent_activation="relu"), ["'lstm_1' (LSTM)", "'relu'; supported: 'sigmoid', 'hard_"]),
        (settings("lstm_1", units=0), ["'lstm_1' (LSTM)", "units 0"]),
        (settings("flip", axis=0), ["'flip' (ops.Flip)", "batch axis"]),
        (settings("flip", axis=3), ["'flip' (ops.Flip)", "axis 3"]),
        (settings("concatenate", axis=0), ["'concatenate' (Concatenate)", "batch axis"]),
        (settings("concatenate", axis=1), ["'batch_normalization_4'", "(24,)", "(12,)"]),
        (settings("activation_3", activation="sigmoid"), ["'activation_3'", "expected a softmax"]),
        (feed("dense2", "add", "dense1"), ["'dense2' (Dense)", "takes 2 values, expected one"]),
        (feed("dense2", "the_input"), ["'dense2'", "(1, 11)"]),
    ],
)
def test_unsupported_layer_is_named(
    tiny_keras: Path, tmp_path: Path, change: Callable[[Layers], None], words: list[str]
) -> None:
    path = rewritten(tiny_keras, tmp_path, change)
    with pytest.raises(ModelFileError) as caught:
        load_graph(path)
    assert str(caught.value).startswith(f"{path}: ")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        settings("flip", axis=2),
        settings("lstm_1", go_backwards=True),
        feed("concatenate", "flip_1", "lstm_3"),
        feed("lstm_2", "dense1"),
    ],
    ids=["other axis", "both backwards", "other order", "other input"],
)
def test_directions_in_any_arrangement(
    keras: Any, tiny_keras: Path, tmp_path: Path, images: np.ndarray, change: Callable[[Layers], None]
) -> None:
    """Formerly, only the usual arrangement of two directions could be converted."""
    path = rewritten(tiny_keras, tmp_path, change)
    expected = np.asarray(keras.models.load_model(path)(images))
    graph = load_graph(path)
    for variant in (graph, graph.folded()):
        np.testing.assert_allclose(oracle.run(variant, images), expected, atol=1e-5, rtol=0)


def test_norm_that_overflows(tiny_keras: Path, tmp_path: Path) -> None:
    def enlarge(file: Any) -> None:
        for number in (0, 2):  # gamma, moving mean
            file[f"layers/batch_normalization/vars/{number}"][:] = 1e30

    with pytest.raises(ModelFileError, match=r"'batch_normalization' .* too large for float32"):
        load_graph(rewritten(tiny_keras, tmp_path, tree=enlarge))


def test_custom_class_with_the_name_of_a_keras_class_is_refused(tiny_keras: Path, tmp_path: Path) -> None:
    path = rewritten(tiny_keras, tmp_path, lambda layers: layers["dense1"].update(module="my_layers"))
    with pytest.raises(ModelFileError, match=r"'dense1' \(my_layers.Dense\): not supported"):
        load_graph(path)
