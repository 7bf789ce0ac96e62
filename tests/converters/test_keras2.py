"""Files that Keras 2 left: what is read from them gives what Keras 2 itself predicted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.graph.nodes import Recurrent
from converters.reference.keras import KerasReference
from converters.trained.keras.model import load_graph, load_network
from edge_crnn.errors import ModelFileError

h5py = pytest.importorskip("h5py")

FILES = {
    "plates-sigmoid.h5": "ctc",
    "plates-hard_sigmoid.h5": "ctc",
    "plates-sigmoid.keras": "ctc",
    "plates-hard_sigmoid.keras": "ctc",
    "plates-conv7.h5": "ctc",
    "captcha-sigmoid.h5": "ctc_loss",
    "captcha-hard_sigmoid.h5": "ctc_loss",
    "nested.h5": None,
    "nested.keras": None,
}


@pytest.fixture(scope="module")
def images(keras2_folder: Path) -> np.ndarray:
    return np.load(keras2_folder / "images.npy")  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", FILES)
def test_whole_model(name: str, keras2_folder: Path, images: np.ndarray) -> None:
    network = load_network(keras2_folder / name)
    expected = np.load(keras2_folder / f"{name}.npy")
    assert network.head == FILES[name]
    assert expected.std(axis=0).max() > 0.1  # the images are told apart
    for graph in (network.graph, network.graph.folded()):
        np.testing.assert_allclose(oracle.run(graph, images), expected, atol=5e-5, rtol=0)
    np.testing.assert_allclose(KerasReference(keras2_folder / name).infer(images), expected, atol=5e-5, rtol=0)
    assert not (keras2_folder / "trace").exists()  # which the head's own code would leave


@pytest.mark.parametrize("network", ["plates", "captcha"])
def test_gate_functions_are_distinguished_by_their_values(
    network: str, keras2_folder: Path, images: np.ndarray
) -> None:
    soft, hard = (np.load(keras2_folder / f"{network}-{gate}.h5.npy") for gate in ("sigmoid", "hard_sigmoid"))
    assert np.abs(soft - hard).max() > 0.01


def changed(
    path: Path, folder: Path, config: Callable[[Any], object] = lambda _: None, tree: Callable[[Any], object] = id
) -> Path:
    """A whole-model HDF5 file with its configuration or its groups changed."""
    copy = Path(shutil.copy(path, folder / path.name))
    with h5py.File(copy, "a") as file:
        settings = json.loads(file.attrs["model_config"])
        config(settings)
        del file.attrs["model_config"]
        file.attrs["model_config"] = np.bytes_(json.dumps(settings))
        tree(file)
    return copy


def test_keras_2_0_to_2_2(keras2_folder: Path, images: np.ndarray, tmp_path: Path) -> None:
    """`Model`, fixed-length bytes for text, and recurrent weights without a cell's group."""

    def flat(file: Any) -> None:
        file.attrs["keras_version"] = np.bytes_("2.2.4")
        for name in ("lstm1", "lstm1_b", "lstm2", "lstm2_b"):
            group = file[f"model_weights/{name}"]
            (cell,) = group[name]
            for role in tuple(group[name][cell]):
                group.move(f"{name}/{cell}/{role}", f"{name}/{role}")
            del group[f"{name}/{cell}"]
            roles = ("kernel:0", "recurrent_kernel:0", "bias:0")
            group.attrs["weight_names"] = np.array([f"{name}/{role}".encode() for role in roles])

    path = keras2_folder / "plates-hard_sigmoid.h5"
    old = changed(path, tmp_path, lambda config: config.update(class_name="Model"), flat)
    expected = np.load(keras2_folder / f"{path.name}.npy")
    np.testing.assert_allclose(oracle.run(load_graph(old), images), expected, atol=5e-5, rtol=0)
    np.testing.assert_allclose(KerasReference(old).infer(images), expected, atol=5e-5, rtol=0)


def test_hard_sigmoid_is_another_function_in_keras_3(keras2_folder: Path, tmp_path: Path, images: np.ndarray) -> None:
    def later(file: Any) -> None:
        file.attrs["keras_version"] = "3.0.0"

    path = keras2_folder / "plates-hard_sigmoid.h5"
    before = oracle.run(load_graph(path), images)
    after = oracle.run(load_graph(changed(path, tmp_path, tree=later)), images)
    assert np.abs(before - after).max() > 0.01


def test_a_version_that_is_missing_is_an_early_one(keras2_folder: Path, tmp_path: Path) -> None:
    def forget(file: Any) -> None:
        del file.attrs["keras_version"]

    path = keras2_folder / "captcha-hard_sigmoid.h5"
    for layer, twin in zip(load_graph(path).nodes, load_graph(changed(path, tmp_path, tree=forget)).nodes, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(layer.weights, twin.weights, strict=True))
        if isinstance(layer, Recurrent) and isinstance(twin, Recurrent):
            assert [cell.recurrent_activation for _, cell in layer.cells] == ["hard_sigmoid_keras2"] * 2
            assert [cell.recurrent_activation for _, cell in twin.cells] == ["hard_sigmoid_keras2"] * 2


def test_a_lambda_elsewhere_is_refused_not_run(keras2_folder: Path, tmp_path: Path) -> None:
    """The Lambda stands for an activation, or comes before the head; its code would write a file."""

    def misplaced(config: Any) -> None:
        layers = {layer["name"]: layer for layer in config["config"]["layers"]}
        ctc = layers["ctc"]
        layers["softmax"].update(class_name="Lambda", config={**ctc["config"], "name": "softmax"})

    path = changed(keras2_folder / "plates-sigmoid.h5", tmp_path, misplaced)
    for run in (load_graph, KerasReference):
        with pytest.raises(ModelFileError, match=r"'softmax' \(Lambda\): code in a model file is never run"):
            run(path)
    assert not (keras2_folder / "trace").exists()
