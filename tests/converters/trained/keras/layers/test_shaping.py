"""Layers that move values, that act in training alone, or that work on every step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters.graph.nodes import Dense, Reshape
from edge_crnn.errors import ModelFileError
from tests.converters.trained.keras.layers.helpers import (
    FORMATS,
    Row,
    changed,
    check,
    converted,
    network_of,
    rows,
    save,
)

MAP = (3, 4, 2)
STEPS = (4, 6)
MAPS = (3, 7, 6, 4)
Build = Callable[[Any, Any], Any]
AUGMENTED = ("keras3.keras", "keras2.h5")
"""Keras 3 cannot write these layers into an .h5."""


@rows(
    Row("Reshape", MAP, lambda keras, x: keras.layers.Reshape((4, 6))(x)),
    Row("Reshape, open", MAP, lambda keras, x: keras.layers.Reshape((-1, 3))(x)),
    Row("Permute", MAP, lambda keras, x: keras.layers.Permute((2, 3, 1))(x)),
    Row("Flatten", MAP, lambda keras, x: keras.layers.Flatten()(x)),
    Row("Flatten, first", MAP, lambda keras, x: keras.layers.Flatten(data_format="channels_first")(x)),
    Row("RepeatVector", (5,), lambda keras, x: keras.layers.RepeatVector(3)(x)),
)
def test_move(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


def _all(*layers: tuple[str, tuple[Any, ...]]) -> Build:
    """Layers one after the other."""

    def build(keras: Any, x: Any) -> Any:
        for layer, settings in layers:
            x = getattr(keras.layers, layer)(*settings)(x)
        return x

    return build


@rows(
    Row("noise", (4, 4, 3), _all(
        ("Dropout", (0.5,)), ("SpatialDropout2D", (0.5,)), ("GaussianDropout", (0.5,)), ("GaussianNoise", (0.5,)),
        ("ActivityRegularization", (0.5,)), ("AlphaDropout", (0.5,)),
    )),
    Row("augmentation", (4, 4, 3), _all(
        ("RandomBrightness", (0.5,)), ("RandomContrast", (0.5,)), ("RandomFlip", ()), ("RandomRotation", (0.5,)),
        ("RandomTranslation", (0.5, 0.5)), ("RandomZoom", (0.5,)),
    ), AUGMENTED),
    Row("augmentation, new", (4, 4, 3), _all(("RandomHue", (0.5,)), ("RandomErasing", (0.5,))), AUGMENTED[:1]),
    Row("Identity", (4, 4, 3), _all(("Identity", ()))),
    Row("SpatialDropout1D", STEPS, _all(("SpatialDropout1D", (0.5,)))),
)  # fmt: skip
def test_layers_that_act_in_training_alone(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


def _noise(keras: Any, x: Any) -> Any:
    return keras.layers.Dense(3)(keras.layers.GaussianNoise(0.5)(x, training=True))


def test_noise_at_inference(tmp_path: Path) -> None:
    """Keras 2 adds it where a call says training=True; Keras 3 goes by who calls the model."""
    model, *_ = network_of(Row("", STEPS, _noise), "keras2")
    with pytest.raises(ModelFileError, match=r"\(GaussianNoise\): called with training=True"):
        converted(save(model, tmp_path / "model.h5"), STEPS)
    model, *_ = network_of(Row("", STEPS, _noise), "keras3")
    (node,) = converted(save(model, tmp_path / "model.keras"), STEPS).nodes
    assert isinstance(node, Dense)


def test_masking(tmp_path: Path) -> None:
    model, *_ = network_of(Row("", STEPS, lambda keras, x: keras.layers.LSTM(3)(keras.layers.Masking()(x))))
    with pytest.raises(ModelFileError, match=r"layer 'masking\w*' \(Masking\): masks are not supported"):
        converted(save(model, tmp_path / "model.keras"), STEPS)


@pytest.mark.parametrize("target", [[-1, -1], [0, 4], ["4", 6], [5, -1], [1 << 30], [1] * 99, "24"])
def test_damaged_reshape(target: object, tmp_path: Path) -> None:
    model, *_ = network_of(Row("", MAP, lambda keras, x: keras.layers.Reshape((4, 6))(x)))
    path = changed(save(model, tmp_path / "model.keras"), "Reshape", {"target_shape": target})
    with pytest.raises(ModelFileError, match="layer 'reshape"):
        converted(path, MAP)


# --- TimeDistributed -------------------------------------------------------------------------------------------------


def on_steps(layer: str, *sizes: Any, **settings: Any) -> Build:
    """A layer on every step."""
    return lambda keras, x: keras.layers.TimeDistributed(getattr(keras.layers, layer)(*sizes, **settings))(x)


def lenet(keras: Any, x: Any) -> Any:
    """A small network on every step, as sliding windows over a line of text have it."""
    network = keras.Sequential([
        keras.Input(MAPS[1:]),
        keras.layers.Conv2D(3, 3, activation="relu", name="first"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Conv2D(5, 2, strides=2, padding="same", name="second"),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dense(5),
    ])  # fmt: skip
    return keras.layers.TimeDistributed(network)(x)


def residual(keras: Any, x: Any) -> Any:
    """A functional network on every step, with two branches."""
    inputs = keras.Input(MAPS[1:])
    left = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([inputs, left]))
    joined = keras.layers.Concatenate()([pooled, keras.layers.Dense(2)(pooled)])
    return keras.layers.TimeDistributed(keras.Model(inputs, joined))(x)


@rows(
    Row("Dense", STEPS, on_steps("Dense", 3, activation="relu"), FORMATS),
    Row("Dense on maps", MAPS, on_steps("Dense", 3)),
    Row("Flatten", MAPS, on_steps("Flatten")),
    Row("Activation", STEPS, on_steps("Activation", "softmax")),
    Row("Dropout", STEPS, on_steps("Dropout", 0.5)),
    Row("Reshape", STEPS, on_steps("Reshape", (2, -1))),
    Row("Permute", MAPS, on_steps("Permute", (3, 1, 2))),
    Row("PReLU", STEPS, on_steps("PReLU")),
    Row("Softmax, axis", MAPS, on_steps("Softmax", axis=1)),
    Row("ReLU, limit", STEPS, on_steps("ReLU", 1.5)),
    Row("BatchNormalization", MAPS, on_steps("BatchNormalization"), FORMATS),
    Row("LayerNormalization", MAPS, on_steps("LayerNormalization")),
    Row("LayerNormalization, axes", MAPS, on_steps("LayerNormalization", axis=(1, 2))),
    Row("Conv2D", MAPS, on_steps("Conv2D", 3, 3), FORMATS),
    Row("Conv2D, same", MAPS, on_steps("Conv2D", 3, (4, 3), padding="same", activation="relu")),
    Row("Conv2D, strides", MAPS, on_steps("Conv2D", 3, (2, 3), strides=(3, 2), padding="same")),
    Row("Conv2D, strides, valid", MAPS, on_steps("Conv2D", 3, (5, 3), strides=2)),
    Row("Conv2D, dilation", MAPS, on_steps("Conv2D", 3, 3, dilation_rate=2)),
    Row("Conv1D", MAPS[1:], on_steps("Conv1D", 3, 3, padding="same")),
    Row("DepthwiseConv2D", MAPS, on_steps("DepthwiseConv2D", 3, padding="same")),
    Row("MaxPooling2D", MAPS, on_steps("MaxPooling2D", 2)),
    Row("MaxPooling2D, overlap", MAPS, on_steps("MaxPooling2D", 3, strides=2)),
    Row("MaxPooling2D, same", MAPS, on_steps("MaxPooling2D", 3, strides=2, padding="same")),
    Row("AveragePooling2D", MAPS, on_steps("AveragePooling2D", (3, 2))),
    Row("AveragePooling2D, same", MAPS, on_steps("AveragePooling2D", 3, strides=2, padding="same")),
    Row("GlobalMaxPooling2D", MAPS, on_steps("GlobalMaxPooling2D")),
    Row("ZeroPadding2D", MAPS, on_steps("ZeroPadding2D", 1)),
    Row("Cropping2D", MAPS, on_steps("Cropping2D", 1)),
    Row("UpSampling2D", MAPS, on_steps("UpSampling2D", 2, interpolation="bilinear")),
    Row("RepeatVector", STEPS, on_steps("RepeatVector", 3)),
    Row("Sequential", MAPS, lenet, FORMATS),
    Row("Functional", MAPS, residual, FORMATS),
    Row("twice", MAPS, lambda keras, x: keras.layers.TimeDistributed(keras.layers.TimeDistributed(
        keras.layers.Dense(3)))(x), FORMATS),
)  # fmt: skip
def test_time_distributed(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


def test_names_on_steps(tmp_path: Path) -> None:
    """Nodes are named after the wrapper."""
    build = lambda keras, x: keras.layers.TimeDistributed(keras.layers.Dense(3, activation="relu"), name="td")(x)  # noqa: E731
    for version, file in (("keras3", "model.keras"), ("keras2", "model.h5")):
        model, *_ = network_of(Row("", STEPS, build), version)
        assert [node.name for node in converted(save(model, tmp_path / file), STEPS).nodes] == ["td", "td/relu"]


def test_flatten_on_steps_is_one_reshape(tmp_path: Path) -> None:
    model, *_ = network_of(Row("", MAPS, on_steps("Flatten")))
    (node,) = converted(save(model, tmp_path / "model.keras"), MAPS).nodes
    assert isinstance(node, Reshape)


def test_layers_that_need_a_map_are_refused_on_steps(tmp_path: Path) -> None:
    model, *_ = network_of(Row("", MAPS[1:], on_steps("LSTM", 3)))
    with pytest.raises(ModelFileError, match="Recurrent cannot work on every step of a TimeDistributed"):
        converted(save(model, tmp_path / "model.keras"), MAPS[1:])
