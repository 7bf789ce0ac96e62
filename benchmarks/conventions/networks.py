"""The ten networks, each of a kind that people publish; none has more than 300,000 weights.

They give (batch, steps, classes) probabilities, `dense` logits. `kaggle` is a network of Keras 2, the others of
Keras 3; only layers of Keras itself are used, but for the loss that ends `captcha`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from converters.reference.engine import import_keras2


def captcha(classes: int) -> Any:
    """Build two convolutions, a dense layer and two bidirectional LSTMs, after the captcha example of keras.io."""
    image = layers.Input((100, 32, 1), name="image")
    x = layers.Conv2D(24, 5, strides=2, activation="relu", kernel_initializer="he_normal", padding="same")(image)
    x = layers.Conv2D(32, 3, activation="relu", kernel_initializer="he_normal", padding="same")(x)
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Conv2D(48, 3, activation="relu", kernel_initializer="he_normal", padding="same")(x)
    x = layers.MaxPooling2D((1, 2))(x)
    x = layers.Reshape((25, 4 * 48))(x)
    x = layers.Dense(64, activation="relu")(x)
    x = layers.Dropout(0.1)(x)
    x = layers.Bidirectional(layers.LSTM(48, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(32, return_sequences=True))(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax", name="dense2")(x), name="captcha")


@keras.saving.register_keras_serializable(package="captcha")
class CTCLayer(layers.Layer):  # type: ignore[misc]
    """A layer that adds the loss, and returns the predictions unchanged."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Add the loss of labels, (N, longest), and predictions, (N, steps, classes); return the predictions."""
        lengths = ops.sum(ops.cast(y_true >= 0, "int32"), axis=1)
        steps = ops.full_like(lengths, y_pred.shape[1])
        blank = y_pred.shape[2] - 1
        self.add_loss(ops.mean(ops.ctc_loss(y_true, ops.log(y_pred + 1e-7), lengths, steps, mask_index=blank)))
        return y_pred


def captcha_with_loss(model: Any) -> Any:
    """Return the network with its loss, as it is trained."""
    labels = layers.Input((None,), dtype="int32", name="label")
    output = CTCLayer(name="ctc_loss")(labels, model.output)
    return keras.Model([model.input, labels], output, name="ocr_model_v1")


def handwriting(classes: int) -> Any:
    """Build convolutions and two bidirectional LSTMs, after the handwriting example of keras.io."""
    image = layers.Input((128, 32, 1), name="image")
    x = layers.Conv2D(24, 3, activation="relu", kernel_initializer="he_normal", padding="same", name="Conv1")(image)
    x = layers.MaxPooling2D((2, 2), name="pool1")(x)
    x = layers.Conv2D(32, 3, activation="relu", kernel_initializer="he_normal", padding="same", name="Conv2")(x)
    x = layers.MaxPooling2D((2, 2), name="pool2")(x)
    x = layers.Reshape(target_shape=(32, 8 * 32), name="reshape")(x)
    x = layers.Dense(64, activation="relu", name="dense1")(x)
    x = layers.Dropout(0.1)(x)
    x = layers.Bidirectional(layers.LSTM(48, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(32, return_sequences=True))(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax", name="dense2")(x), name="handwriting")


def image_ocr(classes: int) -> Any:
    """Build two pairs of GRUs whose backward halves are merged unreversed, after Keras' example image_ocr."""
    image = layers.Input((112, 32, 1), name="the_input")
    x = layers.Conv2D(16, 3, padding="same", activation="relu", kernel_initializer="he_normal", name="conv1")(image)
    x = layers.MaxPooling2D((2, 2), name="max1")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu", kernel_initializer="he_normal", name="conv2")(x)
    x = layers.MaxPooling2D((2, 2), name="max2")(x)
    x = layers.Reshape((28, 8 * 32), name="reshape")(x)
    x = layers.Dense(48, activation="relu", name="dense1")(x)
    x = layers.Add()(_both_ways(x, 64, "gru1"))
    x = layers.Concatenate()(_both_ways(x, 64, "gru2"))
    x = layers.Dense(classes, kernel_initializer="he_normal", name="dense2")(x)
    return keras.Model(image, layers.Activation("softmax", name="softmax")(x), name="image_ocr")


def _both_ways(x: Any, units: int, name: str) -> list[Any]:
    return [
        layers.GRU(units, return_sequences=True, kernel_initializer="he_normal", name=name)(x),
        layers.GRU(units, return_sequences=True, go_backwards=True, kernel_initializer="he_normal", name=f"{name}_b")(
            x
        ),
    ]


def residual(classes: int) -> Any:
    """Build three blocks with shortcuts and a bidirectional LSTM."""
    image = layers.Input((32, 100, 3), name="image")

    def norm_conv(x: Any, filters: int, kernel: int, strides: int | tuple[int, int] = 1) -> Any:
        x = layers.Conv2D(filters, kernel, strides, "same", use_bias=False, kernel_initializer="he_normal")(x)
        return layers.BatchNormalization()(x)

    def block(x: Any, filters: int, strides: tuple[int, int]) -> Any:
        inner = layers.ReLU()(norm_conv(x, filters, 3, strides))
        inner = norm_conv(inner, filters, 3)
        return layers.ReLU()(layers.Add()([inner, norm_conv(x, filters, 1, strides)]))

    x = layers.ReLU()(norm_conv(image, 16, 5, 2))
    x = block(x, 24, (2, 2))
    x = block(x, 40, (2, 1))
    x = block(x, 56, (2, 1))
    x = layers.Bidirectional(layers.LSTM(48, return_sequences=True))(_columns(x))
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x), name="residual")


def mobile(classes: int) -> Any:
    """Build scaling inside the network, inverted residuals and a bidirectional GRU, after MobileNet 2."""
    image = layers.Input((32, 128, 3), name="image")

    def pointwise(x: Any, filters: int) -> Any:
        return layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(x))

    def block(x: Any, filters: int, strides: int = 1, expand: int = 2) -> Any:
        inner = layers.ReLU(max_value=6)(pointwise(x, expand * x.shape[-1]))
        inner = layers.DepthwiseConv2D(3, strides, "same", use_bias=False)(inner)
        inner = layers.ReLU(max_value=6)(layers.BatchNormalization()(inner))
        inner = pointwise(inner, filters)
        return layers.Add()([x, inner]) if strides == 1 and x.shape[-1] == filters else inner

    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(16, 3, 2, "same", use_bias=False)(x)
    x = layers.ReLU(max_value=6)(layers.BatchNormalization()(x))
    x = block(x, 24, strides=2)
    x = block(x, 24)
    x = layers.AveragePooling2D((2, 1))(x)
    x = block(x, 48)
    x = block(x, 48)
    x = layers.AveragePooling2D((2, 1))(x)
    x = layers.ReLU(max_value=6)(pointwise(x, 80))
    x = layers.Bidirectional(layers.GRU(56, return_sequences=True))(_columns(x))
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x), name="mobile")


def dense(classes: int) -> Any:
    """Build three blocks of concatenated convolutions, and the steps' logits from the columns, without recurrence."""
    image = layers.Input((32, 128, 1), name="image")

    def norm_conv(x: Any, filters: int, kernel: int) -> Any:
        x = layers.ReLU()(layers.BatchNormalization()(x))
        return layers.Conv2D(filters, kernel, padding="same", use_bias=False, kernel_initializer="he_normal")(x)

    def block(x: Any, count: int, growth: int) -> Any:
        for _ in range(count):
            x = layers.Concatenate()([x, norm_conv(x, growth, 3)])
        return x

    x = layers.Conv2D(16, 5, 2, padding="same", use_bias=False, kernel_initializer="he_normal")(image)
    x = layers.AveragePooling2D(2)(norm_conv(block(x, 1, 12), 24, 1))
    x = layers.AveragePooling2D((2, 1))(norm_conv(block(x, 3, 16), 48, 1))
    x = layers.AveragePooling2D((2, 1))(norm_conv(block(x, 4, 24), 72, 1))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(image, layers.Dense(classes)(_columns(x)), name="dense")


def gated(classes: int) -> Any:
    """Build gated convolutions with PReLU and a bidirectional GRU, after arthurflor23's "Flor"."""
    image = layers.Input((128, 32, 1), name="input")

    def block(x: Any, filters: int, strides: tuple[int, int], gate: bool = True) -> Any:
        x = layers.Conv2D(filters, 3, strides, "same", kernel_initializer="he_uniform")(x)
        x = layers.BatchNormalization()(layers.PReLU(shared_axes=[1, 2])(x))
        if not gate:
            return x
        return layers.Multiply()([x, layers.Conv2D(filters, 3, padding="same", activation="sigmoid")(x)])

    x = block(image, 16, (2, 2))
    x = block(x, 24, (2, 2))
    x = block(x, 40, (1, 2))
    x = block(x, 56, (1, 2), gate=False)
    x = layers.Reshape((32, 2 * 56))(x)
    x = layers.Bidirectional(layers.GRU(56, return_sequences=True))(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x), name="gated")


def kaggle(classes: int) -> Any:
    """Build convolutions with batch norm and two bidirectional LSTMs, in Keras 2, after a widely copied notebook."""
    _, keras2 = import_keras2()
    layers2 = keras2.layers
    image = layers2.Input(shape=(160, 32, 1), name="input")
    x = image
    for number, (filters, pool) in enumerate(((16, (2, 2)), (32, (2, 2)), (48, (1, 2))), 1):
        x = layers2.Conv2D(filters, 3, padding="same", name=f"conv{number}", kernel_initializer="he_normal")(x)
        x = layers2.BatchNormalization()(x)
        x = layers2.Activation("relu")(x)
        x = layers2.MaxPooling2D(pool_size=pool, name=f"max{number}")(x)
    x = layers2.Reshape(target_shape=(40, 4 * 48), name="reshape")(x)
    x = layers2.Dense(64, activation="relu", kernel_initializer="he_normal", name="dense1")(x)
    x = layers2.Bidirectional(layers2.LSTM(40, return_sequences=True), name="lstm1")(x)
    x = layers2.Bidirectional(layers2.LSTM(40, return_sequences=True), name="lstm2")(x)
    x = layers2.Dense(classes, kernel_initializer="he_normal", name="dense2")(x)
    return keras2.Model(inputs=image, outputs=layers2.Activation("softmax", name="softmax")(x))


def kaggle_with_loss(model: Any, longest: int) -> Any:
    """Return the network with its loss, which ignores the first two steps, for labels of `longest` symbols."""
    _, keras2 = import_keras2()
    layers2 = keras2.layers
    labels = layers2.Input(name="gtruth_labels", shape=[longest], dtype="float32")
    input_length = layers2.Input(name="input_length", shape=[1], dtype="int64")
    label_length = layers2.Input(name="label_length", shape=[1], dtype="int64")
    loss = layers2.Lambda(ctc_lambda_func, output_shape=(1,), name="ctc")(
        [model.output, labels, input_length, label_length]
    )
    return keras2.Model(inputs=[model.input, labels, input_length, label_length], outputs=loss)


def ctc_lambda_func(args: Any) -> Any:
    """Return the loss of each image, (N, 1)."""
    _, keras2 = import_keras2()
    y_pred, labels, input_length, label_length = args
    y_pred = y_pred[:, 2:, :]
    return keras2.backend.ctc_batch_cost(labels, y_pred, input_length, label_length)


def transformer(classes: int) -> Any:
    """Build convolutions and two layers of attention over the columns, without positions."""
    image = layers.Input((32, 128, 3), name="image")

    def conv(x: Any, filters: int, kernel: int, strides: tuple[int, int]) -> Any:
        x = layers.Conv2D(filters, kernel, strides, "same", use_bias=False, kernel_initializer="he_normal")(x)
        return layers.ReLU()(layers.BatchNormalization()(x))

    def encoder(x: Any, heads: int = 4, rate: float = 0.1) -> Any:
        width, y = x.shape[-1], layers.LayerNormalization(epsilon=1e-6)(x)
        attention = layers.MultiHeadAttention(heads, width // heads, dropout=rate)
        x = layers.Add()([x, layers.Dropout(rate)(attention(y, y))])
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.Dense(width)(layers.Dense(2 * width, activation="gelu")(y))
        return layers.Add()([x, layers.Dropout(rate)(y)])

    x = conv(image, 16, 5, (2, 2))
    x = conv(x, 32, 3, (2, 2))
    x = conv(x, 48, 3, (2, 1))
    x = conv(x, 48, 3, (1, 1))
    x = layers.Dense(80)(_columns(x))
    x = layers.LayerNormalization(epsilon=1e-6)(encoder(encoder(x)))
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x), name="transformer")


def one_way(classes: int) -> Any:
    """Build a batch norm of the pixels, convolutions, and two forward LSTMs."""
    image = layers.Input((32, 100, 1), name="image")
    x = layers.BatchNormalization()(image)
    x = layers.Conv2D(16, 5, 2, "same", activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Conv2D(32, 3, 2, "same", activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Conv2D(48, 3, 1, "same", activation="relu", kernel_initializer="he_normal")(x)
    x = layers.MaxPooling2D((2, 1))(x)
    x = layers.Conv2D(48, 3, 1, "same", activation="relu", kernel_initializer="he_normal")(x)
    x = layers.LSTM(80, return_sequences=True)(_columns(x))
    x = layers.LSTM(80, return_sequences=True)(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x), name="one_way")


def _columns(x: Any) -> Any:
    """Turn (N, rows, columns, channels) into (N, columns, rows × channels)."""
    x = layers.Permute((2, 1, 3))(x)
    return layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
