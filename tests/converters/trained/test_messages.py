"""Messages that once named another cause than the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters.trained.facts import file_facts
from converters.trained.keras.model import load_graph
from edge_crnn.errors import ModelFileError
from tests.converters.trained.keras.layers.helpers import engine, save


def small(keras: Any, change: Callable[[Any, Any], Any]) -> Any:
    """A recogniser of images (32, 16, 1); `change` takes Keras and a map (32, 16, 4), and gives one (32, 16, n)."""
    image = keras.Input((32, 16, 1), name="image")
    x = change(keras, keras.layers.Conv2D(4, 3, padding="same", name="conv")(image))
    x = keras.layers.Reshape((32, -1))(x)
    return keras.Model(image, keras.layers.Dense(5, activation="softmax", name="head")(x))


def obstacle_message(model: Any, path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        load_graph(save(model, path))
    return str(caught.value)


@pytest.mark.parametrize(("version", "name"), [("keras3", "a.keras"), ("keras2", "a.h5")])
def test_skip_connections_convert(version: str, name: str, tmp_path: Path) -> None:
    """They were refused with a word on backward layers."""
    model = small(engine(version), lambda keras, x: keras.layers.Add()([x, keras.layers.Conv2D(4, 1)(x)]))
    assert load_graph(save(model, tmp_path / name)).output_shape == (32, 5)


def test_a_layer_of_two_inputs_is_named_itself(tmp_path: Path) -> None:
    """It was refused as a merge of a forward and a backward layer."""
    keras = engine("keras2")

    class Sampler(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:
            return x[0] * x[1]

    model = small(keras, lambda keras, x: Sampler(name="sampler")([x, keras.layers.Conv2D(4, 1)(x)]))
    text = obstacle_message(model, tmp_path / "a.h5")
    assert "layer 'sampler' (Sampler): not supported" in text
    assert "--layers FILE" in text
    assert "backward" not in text


def test_a_nested_model_before_a_lambda(tmp_path: Path) -> None:
    """The Lambda was said to take ['model', 1, 0]."""

    def change(keras: Any, x: Any) -> Any:
        inner_input = keras.Input((32, 16, 4))
        inner = keras.Model(inner_input, keras.layers.Conv2D(4, 1)(inner_input), name="inner")
        return keras.layers.Lambda(lambda pair: pair[0] * pair[1], name="sampler")([x, inner(x)])

    text = obstacle_message(small(engine("keras2"), change), tmp_path / "a.h5")
    assert "layer 'sampler' (Lambda): code in a model file is never run. Say what it does" in text


@pytest.mark.parametrize(("version", "name"), [("keras3", "a.keras"), ("keras2", "a.h5")])
def test_masking_is_named(version: str, name: str, tmp_path: Path) -> None:
    """The layer behind it was refused, for its mask."""
    keras = engine(version)
    image = keras.Input((32, 16), name="image")
    x = keras.layers.Masking(name="masked")(image)
    x = keras.layers.LSTM(4, return_sequences=True, name="lstm")(x)
    text = obstacle_message(keras.Model(image, keras.layers.Dense(5, activation="softmax")(x)), tmp_path / name)
    assert "layer 'masked' (Masking): masks are not supported" in text


@pytest.mark.parametrize("kind", ["RandomContrast", "RandomBrightness", "RandomZoom", "GaussianNoise"])
def test_augmentation_does_nothing(kind: str, tmp_path: Path) -> None:
    model = small(engine("keras3"), lambda keras, x: getattr(keras.layers, kind)(0.1)(x, training=False))
    assert load_graph(save(model, tmp_path / "a.keras")).output_shape == (32, 5)


def test_operations_of_tensorflow_convert(tmp_path: Path) -> None:
    """tf.squeeze was said to start the model."""
    keras = engine("keras2")
    tensorflow = pytest.importorskip("tensorflow")

    def change(keras: Any, x: Any) -> Any:
        return tensorflow.squeeze(keras.layers.MaxPooling2D((1, 16))(x), axis=2) / 255.0

    assert load_graph(save(small(keras, change), tmp_path / "a.h5")).output_shape == (32, 5)


def test_time_distributed_dense_of_keras_2(tmp_path: Path) -> None:
    """Its kernel was not found."""
    keras = engine("keras2")
    model = small(keras, lambda keras, x: keras.layers.TimeDistributed(keras.layers.Dense(3))(x))
    assert load_graph(save(model, tmp_path / "a.h5")).output_shape == (32, 5)


def test_an_axis_of_length_1_beside_steps_and_classes(tmp_path: Path) -> None:
    """(steps, 1, classes) was said to be no CTC recogniser."""
    keras = engine("keras3")
    image = keras.Input((32, 16, 1))
    x = keras.layers.Conv2D(5, (1, 16), activation="softmax")(image)
    facts = file_facts(save(keras.Model(image, x), tmp_path / "a.keras"))
    assert (facts.axes, facts.steps, facts.classes) == ("WHC", 32, 5)


def test_the_last_layer_is_not_taken_for_a_loss(tmp_path: Path) -> None:
    """A product with a second input was dropped without a word."""
    keras = engine("keras3")
    model = small(keras, lambda _, x: x)
    valid = keras.Input((32, 1), name="valid")
    text = obstacle_message(
        keras.Model([model.input, valid], keras.layers.Multiply()([model.output, valid])), tmp_path / "a.keras"
    )
    assert "the prediction depends on the inputs" in text
    assert "valid" in text
