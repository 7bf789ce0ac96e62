"""Training heads: what ends a model, takes more than the prediction, and is recognisably a loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.reference.keras import KerasReference
from converters.trained.keras.head import prediction
from converters.trained.keras.model import Declarations, load_network
from edge_crnn.errors import ModelFileError
from tests.converters.trained.keras.layers.helpers import engine, save


def layer(kind: str, name: str, *sources: str, **more: Any) -> dict[str, Any]:
    calls = [[[source, 0, 0, {}] for source in sources]] if sources else []
    return {"class_name": kind, "name": name, "config": {"name": name}, "inbound_nodes": calls, **more}


def model(*ends: dict[str, Any], output: str = "ctc") -> dict[str, Any]:
    layers = [
        layer("InputLayer", "image"),
        layer("Dense", "dense", "image"),
        layer("InputLayer", "labels"),
        layer("InputLayer", "lengths"),
        *ends,
    ]
    config = {"layers": layers, "input_layers": [[name, 0, 0] for name in ("image", "labels", "lengths")]}
    return {"class_name": "Functional", "config": {**config, "output_layers": [[output, 0, 0]]}}


HEADS = {
    "a Lambda": layer("Lambda", "ctc", "dense", "labels", "lengths"),
    "a class of one's own": layer("CTCLayer", "ctc", "labels", "dense"),
    "registered": layer("Custom>CTCLayer", "ctc", "lengths", "dense", "labels"),
    "of a module": layer("Add", "ctc", "dense", "labels", module="mine"),
    "of no module": layer("CTCLayer", "ctc", "labels", "dense", module=None),
    "keyword of Keras 2": {**layer("CTC", "ctc"), "inbound_nodes": [[["labels", 0, 0, {"y": ["dense", 0, 0]}]]]},
    "keyword of Keras 3": {
        **layer("CTC", "ctc"),
        "inbound_nodes": [
            {
                "args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["labels", 0, 0]}}],
                "kwargs": {"y": {"class_name": "__keras_tensor__", "config": {"keras_history": ["dense", 0, 0]}}},
            }
        ],
    },
    "with the image itself": layer("CTC", "ctc", "dense", "image", "labels"),
}


@pytest.mark.parametrize("head", HEADS)
def test_loss_head_and_its_private_inputs_are_left_out(head: str) -> None:
    whole = model(HEADS[head])
    before = json.dumps(whole)
    config, name = prediction(whole)
    assert name == "ctc"
    assert [layer["name"] for layer in config["config"]["layers"]] == ["image", "dense"]
    assert config["config"]["output_layers"] == ["dense", 0, 0]
    assert config["config"]["input_layers"] == [["image", 0, 0]]
    assert json.dumps(whole) == before


def of_shape(*shape: int | None, **more: Any) -> dict[str, Any]:
    """A Lambda without a telling name, which states the shape of its output."""
    end = layer("Lambda", "lambda_3", "dense", "labels", **more)
    end["config"]["output_shape"] = list(shape)
    return end


@pytest.mark.parametrize(
    ("end", "lambdas"),
    [
        (layer("CTCLayer", "layer_9", "labels", "dense"), {}),
        (layer("Custom>MyLoss", "layer_9", "labels", "dense"), {}),
        (layer("Mine", "the_loss", "labels", "dense"), {}),
        (layer("Lambda", "CTC_1", "labels", "dense"), {}),
        (of_shape(1), {}),
        (of_shape(None, 1), {}),
        (of_shape(), {}),
        (layer("Lambda", "lambda_3", "dense", "labels"), {"lambda_3": "loss"}),
        (layer("Mine", "lambda_3", "dense", "labels"), {"lambda_3": "loss"}),
        (layer("Lambda", "lambda_3", "dense"), {"lambda_3": "loss"}),
    ],
    ids=str,
)
def test_losses_are_recognised(end: dict[str, Any], lambdas: dict[str, str]) -> None:
    config, name = prediction(model(end, output=end["name"]), lambdas)
    assert name == end["name"]
    assert config["config"]["output_layers"] == ["dense", 0, 0]


@pytest.mark.parametrize(
    "end",
    [
        layer("Lambda", "ctc", "dense"),
        layer("Add", "ctc", "dense", "labels"),
        layer("Add", "ctc", "dense", "labels", module="keras.layers"),
        layer("Multiply", "ctc", "dense", "labels", module="keras.src.ops.numpy"),
        layer("TFOpLambda", "ctc", "dense", "labels"),
        layer("SlicingOpLambda", "loss", "dense", "labels"),
        layer("Mine", "ctc", "dense"),
        layer("Mine", "mine", "dense", "labels"),
        layer("Lambda", "lambda_3", "dense", "labels"),
        of_shape(6, 3),
        of_shape(2),
    ],
    ids=str,
)
def test_layer_of_the_prediction_is_no_head(end: dict[str, Any]) -> None:
    whole = model(end, output=end["name"])
    assert prediction(whole, {"lambda_3": "squeeze 1"}) == (whole, None)


def test_lengths_may_be_computed_from_the_prediction(tmp_path: Path) -> None:
    """The training graph of yousirui1/deep_learning does this."""
    lengths = layer("Lambda", "length", "dense"), layer("TFOpLambda", "longer", "length")
    config, name = prediction(model(*lengths, layer("Lambda", "ctc", "labels", "dense", "length", "longer")))
    assert name == "ctc"
    assert [layer["name"] for layer in config["config"]["layers"]] == ["image", "dense"]


def test_the_prediction_may_be_a_lambda() -> None:
    """A Lambda before the head may cut off the first steps."""
    config, name = prediction(
        model(layer("Lambda", "cut", "dense"), layer("Lambda", "ctc", "cut", "labels", "lengths"))
    )
    assert (name, config["config"]["output_layers"]) == ("ctc", ["cut", 0, 0])
    assert [layer["name"] for layer in config["config"]["layers"]] == ["image", "dense", "cut"]


def test_the_prediction_may_be_a_model() -> None:
    """Keras 2 counts the call that made it as its first."""
    inner = layer("Functional", "inner", "image")
    ctc = layer("Lambda", "ctc", "labels")
    ctc["inbound_nodes"][0].insert(0, ["inner", 1, 0, {}])
    config, _ = prediction(model(inner, ctc))
    assert config["config"]["output_layers"] == ["inner", 1, 0]


@pytest.mark.parametrize(
    ("ends", "takes"),
    [
        ([layer("Lambda", "ctc", "labels", "lengths")], "labels (InputLayer), lengths (InputLayer)"),
        (
            [layer("Reshape", "squeezed", "labels"), layer("CTC", "ctc", "dense", "squeezed")],
            "dense (Dense), squeezed (Reshape)",
        ),
    ],
    ids=["no prediction", "two"],
)
def test_unknown_head_is_named(ends: list[dict[str, Any]], takes: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        prediction(model(*ends))
    assert "layer 'ctc'" in str(caught.value)
    assert takes in str(caught.value)


def test_several_outputs() -> None:
    whole = model(layer("CTC", "ctc", "dense", "labels"))
    whole["config"]["output_layers"] = [["dense", 0, 0], ["ctc", 0, 0]]
    with pytest.raises(ModelFileError, match=r"has 2 outputs, dense, ctc; .* save keras.Model\(image, prediction\)"):
        prediction(whole)
    whole["config"]["output_layers"] = {"text": ["dense", 0, 0]}
    assert prediction(whole) == (whole, None)


def product(k: Any, x: Any, other: Any) -> Any:
    return x * other


def custom_softmax(k: Any, x: Any, other: Any) -> Any:
    class Sharper(k.layers.Layer):  # type: ignore[misc]
        def call(self, logits: Any) -> Any:
            return logits[0] * logits[1]

    return Sharper(name="sharper")([x, other])


def multiply(k: Any, x: Any, other: Any) -> Any:
    return k.layers.Multiply()([x, other])


@pytest.mark.parametrize("version", ["keras3", "keras2"])
@pytest.mark.parametrize("build", [product, custom_softmax, multiply])
def test_a_last_layer_that_computes_is_never_cut_off(build: Any, version: str, tmp_path: Path) -> None:
    k = engine(version)
    image = k.Input((8, 4, 1), name="image")
    other = k.Input((8, 5), name="other")
    x = k.layers.Dense(5, activation="softmax")(k.layers.Reshape((8, 4))(image))
    path = save(k.Model([image, other], build(k, x, other)), tmp_path / "model.h5")
    with pytest.raises(ModelFileError) as caught:
        load_network(path)
    assert "depends on the inputs image, other; expected one" in str(caught.value)
    assert '"lambdas": {"' in str(caught.value)


@pytest.mark.parametrize("version", ["keras3", "keras2"])
def test_a_nameless_loss_is_declared(version: str, tmp_path: Path) -> None:
    k = engine(version)
    image = k.Input((8, 4, 1), name="image")
    labels = k.Input((8, 5), name="labels")
    x = k.layers.Dense(5, activation="softmax", name="last")(k.layers.Reshape((8, 4))(image))
    y = k.layers.Lambda(lambda tensors: tensors[0] - tensors[1], output_shape=(8, 5), name="end")([x, labels])
    path = save(k.Model([image, labels], y), tmp_path / "model.h5")
    with pytest.raises(ModelFileError, match=r"""--lambda 'end=loss'.* "lambdas": \{"end": "loss"\}"""):
        load_network(path)
    network = load_network(path, declarations=Declarations(lambdas={"end": "loss"}))
    assert (network.head, network.graph.output_shape) == ("end", (8, 5))


@pytest.mark.parametrize("version", ["keras3", "keras2"])
@pytest.mark.parametrize("sequential", [False, True])
def test_a_prediction_that_is_a_model_of_its_own(version: str, sequential: bool, tmp_path: Path) -> None:
    k = engine(version)
    inner_image = k.Input((8, 4, 1))
    x = k.layers.Dense(5, activation="softmax")(k.layers.Reshape((8, 4))(inner_image))
    inner = k.Model(inner_image, x, name="inner")
    if sequential:
        inner = k.Sequential([k.Input((8, 4, 1)), k.layers.Reshape((8, 4)), k.layers.Dense(5, "softmax")], name="inner")
    image = k.Input((8, 4, 1), name="image")
    labels = k.Input((8, 5), name="labels")
    y = k.layers.Lambda(lambda tensors: tensors[0] - tensors[1], output_shape=(8, 5), name="ctc")(
        [inner(image), labels]
    )
    path = save(k.Model([image, labels], y), tmp_path / "model.h5")
    network = load_network(path)
    images = np.random.default_rng(1).normal(size=(2, 8, 4, 1)).astype(np.float32)
    np.testing.assert_allclose(oracle.run(network.graph, images), np.asarray(inner(images)), atol=1e-5)
    np.testing.assert_allclose(KerasReference(path).infer(images), np.asarray(inner(images)), atol=1e-5)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("keyword", [False, True])
@pytest.mark.parametrize("registered", [False, True])
def test_models_of_keras_3(keras: Any, tmp_path: Path, suffix: str, keyword: bool, registered: bool) -> None:
    """The head as in the captcha example of keras.io, which adds a loss; it is gone when the file is read."""
    layers = keras.layers

    class CTCLayer(layers.Layer):  # type: ignore[misc]
        def call(self, y_true: Any, y_pred: Any) -> Any:
            self.add_loss(keras.ops.mean(y_pred))
            return y_pred

    head = keras.saving.register_keras_serializable("captcha")(CTCLayer) if registered else CTCLayer
    image = keras.Input((8, 4, 1), name="image")
    labels = keras.Input((None,), name="label")
    x = layers.Reshape((8, 4))(image)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True, dropout=0.25))(x)
    x = layers.Dense(5, activation="softmax")(x)
    y = head(name="ctc_loss")(labels, y_pred=x) if keyword else head(name="ctc_loss")(labels, x)
    path = tmp_path / f"model.{suffix}"
    keras.Model({"image": image, "label": labels} if keyword else [labels, image], y).save(path)
    if registered:
        keras.saving.get_custom_objects().clear()
    images = np.random.default_rng(1).uniform(-1, 1, (2, 8, 4, 1)).astype(np.float32)
    expected = np.asarray(keras.Model(image, x)(images))
    network = load_network(path)
    assert network.head == "ctc_loss"
    np.testing.assert_allclose(oracle.run(network.graph, images), expected, atol=1e-5)
    np.testing.assert_allclose(KerasReference(path).infer(images), expected, atol=1e-6)
