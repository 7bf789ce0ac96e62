"""Keras 3 networks that branch: attention over channels and steps, global context, a backbone inside."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from .networks import Network

L = keras.layers


def tiny_lpr() -> Network:
    """Build noahzhy/LPR_v2 `tiny_lpr.py` in plain layers: MobileNet blocks, and attention that multiplies a skip.

    The original turns its maps so that channels are the steps, and positions what the last layer sees.
    """
    image = L.Input(shape=(64, 128, 1), name="input0")
    x = _convolved(image, 8, (3, 3), 2, "conv1")
    x = _bottleneck(x, 8, 8, 2, 3)
    x = _bottleneck(x, 16, 10, 1, 3)
    skip = x = _bottleneck(x, 18, 10, 1, 3)
    for expanded, filters, strides in ((20, 12, 2), (30, 12, 1), (30, 12, 1), (24, 14, 1), (28, 14, 1), (40, 24, 2)):
        x = _bottleneck(x, expanded, filters, strides, 5)
    channels = x.shape[-1]
    weights = L.Reshape((channels, 1))(L.GlobalAveragePooling2D()(x))
    weights = L.Activation("sigmoid")(L.Conv1D(1, 5, padding="same", use_bias=False)(weights))
    x = L.Multiply()([x, L.Reshape((1, 1, channels))(weights)])
    x = L.UpSampling2D((2, 2), interpolation="bilinear")(x)
    x = L.Multiply()([x, L.Conv2D(channels, 1, strides=2, padding="same", name="c1_conv")(skip)])
    x = L.Reshape((8 * 16, channels), name="flatten_reshape")(x)
    x = L.Dropout(0.5, name="dropout")(L.Permute((2, 1), name="flatten_transpose")(x))
    x = L.Dense(36, name="dense_last")(x)
    model = keras.Model(image, L.Activation("softmax", dtype="float32", name="act_softmax")(x), name="tinyLPR")
    return Network(model, model)


def _convolved(x: Any, filters: int, kernel: tuple[int, int], strides: int, name: str | None = None) -> Any:
    x = L.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False, name=name)(x)
    return L.Activation("relu6")(L.BatchNormalization()(x))


def _bottleneck(x: Any, expanded: int, filters: int, strides: int, kernel: int) -> Any:
    y = _convolved(x, expanded, (1, 1), 1)
    y = L.DepthwiseConv2D((kernel, kernel), strides=strides, padding="same", use_bias=False)(y)
    y = L.Activation("relu6")(L.BatchNormalization()(y))
    y = L.BatchNormalization()(L.Conv2D(filters, (1, 1), padding="same", use_bias=False)(y))
    return L.Add()([y, x]) if strides == 1 and x.shape[-1] == filters else y


def lprnet(over_batch: bool) -> Network:
    """Build clsandoval/LPRnet-keras `LPRnet_separable.py` in plain layers: separable convolutions, global context.

    The context is divided by its mean square. The original takes the mean over the batch as well, so that an image's
    text depends on its neighbours; with `over_batch` it does so here.
    """
    image = L.Input(shape=(24, 94, 3))
    x = L.SeparableConv2D(8, (3, 3), padding="same", name="main_conv1")(image)
    first = x
    x = L.ReLU(name="RELU1")(L.BatchNormalization(name="BN1")(x))
    x = L.MaxPool2D(pool_size=(3, 3), strides=(1, 1), padding="same", name="maxpool2d_1")(x)
    second = x = _small_basic_block(x, 12)
    x = L.MaxPool2D(pool_size=(3, 3), strides=(1, 2), padding="same", name="maxpool2d_2")(x)
    third = x = _small_basic_block(x, 16)
    fourth = x = _small_basic_block(x, 16)
    x = L.MaxPool2D(pool_size=(3, 3), strides=(1, 2), padding="same", name="maxpool2d_3")(x)
    x = L.Dropout(0.5)(x)
    x = L.ReLU()(L.BatchNormalization()(L.SeparableConv2D(16, (4, 1), padding="same", name="main_conv2")(x)))
    x = L.Dropout(0.5)(x)
    x = L.ReLU()(L.BatchNormalization()(L.SeparableConv2D(36, (1, 13), padding="same", name="main_conv3")(x)))
    pooled = [L.AveragePooling2D((1, 4), strides=(1, 4), padding="same")(maps) for maps in (first, second)]
    pooled += [L.AveragePooling2D((1, 2), strides=(1, 2), padding="same")(maps) for maps in (third, fourth)]
    axes = {"axis": None} if over_batch else {"axis": (1, 2, 3), "keepdims": True}
    context = [maps / ops.mean(ops.square(maps), **axes) for maps in [*pooled, x]]
    x = L.SeparableConv2D(36, (1, 1), padding="same", name="conv_out")(L.Concatenate(axis=3)(context))
    model = keras.Model(image, L.Softmax()(ops.mean(x, axis=1)))
    return Network(model, model, head="conv_out")


def _small_basic_block(x: Any, filters: int) -> Any:
    for count, kernel in ((filters // 4, (1, 1)), (filters // 4, (3, 1)), (filters // 4, (1, 3)), (filters, (1, 1))):
        x = L.ReLU()(L.BatchNormalization()(L.SeparableConv2D(count, kernel, padding="same")(x)))
    return x


def mobilenet_inside() -> Network:
    """Build the public `Model_OCR`: a MobileNet of keras.applications called as one layer, two GRUs both ways."""
    image = L.Input(shape=(48, 256, 3), name="the_input")
    x = L.Rescaling(1 / 127.5, offset=-1.0)(image)
    backbone = keras.applications.MobileNet((48, 256, 3), alpha=0.25, include_top=False, weights=None, name="backbone")
    x = L.Permute((2, 1, 3), name="permute")(backbone(x))
    x = L.TimeDistributed(L.Flatten(), name="timedistrib")(x)
    x = L.Bidirectional(L.GRU(16, return_sequences=True), name="blstm1")(x)
    x = L.Dense(16, activation="linear", name="blstm1_out")(x)
    x = L.Bidirectional(L.GRU(16, return_sequences=True), name="blstm2")(x)
    model = keras.Model(image, L.Dense(11, activation="softmax", name="blstm2_out")(x))
    return Network(model, model)


@keras.saving.register_keras_serializable(package="ocr")
class PositionEmbedding(L.Layer):
    """Adds to each step a vector that was learned for its place."""

    def build(self, input_shape: Any) -> None:
        """Make one vector for each step."""
        self.embeddings = self.add_weight(name="embeddings", shape=tuple(input_shape[1:]), initializer="uniform")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Add."""
        return inputs + self.embeddings


def transformer() -> Network:
    """Build what public code puts under a CTC: convolutions, positions of a layer of its own, two encoder blocks."""
    image = L.Input(shape=(32, 128, 1), name="image")
    x = image
    for filters, strides in ((6, 2), (8, 2), (12, (2, 1))):
        x = L.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = L.Activation("gelu")(L.BatchNormalization()(x))
    x = L.Permute((2, 1, 3))(x)
    x = L.Dense(24)(L.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x))
    x = PositionEmbedding(name="positions")(x)
    for _ in range(2):
        y = L.LayerNormalization(epsilon=1e-6)(x)
        y = L.MultiHeadAttention(num_heads=3, key_dim=8, dropout=0.1)(y, y)
        x = L.Add()([x, y])
        y = L.Dense(48, activation="gelu")(L.LayerNormalization(epsilon=1e-6)(x))
        x = L.Add()([L.Dense(24)(L.Dropout(0.1)(y)), x])
    x = L.LayerNormalization(epsilon=1e-6)(x)
    model = keras.Model(image, L.Dense(40, activation="softmax", name="output")(x))
    return Network(model, model)


CUSTOM: dict[str, Any] = {}
