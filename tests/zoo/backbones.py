"""Networks of keras.applications under two LSTMs and a CTC head, and a Transformer of Keras' own layers alone.

Each backbone is cut where its maps are still wide enough to be read: text needs columns more than depth. No trained
weights are fetched.
"""

from __future__ import annotations

from typing import Any

import keras

from .networks import Network

L = keras.layers
SHAPE = (32, 160, 3)


def _read(image: Any, maps: Any, name: str) -> Network:
    x = L.Permute((2, 1, 3), name="columns")(maps)
    x = L.Reshape((x.shape[1], x.shape[2] * x.shape[3]), name="steps")(x)
    x = L.Dense(24, activation="relu", name="narrow")(x)
    x = L.Bidirectional(L.LSTM(16, return_sequences=True), name="lstm1")(x)
    x = L.Bidirectional(L.LSTM(16, return_sequences=True), name="lstm2")(x)
    model = keras.Model(image, L.Dense(37, activation="softmax", name="characters")(x), name=name)
    return Network(model, model)


def mobilenet_v2() -> Network:
    """Build a CRNN on MobileNetV2, called as one layer: inverted residuals, relu6, padding before strides."""
    whole = keras.applications.MobileNetV2(SHAPE, alpha=0.35, include_top=False, weights=None)
    backbone = keras.Model(whole.input, whole.get_layer("block_13_expand_relu").output, name="mobilenetv2")
    image = L.Input(SHAPE, name="image")
    return _read(image, backbone(image), "mobilenetv2_crnn")


def mobilenet_v3() -> Network:
    """Build a CRNN on MobileNetV3Small: hard_silu, squeeze and excite with a hard sigmoid, bytes rescaled inside."""
    whole = keras.applications.MobileNetV3Small(SHAPE, alpha=0.5, include_top=False, weights=None)
    return _read(whole.input, whole.get_layer("expanded_conv_7_add").output, "mobilenetv3_crnn")


def efficientnet() -> Network:
    """Build a CRNN on EfficientNetB0: silu, squeeze and excite, bytes rescaled and normalised inside."""
    whole = keras.applications.EfficientNetB0(input_shape=SHAPE, include_top=False, weights=None)
    return _read(whole.input, whole.get_layer("block4a_expand_activation").output, "efficientnet_crnn")


def resnet() -> Network:
    """Build a CRNN on ResNet50, called as one layer: explicit zero padding, projected and plain shortcuts."""
    whole = keras.applications.ResNet50(input_shape=SHAPE, include_top=False, weights=None)
    backbone = keras.Model(whole.input, whole.get_layer("conv3_block4_out").output, name="resnet50")
    image = L.Input(SHAPE, name="image")
    return _read(image, backbone(image), "resnet_crnn")


def densenet() -> Network:
    """Build a CRNN on DenseNet121: a concatenation after every pair of convolutions, averages between its blocks."""
    whole = keras.applications.DenseNet121(input_shape=SHAPE, include_top=False, weights=None)
    return _read(whole.input, whole.get_layer("pool3_relu").output, "densenet_crnn")


def transformer() -> Network:
    """Build an encoder without a class of its own: the bias of an EinsumDense, one for each step, is the position.

    Norms follow their sums here, where those of the other encoder come before.
    """
    image = L.Input((32, 128, 1), name="image")
    x = L.Conv2D(8, (8, 4), strides=(8, 4), activation="gelu", name="patches")(image)
    x = L.Permute((2, 1, 3))(x)
    x = L.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = L.EinsumDense("abc,cd->abd", output_shape=(x.shape[1], 24), bias_axes="bd", name="positions")(x)
    for _ in range(2):
        y = L.MultiHeadAttention(num_heads=2, key_dim=12)(x, x)
        x = L.LayerNormalization(epsilon=1e-6)(L.Add()([x, y]))
        y = keras.Sequential([L.Dense(48, activation="gelu"), L.Dropout(0.1), L.Dense(24)])(x)
        x = L.LayerNormalization(epsilon=1e-6)(L.Add()([x, y]))
    model = keras.Model(image, L.Dense(37, activation="softmax", name="characters")(x))
    return Network(model, model)


CUSTOM: dict[str, Any] = {}
