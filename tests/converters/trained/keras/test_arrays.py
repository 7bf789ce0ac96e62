"""Weights of models within models, in every form that Keras 3 writes; `test_keras2` has those of Keras 2."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.trained.hdf5.client import Hdf5
from converters.trained.keras.arrays import ITSELF, ContainerWeights, NamedWeights, Part
from converters.trained.keras.model import load_graph
from edge_crnn.errors import ModelFileError
from tests.converters.trained.keras.layers.helpers import engine, save

h5py = pytest.importorskip("h5py")


def block(layers: Any, name: str, filters: int, norm: bool = True) -> Any:
    """A model whose layers are named like those of any other one made here."""
    keras = engine("keras3")
    x = start = keras.Input((8, 8, 3), name="start")
    x = layers.Conv2D(filters, 3, padding="same", name="conv")(x)
    return keras.Model(start, layers.BatchNormalization(name="norm")(x) if norm else x, name=name)


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """`nested.keras` and `nested.h5` of Keras 3, with layers of the same name in several models, and the model."""
    keras = engine("keras3")
    layers = keras.layers
    start = keras.Input((8, 8, 3))
    within = keras.Sequential([layers.Conv2D(3, 1, name="conv"), layers.ReLU()], name="within")(start)
    outer = keras.Model(start, block(layers, "same", 3)(within), name="outer")
    steps_start = keras.Input((8, 3))
    steps = keras.Model(steps_start, layers.Dense(4, name="conv")(steps_start), name="steps")
    line_start = keras.Input((8, 32))
    line = layers.Bidirectional(layers.GRU(5, return_sequences=True, name="conv"), name="both")(line_start)
    line = keras.Model(line_start, layers.TimeDistributed(layers.Dense(6), name="norm")(line), name="line")
    image = keras.Input((8, 8, 3))
    x = block(layers, "same", 3)(image)
    x = outer(x)
    x = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 3, padding="same", name="conv")], name="known")(x)
    x = keras.Sequential([layers.Conv2D(3, 3, padding="same", name="conv")], name="conv")(x)
    x = layers.TimeDistributed(steps, name="each_step")(x)
    x = line(layers.Reshape((8, 32))(x))
    x = keras.Sequential([layers.TimeDistributed(layers.Dense(5, name="conv")), layers.Softmax()], name="last")(x)
    model = keras.Model(image, x)
    random = np.random.default_rng(5)
    model.set_weights([np.abs(random.normal(0, 0.5, weight.shape)) for weight in model.weights])
    folder = tmp_path_factory.mktemp("nested")
    for name in ("nested.keras", "nested.h5"):
        save(model, folder / name)
    return folder, model


@pytest.mark.parametrize("name", ["nested.keras", "nested.h5", "unnamed.keras"])
def test_models_within_models_of_keras_3(name: str, nested: tuple[Path, Any], tmp_path: Path) -> None:
    folder, model = nested
    path = folder / name
    if name == "unnamed.keras":
        path = without_names(folder / "nested.keras", tmp_path / name)
    images = np.random.default_rng(6).normal(0, 1, (3, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(oracle.run(load_graph(path), images), np.asarray(model(images)), atol=1e-5, rtol=0)


def without_names(path: Path, target: Path) -> Path:
    """A file of an early Keras 3, which does not name its groups."""
    import zipfile

    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w") as other:
        data = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(data, "a") as file:
            file.visititems(lambda _, node: node.attrs.pop("name", None) and None)
        other.writestr("config.json", archive.read("config.json"))
        other.writestr("model.weights.h5", data.getvalue())
    return target


# --- by hand ---------------------------------------------------------------------------------------------------------


def tree(*paths: str, change: Callable[[Any], object] = lambda _: None) -> Hdf5:
    """An HDF5 file with an array (1,) at each path, whose value is the path's place."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for number, path in enumerate(paths):
            file[path] = np.full(1, number, np.float32)
        change(file)
    return Hdf5(buffer.getvalue())


def entries(*names: str, kind: str = "Dense") -> list[dict[str, Any]]:
    return [{"class_name": kind, "name": name, "config": {"name": name}} for name in names]


def weight_of(weights: Any, layer: str, part: Part = ITSELF, role: str = "kernel") -> float:
    return float(weights.read(layer, part, {role: (1,)})[role][0])


FORWARD = Part("forward_layer/cell", "forward_lstm")


@pytest.mark.parametrize(
    ("paths", "models", "layer", "part", "expected"),
    [
        (["out/dense/kernel:0", "out/inner/dense/kernel:0"], ["inner"], "dense", ITSELF, 1),
        (["out/dense/kernel:0", "out/inner/dense/kernel:0"], [], "dense", ITSELF, 0),
        (["out/other/kernel:0", "out/dense/kernel:0"], ["inner"], "dense", ITSELF, 1),
        (["out/out/dense/kernel", "out/other/dense/kernel"], [], "dense", ITSELF, 0),
        (["out/dense_1/kernel:0"], [], "dense", ITSELF, 0),
        (["out/dense_1/kernel:0", "out/dense/kernel:0"], [], "dense", ITSELF, 1),
        (["out/dense/kernel_1:0"], [], "dense", ITSELF, 0),
        (["out/dense/lstm_cell/kernel:0"], [], "dense", ITSELF, 0),
        (["out/td/kernel:0"], [], "td", Part("layer", "dense"), 0),
        (["out/td/dense/kernel:0", "out/td/other/kernel:0"], [], "td", Part("layer", "dense"), 0),
        (["out/bi/backward_lstm/kernel:0", "out/bi/forward_lstm/lstm_cell/kernel:0"], [], "bi", FORWARD, 1),
        (["out/bi_1/forward_lstm/kernel:0", "out/bi/backward_lstm/kernel:0"], [], "bi", FORWARD, 0),
    ],
)
def test_which_array_of_an_h5_belongs_to_a_layer(
    paths: list[str], models: list[str], layer: str, part: Part, expected: int
) -> None:
    with tree(*paths) as file:
        weights: Any = NamedWeights(file, "").inside("out", entries("inner", "td", "bi", "dense"))
        for model in models:
            weights = weights.inside(model, entries("dense"))
        assert weight_of(weights, layer, part) == expected
        assert weights.shape(layer, part, "kernel", 0) == (1,)


@pytest.mark.parametrize(
    ("paths", "count"),
    [
        (["out/a/dense/kernel:0", "out/b/dense/kernel:0"], 2),
        (["out/other/kernel:0"], 0),
        (["out/dense_1/kernel:0"], 0),
        (["out/dense/bias:0"], 0),
    ],
)
def test_an_array_that_may_be_another_layers_is_not_taken(paths: list[str], count: int) -> None:
    with tree(*paths) as file:
        weights = NamedWeights(file, "").inside("out", entries("dense", "dense_1"))
        with pytest.raises(ModelFileError, match=f"layer 'dense': {count} arrays 'kernel' in 'out', expected one"):
            weight_of(weights, "dense")
        assert weights.shape("dense", ITSELF, "kernel", 0) is None


def test_a_layer_in_a_wrapper_that_keras_2_does_not_name() -> None:
    with tree("td/td/kernel:0", "td/td/bias:0") as file:
        weights = NamedWeights(file, "")
        assert weight_of(weights, "td", Part("layer", "dense")) == 0
        assert weight_of(weights, "td", Part("layer/layer", "inner/dense"), "bias") == 1
        with pytest.raises(ModelFileError, match="0 arrays 'kernel'"):
            weight_of(weights, "td", FORWARD)


def test_containers_within_containers() -> None:
    paths = ["layers/time_distributed/layer/layers/dense/vars/0", "layers/dense/vars/0"]

    def named(file: Any) -> None:
        file["layers/time_distributed"].require_group("vars").attrs["name"] = "td"
        file["layers/dense/vars"].attrs["name"] = "dense"

    with tree(*paths, change=named) as file:
        weights = ContainerWeights(file, entries("td", "dense"))
        inner = weights.inside("td", entries("anything"), Part("layer", "step"))
        assert (weight_of(weights, "dense"), weight_of(inner, "anything")) == (1, 0)
        assert (inner.shape("anything", ITSELF, "kernel", 0), inner.shape("anything", ITSELF, "bias", 1)) == (
            (1,),
            None,
        )
        assert weights.inside("td", entries("anything"), Part("layer", "step")) is inner
        for layer in ("gone", "td"):
            with pytest.raises(ModelFileError, match=layer):
                weight_of(weights, layer)
        with pytest.raises(ModelFileError, match="no weights for layer 'gone'"):
            weights.inside("gone", entries("dense"))


@pytest.mark.thorough
def test_a_shared_group_is_not_read_twice() -> None:
    """Group listings are counted, so that groups which contain each other end."""
    paths = [f"out/model_{number}/dense_{number}/kernel" for number in range(400)]
    with tree(*paths) as file:
        weights = NamedWeights(file, "").inside("out", entries(*(f"model_{number}" for number in range(400))))
        for number in range(400):
            inner = weights.inside(f"model_{number}", entries(f"dense_{number}"))
            assert weight_of(inner, f"dense_{number}") == number
