"""Keras 2 networks with layers of their own, or with layers that no processor but a GPU runs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tf_keras.src.layers.rnn.cudnn_gru import CuDNNGRU
from tf_keras.src.layers.rnn.cudnn_lstm import CuDNNLSTM
from tf_keras.src.saving.legacy import hdf5_format

from .keras2 import K, L, keras, trained_by_lambda
from .networks import Network


class FullGatedConv2D(L.Conv2D):
    """The first half of a convolution's filters, each times the sigmoid of one of the second half."""

    def __init__(self, filters: int = 0, nb_filters: int = 0, **options: Any) -> None:
        self.nb_filters = filters or nb_filters
        super().__init__(filters=self.nb_filters * 2, **options)

    def call(self, inputs: Any) -> Any:
        """Convolve, split and gate."""
        linear, gates = tf.split(super().call(inputs), 2, axis=-1)
        return linear * tf.sigmoid(gates)

    def get_config(self) -> dict[str, Any]:
        """Name the filters after the gate: what its project writes."""
        config = super().get_config()
        del config["filters"]
        return {**config, "nb_filters": self.nb_filters}


class GatedConv2D(L.Conv2D):
    """The input times the sigmoid of its own convolution."""

    def call(self, inputs: Any) -> Any:
        """Gate the input."""
        return inputs * tf.sigmoid(super().call(inputs))


class ConvBlock(L.Layer):
    """Convolution, batch norm, pooling and only then the rectifier."""

    def __init__(
        self,
        features: int,
        kernel_size: int,
        stride: Any,
        cnn_padding: str,
        pool_size: Any,
        batchnorm: bool,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.conv = L.Conv2D(features, kernel_size, strides=stride, padding=cnn_padding)
        clipping = {"rmax": 1e2, "rmin": 1e-1, "dmax": 1e1}
        self.bn = L.BatchNormalization(renorm=True, renorm_clipping=clipping) if batchnorm else None
        self.pool = L.MaxPool2D(pool_size=pool_size, padding="same") if list(pool_size) > [1, 1] else None
        names = ("features", "kernel_size", "stride", "cnn_padding", "pool_size", "batchnorm")
        values = (features, kernel_size, stride, cnn_padding, pool_size, batchnorm)
        self._given = dict(zip(names, values, strict=True))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Run the four."""
        x = self.conv(inputs)
        if self.bn is not None:
            x = self.bn(x, training=training)
        if self.pool is not None:
            x = self.pool(x)
        return tf.nn.relu(x)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer was made with."""
        return {**super().get_config(), **{name: _plain(value) for name, value in self._given.items()}}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def flor() -> Network:
    """Build arthurflor23/handwritten-text-recognition `flor`: PReLU, renormalised batch norms, full gates, MaxNorm."""
    image = L.Input(name="input", shape=(160, 64, 1))
    x = image
    stages = [(4, (3, 3), (2, 2)), (6, (3, 3), (1, 1)), (8, (2, 4), (2, 4))]
    stages += [(8, (3, 3), (1, 1)), (10, (2, 4), (2, 4)), (12, (3, 3), (1, 1))]
    for index, (filters, kernel, strides) in enumerate(stages):
        x = L.Conv2D(filters, kernel, strides=strides, padding="same", kernel_initializer="he_uniform")(x)
        x = L.BatchNormalization(renorm=True)(L.PReLU(shared_axes=[1, 2])(x))
        if index < 5:
            limit = keras.constraints.MaxNorm(4, [0, 1, 2]) if index > 1 else None
            x = FullGatedConv2D(filters=filters, kernel_size=(3, 3), padding="same", kernel_constraint=limit)(x)
        if 1 < index < 5:
            x = L.Dropout(rate=0.2)(x)
    x = L.MaxPooling2D(pool_size=(1, 2), strides=(1, 2), padding="valid")(x)
    x = L.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = L.Dense(units=16)(L.Bidirectional(L.LSTM(units=16, return_sequences=True, dropout=0.5))(x))
    x = L.Bidirectional(L.LSTM(units=16, return_sequences=True, dropout=0.5))(x)
    model = keras.Model(image, L.Activation("softmax")(L.Dense(units=40)(x)))
    return Network(model, model)


def puigcerver() -> Network:
    """Build arthurflor23/handwritten-text-recognition `puigcerver`: LeakyReLU after norms, five LSTMs both ways."""
    image = L.Input(name="input", shape=(128, 64, 1))
    x = image
    for index, filters in enumerate((4, 6, 8, 8, 10)):
        if index > 1:
            x = L.Dropout(rate=0.2)(x)
        x = L.Conv2D(filters, kernel_size=(3, 3), strides=(1, 1), padding="same")(x)
        x = L.LeakyReLU()(L.BatchNormalization()(x))
        if index < 3:
            x = L.MaxPooling2D(pool_size=(2, 2), strides=(2, 2), padding="valid")(x)
    x = L.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    for _ in range(5):
        x = L.Bidirectional(L.LSTM(units=12, return_sequences=True, dropout=0.5))(x)
    x = L.Dense(units=40)(L.Dropout(rate=0.5)(x))
    model = keras.Model(image, L.Activation("softmax")(x))
    return Network(model, model)


def bluche() -> Network:
    """Build arthurflor23/handwritten-text-recognition `bluche`: the image itself reshaped, tanh, gated convolutions."""
    shape = (192, 128, 1)
    image = L.Input(name="input", shape=shape)
    x = L.Reshape((shape[0] // 2, shape[1] // 2, shape[2] * 4))(image)
    x = L.Activation("tanh")(L.Conv2D(4, (3, 3), strides=(1, 1), padding="same")(x))
    for filters, kernel, strides in ((6, (2, 4), (2, 4)), (8, (3, 3), (1, 1)), (10, (2, 4), (2, 4))):
        x = L.Activation("tanh")(L.Conv2D(filters, kernel, strides=strides, padding="same")(x))
        x = GatedConv2D(filters=filters, kernel_size=(3, 3), strides=(1, 1), padding="same")(x)
    x = L.Activation("tanh")(L.Conv2D(12, (3, 3), strides=(1, 1), padding="same")(x))
    x = L.MaxPooling2D(pool_size=(1, 4), strides=(1, 4), padding="valid")(x)
    x = L.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = L.Dense(units=16)(L.Bidirectional(L.LSTM(units=16, return_sequences=True))(x))
    x = L.Bidirectional(L.LSTM(units=16, return_sequences=True))(L.Activation("tanh")(x))
    model = keras.Model(image, L.Activation("softmax")(L.Dense(units=40)(x)))
    return Network(model, model)


def tf_crnn() -> Network:
    """Build solivr/tf-crnn: blocks of a class of its own, (height, width) turned by Permute, inputs that nobody takes.

    The training graph leaves the loss to `compile`, so that labels and lengths are inputs without any layer.
    """
    image = L.Input(shape=(48, 160, 1), name="input_images")
    rest = [
        L.Input(shape=[1], dtype="int32", name="input_seq_length"),
        L.Input(shape=(20,), dtype="int32", name="label_codes"),
        L.Input(shape=[1], dtype="int32", name="label_seq_length"),
    ]
    x = image
    for filters, pool, norm in ((4, 2, False), (6, 2, True), (8, 2, True), (10, 2, True), (12, 1, False)):
        x = ConvBlock(filters, 3, [1, 1], "same", [pool, pool], norm)(x)
    x = L.Permute((2, 1, 3))(x)
    x = L.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    for _ in range(2):
        x = L.Bidirectional(L.LSTM(16, dropout=0.5, return_sequences=True, time_major=False))(x)
    prediction = L.Softmax()(L.Dense(40)(x))
    model = keras.Model([image, rest[1], rest[0], rest[2]], prediction, name="CRNN")
    return Network(model, keras.Model(image, prediction))


def captcha_break(lstm: bool) -> Network:
    """Build ypwhs/captcha_break `ctc_2019.ipynb`: recurrent layers that run on cuDNN alone.

    The file holds real CuDNNGRU or CuDNNLSTM layers: one way and both ways. What it predicts is known from a twin of
    GRU(reset_after=True) or LSTM layers, whose weights are brought over as tf-keras itself converts them.
    """
    fast, plain = (CuDNNLSTM, L.LSTM) if lstm else (CuDNNGRU, L.GRU)
    K.reset_uids()
    twin, _ = _captcha_break(plain, lstm)
    K.reset_uids()
    prediction, training = _captcha_break(fast, lstm)

    def share() -> None:
        for source, target in zip(twin.layers, prediction.layers, strict=True):
            weights = hdf5_format.preprocess_weights_for_loading(target, source.get_weights(), "2", "tensorflow")
            target.set_weights(weights)

    return Network(training, twin, share=share)


def _captcha_break(cell: Any, one_way_first: bool) -> tuple[Any, Any]:
    image = L.Input((64, 128, 3))
    x = image
    for index, filters in enumerate((4, 6, 8, 10, 10)):
        for _ in range(2):
            x = L.Conv2D(filters, kernel_size=3, padding="same", kernel_initializer="he_uniform")(x)
            x = L.Activation("relu")(L.BatchNormalization()(x))
        x = L.MaxPooling2D(2 if index < 3 else (2, 1))(x)
    x = L.TimeDistributed(L.Flatten())(L.Permute((2, 1, 3))(x))
    first = cell(12, return_sequences=True)
    x = (first if one_way_first else L.Bidirectional(first))(x)
    x = L.Bidirectional(cell(12, return_sequences=True))(x)
    prediction = L.Dense(37, activation="softmax")(x)
    return keras.Model(image, prediction), trained_by_lambda(image, prediction, length=4)


# tf-keras converts cuDNN's weights by their shapes, once the layers are the plain ones.
CUSTOM: dict[str, Any] = {
    "FullGatedConv2D": FullGatedConv2D,
    "GatedConv2D": GatedConv2D,
    "ConvBlock": ConvBlock,
    "CuDNNGRU": L.GRU,
    "CuDNNLSTM": L.LSTM,
    "K": K,
}
