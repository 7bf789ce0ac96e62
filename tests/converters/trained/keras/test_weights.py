"""Weights alone, of Keras 2 and of Keras 3, with a seed architecture or with JSON, and weights that do not fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.reference.keras import KerasReference
from converters.reference.seeds import seed
from converters.trained.keras.model import load_graph
from converters.trained.keras.weights import JsonStructure, SeedStructure, Structure, structure_of
from edge_crnn.errors import InputError, ModelFileError
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec
from edge_crnn.training.architectures import ARCHITECTURES, Architecture

h5py = pytest.importorskip("h5py")

SIGMOID = SeedStructure("plates", "sigmoid", classes=11, width_px=32, height_px=16, build=seed)
HARD = replace(SIGMOID, recurrent_activation="hard_sigmoid")
KERAS_2 = {
    "weights-sigmoid.h5": SIGMOID,
    "weights-hard_sigmoid.h5": HARD,
    "weights-conv7.h5": SIGMOID,
    "weights-of-prediction.h5": SIGMOID,
    "sigmoid.weights.h5": SIGMOID,
}


@pytest.mark.parametrize("name", KERAS_2)
def test_weights_of_keras_2(name: str, keras: Any, keras2_folder: Path) -> None:
    images = np.load(keras2_folder / "images.npy")
    expected = np.load(keras2_folder / f"{name}.npy")
    graph = load_graph(keras2_folder / name, KERAS_2[name])
    np.testing.assert_allclose(oracle.run(graph, images), expected, atol=1e-5, rtol=0)
    reference = KerasReference(keras2_folder / name, KERAS_2[name])
    np.testing.assert_allclose(reference.infer(images), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["weights-hard_sigmoid.h5", "weights-sigmoid.h5"])
def test_the_wrong_gates_would_show(name: str, keras: Any, keras2_folder: Path) -> None:
    wrong = SIGMOID if KERAS_2[name] == HARD else HARD
    output = oracle.run(load_graph(keras2_folder / name, wrong), np.load(keras2_folder / "images.npy"))
    assert np.abs(output - np.load(keras2_folder / f"{name}.npy")).max() > 0.01


def test_hard_sigmoid_of_neither_keras_2_nor_3_is_not_guessed(keras: Any, keras2_folder: Path) -> None:
    with pytest.raises(ModelFileError, match="does not tell whether Keras 2 or Keras 3 wrote it"):
        load_graph(keras2_folder / "hard_sigmoid.weights.h5", HARD)


@pytest.fixture(scope="module")
def keras3_weights(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Any]]:
    """`keras3_weights(architecture, rnn, gate)`: a narrow network's weights as Keras 3 saves them, and the network."""
    folder = tmp_path_factory.mktemp("keras3")

    def make(architecture: str, rnn: str = "lstm", gate: str = "sigmoid") -> tuple[Path, Any]:
        keras.utils.set_random_seed(3)
        size = {"width_px": 48, "height_px": 32, "width": 1 / 16}
        model = ARCHITECTURES[architecture].build(11, rnn=rnn, recurrent_activation=gate, **size)
        random = np.random.default_rng(4)
        for weight in model.weights:
            if weight.name in ("bias", "beta", "gamma", "moving_mean", "moving_variance"):
                weight.assign(random.uniform(0.3, 1, weight.shape))
        path = folder / f"{architecture}-{rnn}-{gate}.weights.h5"
        model.save_weights(path)
        return path, model

    return make


@pytest.mark.parametrize(
    ("architecture", "rnn", "gate"),
    [("plates", "lstm", "hard_sigmoid"), ("plates", "gru", "sigmoid"), ("digits", "lstm", "sigmoid")],
)
def test_weights_of_keras_3(keras3_weights: Any, architecture: str, rnn: str, gate: str) -> None:
    path, model = keras3_weights(architecture, rnn, gate)
    images = np.random.default_rng(5).uniform(-1, 1, (3, 48, 32, 1)).astype(np.float32)
    expected = np.asarray(model(images, training=False))
    structure = SeedStructure(architecture, gate, 11, 48, 32, seed)
    np.testing.assert_allclose(oracle.run(load_graph(path, structure), images), expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(KerasReference(path, structure).infer(images), expected, atol=1e-5, rtol=0)


# What is refused.


def refused(path: Path, structure: Structure, *words: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        load_graph(path, structure)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": 12}, ["layer 'dense2'", "(32, 11)", "(32, 12)", "and 12 classes, as its spec says"]),
        ({"height_px": 48}, ["layer 'dense1'", "(32, 4)", "(96, 4)", "for 32×48 pixels"]),
        ({"height_px": 8}, ["cannot be built", "image of 32×8"]),
        ({"architecture": "digits", "height_px": 32}, ["9 batch norms, the network has 0"]),
    ],
    ids=["classes", "height", "too low", "another network"],
)
def test_weights_of_another_network_are_refused(
    keras: Any, keras2_folder: Path, changes: dict[str, Any], words: list[str]
) -> None:
    refused(keras2_folder / "weights-sigmoid.h5", replace(SIGMOID, **changes), *words)


def changed(folder: Path, target: Path, change: Callable[[Any], object]) -> Path:
    path = Path(shutil.copy(folder / "weights-sigmoid.h5", target))
    with h5py.File(path, "a") as file:
        change(file)
    return path


def delete(*names: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        for name in names:
            del file[name]

    return change


def another(file: Any) -> None:
    file["dense3/dense3/kernel:0"] = np.zeros((2, 2), np.float32)


def wider(file: Any) -> None:
    del file["conv3/conv3/kernel:0"]
    file["conv3/conv3/kernel:0"] = np.zeros((3, 3, 8, 18), np.float32)


def external(file: Any) -> None:
    del file["conv3/conv3/kernel:0"]
    file["conv3/conv3/kernel:0"] = h5py.ExternalLink("other.h5", "kernel")


def external_group(file: Any) -> None:
    file["dense3"] = h5py.ExternalLink("other.h5", "dense3")


def fewer_norms(file: Any) -> None:
    del file[next(name for name in file if name.startswith("batch_normalization"))]


CHANGES: dict[str, tuple[Callable[[Any], object], list[str]]] = {
    "a layer is missing": (delete("lstm2_b"), ["no weights for layer 'lstm2_b' of network 'plates'"]),
    "the widest is missing": (delete("conv5", "conv6", "con7"), ["no weights for layer 'conv5'"]),
    "a layer more": (another, ["weights of a layer 'dense3'"]),
    "a wider layer": (wider, ["layer 'conv3'", "(3, 3, 8, 18)", "(3, 3, 8, 16)"]),
    "an array elsewhere": (external, ["conv3", "ExternalLink"]),
    "a group elsewhere": (external_group, ["ExternalLink"]),
    "a norm is missing": (fewer_norms, ["8 batch norms, the network has 9"]),
    "nothing": (lambda file: file.clear(), ["0 batch norms"]),
}


@pytest.mark.parametrize("case", CHANGES)
def test_weights_that_do_not_fit(case: str, keras: Any, keras2_folder: Path, tmp_path: Path) -> None:
    change, words = CHANGES[case]
    refused(changed(keras2_folder, tmp_path / "weights.h5", change), SIGMOID, *words)


def test_a_name_by_which_keras_would_take_it_for_another_format(
    keras: Any, keras2_folder: Path, keras3_weights: Any, tmp_path: Path
) -> None:
    path = changed(keras2_folder, tmp_path / "old.weights.h5", lambda _: None)
    refused(path, SIGMOID, "in Keras 2's form, but is named as in Keras 3's; name it NAME.h5")
    path = Path(shutil.copy(keras3_weights("plates")[0], tmp_path / "new.h5"))
    refused(path, replace(SIGMOID, width_px=48, height_px=32), "is named '.h5'; name it .weights.h5")


def test_architecture_option_is_refused_for_whole_models(keras2_folder: Path) -> None:
    for name in ("plates-sigmoid.h5", "plates-sigmoid.keras"):
        refused(keras2_folder / name, SIGMOID, "leave out --architecture")


SPEC = ModelSpec(
    name="plates",
    symbols=tuple("0123456789"),
    blank=10,
    input=InputSpec(width=32, height=16, axes="WHC", scale=1 / 127.5, offset=-1.0),
    output=OutputSpec(steps=8, classes=11),
)


def test_structure_comes_from_the_options_and_the_spec() -> None:
    assert structure_of("plates", "sigmoid", lambda: SPEC, seed) == SIGMOID
    assert all(isinstance(architecture, Architecture) for architecture in ARCHITECTURES.values())


@pytest.mark.parametrize(
    ("architecture", "gate", "words"),
    [
        ("plates", None, "Keras before 2.3 trained with hard_sigmoid unless told otherwise"),
        ("plates", "tanh", "recurrent activation 'tanh', expected sigmoid or hard_sigmoid"),
        ("letters", "sigmoid", "architecture 'letters', expected plates or digits"),
        (None, "sigmoid", "a whole model says its own gates' function"),
    ],
)
def test_missing_structure_is_requested(architecture: str | None, gate: str | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        structure_of(architecture, gate, lambda: SPEC, seed)


def test_absurdly_large_images() -> None:
    with pytest.raises(InputError, match="1×65536 pixels; at most 4,096 either way"):
        structure_of(
            "plates", "sigmoid", lambda: replace(SPEC, input=replace(SPEC.input, width=1, height=1 << 16)), seed
        )


# --- the structure in JSON -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nested-weights.h5", "nested.weights.h5"])
def test_json_of_keras_2(name: str, keras2_folder: Path) -> None:
    structure = structure_of(str(keras2_folder / "nested.json"), None, lambda: SPEC, seed)
    images, expected = (np.load(keras2_folder / file) for file in ("images.npy", f"{name}.npy"))
    output = oracle.run(load_graph(keras2_folder / name, structure), images)
    np.testing.assert_allclose(output, expected, atol=1e-4, rtol=0)
    output = KerasReference(keras2_folder / name, structure).infer(images)
    np.testing.assert_allclose(output, expected, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def json_and_weights(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with `model.json` and `named.weights.h5`, of a model that ends in a loss, and its prediction part."""
    layers = keras.layers
    keras.utils.clear_session()
    image = keras.Input((8, 4, 1), name="image")
    labels = keras.Input((3,), name="labels")
    inner_image = keras.Input((8, 4, 1))
    x = layers.BatchNormalization()(layers.Conv2D(2, 3, padding="same")(inner_image))
    x = keras.Model(inner_image, x, name="inner")(image)
    x = layers.Dense(4)(layers.Dense(6)(layers.Reshape((8, 8))(x)))
    x = layers.Softmax()(x)
    loss = layers.Lambda(lambda tensors: tensors[0][:, 0, :1], output_shape=(1,), name="end")([x, labels])
    model = keras.Model([image, labels], loss)
    random = np.random.default_rng(8)
    model.set_weights([np.abs(random.normal(0, 1, weight.shape)) for weight in model.weights])
    folder = tmp_path_factory.mktemp("json_and_weights")
    (folder / "model.json").write_text(model.to_json())
    model.save_weights(folder / "named.weights.h5")
    return folder, keras.Model(image, x)


def test_json_of_keras_3(json_and_weights: tuple[Path, Any]) -> None:
    folder, prediction = json_and_weights
    structure = JsonStructure.read(folder / "model.json")
    images = np.random.default_rng(5).uniform(-1, 1, (3, 8, 4, 1)).astype(np.float32)
    expected = np.asarray(prediction(images))
    graph = load_graph(folder / "named.weights.h5", structure)
    np.testing.assert_allclose(oracle.run(graph, images), expected, atol=1e-5, rtol=0)
    output = KerasReference(folder / "named.weights.h5", structure).infer(images)
    np.testing.assert_allclose(output, expected, atol=1e-5, rtol=0)


def test_counters_of_another_session(keras2_folder: Path, tmp_path: Path) -> None:
    """JSON and weights of two sessions, in which the layers that Keras named have other numbers."""
    text = (keras2_folder / "nested.json").read_text()
    (tmp_path / "model.json").write_text(text.replace('"dense2"', '"dense_31"').replace('"first"', '"conv2d_7"'))
    path = Path(shutil.copy(keras2_folder / "nested-weights.h5", tmp_path / "weights.h5"))
    with h5py.File(path, "a") as file:
        for name, other in (("dense2", "dense_4"), ("first", "conv2d")):
            file.move(f"{name}/{name}", f"{other}/{other}")
            del file[name]
    graph = load_graph(path, JsonStructure.read(tmp_path / "model.json"))
    output = oracle.run(graph, np.load(keras2_folder / "images.npy"))
    np.testing.assert_allclose(output, np.load(keras2_folder / "nested-weights.h5.npy"), atol=1e-4, rtol=0)


def test_weights_that_the_json_has_no_place_for(keras2_folder: Path) -> None:
    structure = JsonStructure.read(keras2_folder / "nested.json")
    refused(keras2_folder / "weights-sigmoid.h5", structure, "which the network in nested.json lacks")
    refused(keras2_folder / "plates-sigmoid.h5", structure, "leave out --architecture")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no JSON"),
        ("[]", "expected a JSON object"),
        ('{"config": {"layers": []}}', "lists no layers"),
        ('{"class_name": "CRNN", "config": {}}', "model of class 'CRNN' lists no layers"),
        ("[" * 100_000, "is no JSON"),
        (" " * (17 << 20), "more than 16,777,216 bytes"),
    ],
    ids=lambda text: text[:20],
)
def test_json_of_something_else(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(ModelFileError) as caught:
        structure_of(str(path), None, lambda: SPEC, seed)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "expected what model.to_json() gives" in str(caught.value)


def test_missing_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        structure_of(str(tmp_path / "model.json"), None, lambda: SPEC, seed)
    with pytest.raises(InputError, match="leave out --recurrent-activation"):
        structure_of(str(tmp_path / "model.json"), "sigmoid", SPEC, seed)
