"""Keras 2 networks with something special in their convolutions: DenseNets, residual blocks, channels first."""

from __future__ import annotations

from typing import Any

from .keras2 import OLD_GRU, L, keras
from .networks import Network


def densenet(recurrent: bool) -> Network:
    """Build YCG09/chinese_ocr `dense_cnn` of any width, or xiaoyubing/chinese_ocr `dense_blstm` of a fixed one.

    Three dense blocks of eight layers, no bias before the blocks, and the rows flattened for each step.
    """
    image = L.Input(shape=(32, 112 if recurrent else None, 1), name="the_input")
    decay = keras.regularizers.l2(1e-4)
    plain = {"kernel_initializer": "he_normal", "padding": "same", "use_bias": False, "kernel_regularizer": decay}
    x = L.Conv2D(12, (5, 5), strides=(2, 2), **plain)(image)
    for block in range(3):
        for _ in range(8):
            y = L.Activation("relu")(L.BatchNormalization(axis=-1, epsilon=1.1e-5)(x))
            y = L.Conv2D(3, (3, 3), kernel_initializer="he_normal", padding="same")(y)
            x = L.concatenate([x, y], axis=-1)
        x = L.Activation("relu")(L.BatchNormalization(axis=-1, epsilon=1.1e-5)(x))
        if block < 2:
            x = L.Dropout(0.2)(L.Conv2D(20, (1, 1), **plain)(x))
            x = L.AveragePooling2D((2, 2), strides=(2, 2))(x)
    x = L.Permute((2, 1, 3), name="permute")(x)
    x = L.TimeDistributed(L.Flatten(), name="flatten")(x)
    if recurrent:
        options = {name: value for name, value in OLD_GRU.items() if name != "kernel_initializer"}
        x = L.Bidirectional(L.GRU(16, implementation=2, **options), name="blstm1")(x)
        x = L.Dense(16, name="blstm1_out", activation="linear")(x)
        x = L.Bidirectional(L.GRU(16, implementation=2, **options), name="blstm2")(x)
    model = keras.Model(image, L.Dense(60, name="out", activation="softmax")(x))
    return Network(model, model)


def channels_first() -> Network:
    """Build chineseocr/chineseocr `network_keras.keras_crnn`: a PyTorch CRNN in its own axis order, with logits."""
    first = {"data_format": "channels_first"}
    image = L.Input(shape=(1, 32, None), name="imgInput")
    x = image
    for index, filters in enumerate((4, 8, 12, 12, 16, 16, 16)):
        kernel, padding = (2, "valid") if index == 6 else (3, "same")
        x = L.Conv2D(filters, kernel, strides=(1, 1), padding=padding, name=f"cnn.conv{index}", **first)(x)
        if index in (2, 4, 6):
            x = L.BatchNormalization(epsilon=1e-05, axis=1, momentum=0.1, name=f"cnn.batchnorm{index}")(x)
        x = L.LeakyReLU(alpha=0.2)(x)
        if index in (0, 1):
            x = L.MaxPool2D(pool_size=(2, 2), padding="valid", name=f"cnn.pooling{index}", **first)(x)
        if index in (3, 5):
            x = L.ZeroPadding2D(padding=(0, 1), **first)(x)
            name = f"cnn.pooling{index // 2 + 1}"
            x = L.MaxPool2D(pool_size=(2, 2), strides=(2, 1), padding="valid", name=name, **first)(x)
    x = L.Reshape((-1, 16))(L.Permute((3, 2, 1))(x))
    options = {"return_sequences": True, "use_bias": True, "recurrent_activation": "sigmoid"}
    x = L.Bidirectional(L.LSTM(16, **options))(x)
    x = L.TimeDistributed(L.Dense(16))(x)
    x = L.Bidirectional(L.LSTM(16, **options))(x)
    model = keras.Model(image, L.TimeDistributed(L.Dense(40))(x))
    return Network(model, model)


def crnn_tf2(width: int | None) -> Network:
    """Build FLming/CRNN.tf2: pools of (2, 1) strides padded at the right alone, no bias before norms, logits."""
    image = keras.Input(shape=(32, width, 3))
    x = L.Conv2D(8, 3, padding="same", activation="relu", name="conv1")(image)
    x = L.MaxPool2D(pool_size=2, padding="same", name="pool1")(x)
    x = L.Conv2D(12, 3, padding="same", activation="relu", name="conv2")(x)
    x = L.MaxPool2D(pool_size=2, padding="same", name="pool2")(x)
    for number, filters in ((3, 16), (5, 24)):
        x = L.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = L.Activation("relu", name=f"relu{number}")(L.BatchNormalization(name=f"bn{number}")(x))
        x = L.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{number + 1}")(x)
        x = L.MaxPool2D(pool_size=2, strides=(2, 1), padding="same", name=f"pool{number + 1}")(x)
    x = L.Conv2D(24, 2, use_bias=False, name="conv7")(x)
    x = L.Activation("relu", name="relu7")(L.BatchNormalization(name="bn7")(x))
    x = L.Reshape((-1, 24), name="reshape7")(x)
    for number in (1, 2):
        x = L.Bidirectional(L.LSTM(units=16, return_sequences=True), name=f"bi_lstm{number}")(x)
    model = keras.Model(image, L.Dense(units=37, name="logits")(x), name="crnn")
    return Network(model, model)


def mltu() -> Network:
    """Build pythonlessons/mltu tutorial 03: bytes divided in a Lambda, nine residual blocks, rows joined to steps."""
    image = L.Input(shape=(32, 128, 3), name="input")
    x = L.Lambda(lambda x: x / 255)(image)
    blocks = [(4, True, 1), (4, True, 2), (4, False, 1), (6, True, 2), (6, False, 1), (8, True, 2), (8, True, 1)]
    for filters, convolve, strides in [*blocks, (8, False, 1), (8, False, 1)]:
        options = {"padding": "same", "kernel_initializer": "he_uniform"}
        y = L.Conv2D(filters, 3, strides=strides, **options)(x)
        y = L.LeakyReLU(alpha=0.1)(L.BatchNormalization()(y))
        y = L.BatchNormalization()(L.Conv2D(filters, 3, **options)(y))
        if convolve:
            x = L.Conv2D(filters, 1, strides=strides, **options)(x)
        x = L.Dropout(0.2)(L.LeakyReLU(alpha=0.1)(L.Add()([y, x])))
    x = L.Reshape((x.shape[-3] * x.shape[-2], x.shape[-1]))(x)
    x = L.Dropout(0.2)(L.Bidirectional(L.LSTM(16, return_sequences=True))(x))
    model = keras.Model(image, L.Dense(30, activation="softmax", name="output")(x))
    return Network(model, model)


def hyperlpr_convolutional() -> Network:
    """Build szad670401/HyperLPR `e2emodel.py`: (width, 40) pixels of any width, convolutions down to one row."""
    image = L.Input((None, 40, 3))
    x = image
    for power in range(3):
        x = L.Conv2D(4 * 2**power, (3, 3), padding="same")(x)
        x = L.Activation("relu")(L.BatchNormalization()(x))
        x = L.MaxPooling2D(pool_size=(2, 2))(x)
    for filters, kernel in ((24, (5, 5)), (32, (1, 1))):
        x = L.Activation("relu")(L.BatchNormalization()(L.Conv2D(filters, kernel)(x)))
    model = keras.Model(image, L.Activation("softmax")(L.Conv2D(36, (1, 1))(x)))
    return Network(model, model)


CUSTOM: dict[str, Any] = {}
