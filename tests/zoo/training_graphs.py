"""Keras 2 networks that are saved as they were trained: labels and lengths go in, a loss comes out."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from .keras2 import OLD_GRU, K, L, cost_of_all, keras, trained_by_lambda
from .networks import Network


class CTCLayer(L.Layer):
    """The head of keras.io's captcha example: adds the loss, and passes the prediction on."""

    def __init__(self, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name, **options)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Add the loss of full-length labels."""
        ones = tf.ones((tf.shape(y_true)[0], 1), dtype="int64")
        lengths = [tf.cast(tf.shape(tensor)[1], "int64") * ones for tensor in (y_pred, y_true)]
        self.add_loss(K.ctc_batch_cost(y_true, y_pred, *lengths))
        return y_pred


def captcha() -> Network:
    """Build keras-team/keras-io `examples/vision/captcha_ocr.py` as of 2020: (width, height) images, a CTC layer."""
    image = L.Input(shape=(200, 50, 1), name="image", dtype="float32")
    labels = L.Input(name="label", shape=(None,), dtype="float32")
    x = image
    for number, filters in ((1, 6), (2, 8)):
        options = {"activation": "relu", "kernel_initializer": "he_normal", "padding": "same"}
        x = L.Conv2D(filters, (3, 3), name=f"Conv{number}", **options)(x)
        x = L.MaxPooling2D((2, 2), name=f"pool{number}")(x)
    x = L.Reshape(target_shape=(50, 12 * 8), name="reshape")(x)
    x = L.Dropout(0.2)(L.Dense(16, activation="relu", name="dense1")(x))
    x = L.Bidirectional(L.LSTM(16, return_sequences=True, dropout=0.25))(x)
    x = L.Bidirectional(L.LSTM(12, return_sequences=True, dropout=0.25))(x)
    prediction = L.Dense(21, activation="softmax", name="dense2")(x)
    model = keras.Model([image, labels], CTCLayer(name="ctc_loss")(labels, prediction), name="ocr_model_v1")
    model.compile(optimizer=keras.optimizers.Adam())
    return Network(model, keras.Model(image, prediction))


def ssd_crnn(convolutional: bool) -> Network:
    """Build rykov8/ssd_keras and mvoelk/ssd_keras `crnn_model.CRNN`: two GRUs, or six dilated Conv1D in their place."""
    image = L.Input(shape=(128, 32, 1), name="image_input")
    same = {"activation": "relu", "padding": "same"}
    x = L.Conv2D(4, (3, 3), strides=(1, 1), name="conv1_1", **same)(image)
    x = L.MaxPool2D(pool_size=(2, 2), strides=(2, 2), name="pool1", padding="same")(x)
    x = L.Conv2D(8, (3, 3), name="conv2_1", **same)(x)
    x = L.MaxPool2D(pool_size=(2, 2), strides=(2, 2), name="pool2", padding="same")(x)
    x = L.Conv2D(12, (3, 3), name="conv3_1", **same)(x)
    x = L.Conv2D(12, (3, 3), name="conv3_2", **same)(x)
    x = L.MaxPool2D(pool_size=(2, 2), strides=(1, 2), name="pool3", padding="same")(x)
    x = L.BatchNormalization(name="batchnorm1")(L.Conv2D(16, (3, 3), name="conv4_1", **same)(x))
    x = L.BatchNormalization(name="batchnorm2")(L.Conv2D(16, (3, 3), name="conv5_1", **same)(x))
    x = L.MaxPool2D(pool_size=(2, 2), strides=(1, 2), name="pool5", padding="valid")(x)
    x = L.Conv2D(16, (2, 2), activation="relu", padding="valid", name="conv6_1")(x)
    x = L.Reshape((int(x.shape[1]), int(x.shape[3])))(x)
    if convolutional:
        for index in range(6):
            x = L.BatchNormalization()(x)
            x = L.Conv1D(16, 5, strides=1, dilation_rate=1 + (index + 1) % 2, padding="same", activation="relu")(x)
    else:
        options = {name: value for name, value in OLD_GRU.items() if name != "kernel_initializer"}
        for _ in range(2):
            x = L.Bidirectional(L.GRU(16, **options))(x)
    prediction = L.Activation("softmax", name="softmax")(L.Dense(30, name="dense1")(x))
    model = trained_by_lambda(image, prediction, labels="label_input", length=int(x.shape[1]))
    return Network(model, keras.Model(image, prediction))


def squeezed() -> Network:
    """Build TheAILearner/A-CRNN-model-for-Text-Recognition-in-Keras: K.squeeze in a Lambda between maps and steps."""
    image = L.Input(shape=(32, 128, 1))
    same = {"activation": "relu", "padding": "same"}
    x = L.MaxPool2D(pool_size=(2, 2), strides=2)(L.Conv2D(4, (3, 3), **same)(image))
    x = L.MaxPool2D(pool_size=(2, 2), strides=2)(L.Conv2D(8, (3, 3), **same)(x))
    x = L.Conv2D(12, (3, 3), **same)(x)
    x = L.MaxPool2D(pool_size=(2, 1))(L.Conv2D(12, (3, 3), **same)(x))
    x = L.BatchNormalization()(L.Conv2D(16, (3, 3), **same)(x))
    x = L.BatchNormalization()(L.Conv2D(16, (3, 3), **same)(x))
    x = L.MaxPool2D(pool_size=(2, 1))(x)
    x = L.Conv2D(16, (2, 2), activation="relu")(x)
    x = L.Lambda(lambda x: K.squeeze(x, 1))(x)
    for _ in range(2):
        x = L.Bidirectional(L.LSTM(16, return_sequences=True, dropout=0.2))(x)
    prediction = L.Dense(40, activation="softmax")(x)
    return Network(trained_by_lambda(image, prediction, length=16), keras.Model(image, prediction))


def one_way(training: bool) -> Network:
    """Build yousirui1/deep_learning `test_crnn.py`: images without a channel axis and of any width, one-way LSTMs.

    Its training graph takes the labels alone; the lengths are Lambdas of the prediction and of the labels.
    """
    sequential = keras.Sequential(
        [
            L.Reshape([32, -1, 1], input_shape=[32, None]),
            L.Conv2D(filters=4, kernel_size=(3, 3), activation="relu", padding="same"),
            L.MaxPooling2D(pool_size=(2, 2)),
            L.Conv2D(filters=6, kernel_size=(3, 3), activation="relu", padding="same"),
            L.MaxPooling2D(pool_size=(2, 2)),
            L.Conv2D(filters=8, kernel_size=(3, 3), activation="relu", padding="same"),
            L.Permute((2, 1, 3)),
            L.TimeDistributed(L.Flatten()),
            L.LSTM(units=16, return_sequences=True),
            L.LSTM(units=16, return_sequences=True),
            L.TimeDistributed(L.Dense(11, activation="softmax")),
        ]
    )
    if not training:
        return Network(sequential, sequential)
    labels = L.Input([None], dtype="int32")
    prediction = sequential.output
    lengths = [
        L.Lambda(lambda x: K.tile([[K.shape(x)[1]]], [K.shape(x)[0], 1]))(tensor) for tensor in (prediction, labels)
    ]
    loss = L.Lambda(lambda args: K.ctc_batch_cost(*args))([labels, prediction, *lengths])
    model = keras.Model([sequential.input, labels], loss)
    model.compile(loss=lambda y_true, y_pred: y_pred, optimizer="adadelta")
    return Network(model, keras.Model(sequential.input, prediction))


def windows(image: Any, window_width: int, window_stride: int) -> Any:
    """Return (windows, height, width, 1): what a window of full height sees as it slides to the right."""
    sizes, strides = [1, 1, window_width, 1], [1, 1, window_stride, 1]
    patches = tf.image.extract_patches(image, sizes, strides, [1, 1, 1, 1], "VALID")
    return tf.expand_dims(tf.transpose(patches, (0, 2, 1, 3)), -1)


def sliding_windows() -> Network:
    """Build Full Stack Deep Learning's `line_lstm_ctc`: a LeNet in TimeDistributed over windows cut by a Lambda.

    It has two outputs, the loss and what K.ctc_decode makes of the prediction.
    """
    height, width, window, stride, length, classes = 28, 280, 28, 14, 16, 20
    count = (width - window) // stride + 1
    image = L.Input(shape=(height, width), name="image")
    labels = L.Input(shape=(length,), name="y_true")
    input_length, label_length = L.Input(shape=(1,), name="input_length"), L.Input(shape=(1,), name="label_length")
    x = L.Reshape((height, width, 1))(image)
    patches = L.Lambda(windows, arguments={"window_width": window, "window_stride": stride})(x)
    lenet = keras.Sequential(
        [
            L.Conv2D(4, kernel_size=(3, 3), activation="relu", input_shape=(height, window, 1)),
            L.Conv2D(6, (3, 3), activation="relu"),
            L.MaxPooling2D(pool_size=(2, 2)),
            L.Dropout(0.2),
            L.Flatten(),
            L.Dense(24, activation="relu"),
            L.Dropout(0.2),
            L.Dense(classes, activation="softmax"),
        ]
    )
    lenet = keras.Model(inputs=lenet.inputs, outputs=lenet.layers[-2].output)
    x = L.LSTM(24, return_sequences=True)(L.TimeDistributed(lenet)(patches))
    prediction = L.Dense(classes, activation="softmax", name="softmax_output")(x)
    steps = L.Lambda(lambda x, num_windows=None: x * num_windows, arguments={"num_windows": count})(input_length)
    loss = L.Lambda(lambda x: K.ctc_batch_cost(x[0], x[1], x[2], x[3]), name="ctc_loss")
    decode = L.Lambda(lambda x: K.ctc_decode(x[0], K.flatten(x[1]))[0][0], name="ctc_decoded")
    outputs = [loss([labels, prediction, steps, label_length]), decode([prediction, steps])]
    return Network(keras.Model([image, labels, input_length, label_length], outputs), keras.Model(image, prediction))


# Lambdas are loaded with the names of this module.
CUSTOM: dict[str, Any] = {"CTCLayer": CTCLayer, "K": K, "cost_of_all": cost_of_all}
