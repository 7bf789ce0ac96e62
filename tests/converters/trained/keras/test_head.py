"""Training heads, found by their place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.reference.keras import KerasReference
from converters.trained.keras.head import prediction
from converters.trained.keras.model import load_network
from edge_crnn.errors import ModelFileError


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
def test_the_head_and_what_feeds_it_alone_are_left_out(head: str) -> None:
    whole = model(HEADS[head])
    before = json.dumps(whole)
    config, name = prediction(whole)
    assert name == "ctc"
    left = {each["name"] for each in config["config"]["layers"]}
    taken = {name for name in ("labels", "lengths") if f'"{name}"' in json.dumps(HEADS[head])}
    assert left == {"image", "dense", "labels", "lengths"} - taken
    assert config["config"]["output_layers"] == ["dense", 0, 0]
    assert [each for each, *_ in config["config"]["input_layers"]] == [
        each for each in ("image", "labels", "lengths") if each in left
    ]
    assert json.dumps(whole) == before


@pytest.mark.parametrize(
    "end",
    [
        layer("Lambda", "ctc", "dense"),
        layer("Add", "ctc", "dense", "labels"),
        layer("Add", "ctc", "dense", "labels", module="keras.layers"),
        layer("Multiply", "ctc", "dense", "labels", module="keras.src.ops.numpy"),
        layer("Mine", "ctc", "dense"),
    ],
    ids=str,
)
def test_what_computes_the_prediction_is_no_head(end: dict[str, Any]) -> None:
    assert prediction(model(end)) == (model(end), None)


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
def test_anything_else_is_named(ends: list[dict[str, Any]], takes: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        prediction(model(*ends))
    assert "layer 'ctc'" in str(caught.value)
    assert takes in str(caught.value)


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
    image, labels = keras.Input((8, 4, 1), name="image"), keras.Input((None,), name="label")
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
