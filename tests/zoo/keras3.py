"""Keras 3 networks that are chains of layers but for something: heads, operations, dilation, states, own layers."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from .networks import Network

L = keras.layers


class CTCLayer(L.Layer):
    """The head of keras.io's captcha example, as of 2024: adds the loss, and passes the prediction on."""

    def __init__(self, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name, **options)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Add the loss of full-length labels; the blank is the last class."""
        count, steps, classes = ops.shape(y_pred)[0], ops.shape(y_pred)[1], y_pred.shape[-1]
        rolled = ops.roll(ops.log(y_pred + keras.config.epsilon()), 1, axis=-1)
        labels = ops.mod(ops.cast(y_true, "int32") + 1, classes)
        lengths = [ops.ones((count,), "int32") * length for length in (ops.shape(y_true)[1], steps)]
        self.add_loss(ops.ctc_loss(labels, rolled, *lengths, mask_index=0))
        return y_pred


@keras.saving.register_keras_serializable(package="chamanti")
class CRNNReshape(L.Layer):
    """Maps of (rows, columns, channels) to steps of columns, each with its rows and channels."""

    def call(self, inputs: Any) -> Any:
        """Turn and flatten."""
        _, height, width, channels = inputs.shape
        return ops.reshape(ops.transpose(inputs, (0, 2, 1, 3)), (-1, width, height * channels))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (batch, columns, rows x channels)."""
        batch, height, width, channels = input_shape
        return batch, width, height * channels


def two_convolutions(shape: tuple[int, int, int], classes: int, name: str) -> Network:
    """Build keras-team/keras-io `captcha_ocr.py` and `handwriting_recognition.py`: the same layers, other images."""
    image = L.Input(shape=shape, name="image", dtype="float32")
    labels = L.Input(name="label", shape=(None,), dtype="float32")
    x = image
    for number, filters in ((1, 6), (2, 8)):
        options = {"activation": "relu", "kernel_initializer": "he_normal", "padding": "same"}
        x = L.Conv2D(filters, (3, 3), name=f"Conv{number}", **options)(x)
        x = L.MaxPooling2D((2, 2), name=f"pool{number}")(x)
    x = L.Reshape(target_shape=(shape[0] // 4, shape[1] // 4 * 8), name="reshape")(x)
    x = L.Dropout(0.2)(L.Dense(16, activation="relu", name="dense1")(x))
    x = L.Bidirectional(L.LSTM(16, return_sequences=True, dropout=0.25))(x)
    x = L.Bidirectional(L.LSTM(12, return_sequences=True, dropout=0.25))(x)
    prediction = L.Dense(classes, activation="softmax", name="dense2")(x)
    model = keras.Model([image, labels], CTCLayer(name="ctc_loss")(labels, prediction), name=name)
    model.compile(optimizer=keras.optimizers.Adam())
    return Network(model, keras.Model(image, prediction))


def rescaled_residual() -> Network:
    """Build pythonlessons/mltu tutorial 03 in Keras 3, with a Rescaling layer for its Lambda."""
    image = L.Input(shape=(32, 128, 3), name="input")
    x = L.Rescaling(1 / 255)(image)
    blocks = [(4, True, 1), (4, True, 2), (4, False, 1), (6, True, 2), (6, False, 1), (8, True, 2), (8, True, 1)]
    for filters, convolve, strides in blocks:
        options = {"padding": "same", "kernel_initializer": "he_uniform"}
        y = L.Conv2D(filters, 3, strides=strides, **options)(x)
        y = L.LeakyReLU(negative_slope=0.1)(L.BatchNormalization()(y))
        y = L.BatchNormalization()(L.Conv2D(filters, 3, **options)(y))
        if convolve:
            x = L.Conv2D(filters, 1, strides=strides, **options)(x)
        x = L.Dropout(0.2)(L.LeakyReLU(negative_slope=0.1)(L.Add()([y, x])))
    x = L.Reshape((x.shape[-3] * x.shape[-2], x.shape[-1]))(x)
    x = L.Dropout(0.2)(L.Bidirectional(L.LSTM(16, return_sequences=True))(x))
    model = keras.Model(image, L.Dense(30, activation="softmax", name="output")(x))
    return Network(model, model)


def squeezed() -> Network:
    """Build what ducthinh14091999/ocrfots and others write: a squeeze of the library in the middle of layers."""
    image = L.Input(shape=(32, 128, 1), name="image")
    x = image
    for filters, pool in ((4, (2, 2)), (8, (2, 2)), (12, (2, 1)), (16, (2, 1))):
        x = L.Conv2D(filters, 3, padding="same", activation="selu")(x)
        x = L.MaxPooling2D(pool)(L.BatchNormalization()(x))
    x = ops.squeeze(L.Conv2D(16, (2, 2), activation="selu")(x), axis=1)
    for _ in range(2):
        x = L.Bidirectional(L.LSTM(16, return_sequences=True))(x)
    model = keras.Model(image, L.Dense(40, activation="softmax", name="dense")(x))
    return Network(model, model)


def lite_spec() -> Network:
    """Build rakeshvar/chamanti_ocr `lite_spec`: depthwise convolutions, layer norms, swish, a GRU both ways, logits."""
    image = L.Input(shape=(48, 128, 1), name="image")
    x = L.Conv2D(6, (3, 3), padding="same")(image)
    x = L.MaxPooling2D((2, 2))(L.Activation("swish")(L.LayerNormalization()(x)))
    for kernel, filters, pool in (((3, 3), 8, (2, 2)), ((1, 5), 10, (2, 1)), ((3, 3), 12, None), ((1, 5), 16, (2, 1))):
        x = L.Conv2D(filters, (1, 1))(L.DepthwiseConv2D(kernel, padding="same")(x))
        x = L.Activation("swish")(L.LayerNormalization()(x))
        if pool:
            x = L.MaxPooling2D(pool)(x)
    x = CRNNReshape(name="reshape")(L.Conv2D(24, (1, 1))(x))
    x = L.Dropout(0.2)(L.Bidirectional(L.GRU(16, return_sequences=True))(x))
    model = keras.Model(image, L.Dense(40, name="output")(x))
    return Network(model, model)


def balanced_spec() -> Network:
    """Build rakeshvar/chamanti_ocr `balanced_spec`: swish, wide and dilated kernels, a kernel as high as its maps."""
    image = L.Input(shape=(96, 128, 1), name="image")
    x = image
    stages: list[tuple[int, tuple[int, int], tuple[int, int], tuple[int, int] | None]] = [
        (4, (3, 3), (1, 1), None),
        (4, (3, 3), (1, 1), (2, 2)),
        (6, (3, 3), (1, 1), None),
        (6, (3, 3), (1, 1), (2, 2)),
        (8, (3, 3), (1, 1), None),
        (8, (1, 5), (1, 1), (2, 1)),
        (10, (3, 3), (1, 2), None),
        (10, (3, 3), (1, 1), None),
        (12, (3, 3), (1, 1), None),
        (12, (1, 7), (1, 1), (2, 1)),
    ]
    for filters, kernel, dilation, pool in stages:
        x = L.Conv2D(filters, kernel, dilation_rate=dilation, padding="same")(x)
        x = L.Activation("swish")(L.BatchNormalization()(x))
        if pool:
            x = L.MaxPooling2D(pool)(x)
    x = L.Conv2D(12, (6, 1), strides=(6, 1), padding="valid")(x)
    x = L.Conv2D(16, (1, 1))(x)
    x = L.Reshape((x.shape[2], x.shape[1] * x.shape[3]))(x)
    for _ in range(2):
        x = L.Dropout(0.2)(L.Bidirectional(L.LSTM(16, return_sequences=True))(x))
    model = keras.Model(image, L.Dense(40, name="output")(x))
    return Network(model, model)


def samfc10() -> Network:
    """Build Kaggle's samfc10/handwriting-recognition-using-crnn-in-keras; one of the two mergers is a sum here."""
    image = L.Input(shape=(256, 64, 1), name="input")
    x = image
    for number, filters, pool in ((1, 4, (2, 2)), (2, 6, (2, 2)), (3, 8, (1, 2))):
        x = L.Conv2D(filters, (3, 3), padding="same", name=f"conv{number}", kernel_initializer="he_normal")(x)
        x = L.Activation("relu")(L.BatchNormalization()(x))
        x = L.MaxPooling2D(pool_size=pool, name=f"max{number}")(x)
        if number > 1:
            x = L.Dropout(0.3)(x)
    x = L.Reshape(target_shape=(64, 8 * 8), name="reshape")(x)
    x = L.Dense(16, activation="relu", kernel_initializer="he_normal", name="dense1")(x)
    x = L.Bidirectional(L.LSTM(16, return_sequences=True), name="lstm1")(x)
    x = L.Bidirectional(L.LSTM(16, return_sequences=True), merge_mode="sum", name="lstm2")(x)
    x = L.Dense(30, kernel_initializer="he_normal", name="dense2")(x)
    model = keras.Model(image, L.Activation("softmax", name="softmax")(x))
    return Network(model, model)


def stateful() -> Network:
    """Build rakeshvar/chamanti_ocr as of 2020: a batch of four for ever, and an LSTM that keeps its states."""
    image = L.Input(name="image", batch_shape=(4, 128, 32, 1), dtype="float32")
    x = image
    for stage, (filters, slope) in enumerate(((4, 0.5), (6, 0.2), (8, 0.1)), 1):
        for letter in "ab":
            x = L.Conv2D(filters, (3, 3), padding="same", name=f"conv{stage}{letter}")(x)
            x = L.ReLU(negative_slope=slope)(x)
        x = L.MaxPooling2D((2, 2), name=f"pool{stage}")(x)
    x = L.Reshape(target_shape=(16, 4 * 8), name="reshape")(x)
    x = L.Bidirectional(L.LSTM(16, name="lstm", return_sequences=True, stateful=True))(x)
    model = keras.Model(image, L.Dense(40, activation="softmax", name="output")(x), name="crnn_ctc_model")
    return Network(model, model, share=model.get_layer("bidirectional").reset_state)


CUSTOM: dict[str, Any] = {"CTCLayer": CTCLayer}
