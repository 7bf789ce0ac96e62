"""Keras 2 networks whose two directions are wired by hand, most of them merged without turning one round."""

from __future__ import annotations

from typing import Any

from .keras2 import OLD_GRU, OLD_LSTM, K, L, keras, pair, trained_by_lambda
from .networks import Network
from .spatial import disturb, localisation, sampled


def image_ocr() -> Network:
    """Build keras-team/keras `examples/image_ocr.py`: GRUs added and joined as they come."""
    image = L.Input(name="the_input", shape=(128, 64, 1), dtype="float32")
    x = image
    for number in (1, 2):
        options = {"activation": "relu", "kernel_initializer": "he_normal"}
        x = L.Conv2D(8, (3, 3), padding="same", name=f"conv{number}", **options)(x)
        x = L.MaxPooling2D(pool_size=(2, 2), name=f"max{number}")(x)
    x = L.Reshape(target_shape=(32, 16 * 8), name="reshape")(x)
    x = L.Dense(16, activation="relu", name="dense1")(x)
    x = L.add(list(pair(x, L.GRU, 24, ("gru1", "gru1_b"), OLD_GRU)))
    x = L.concatenate(list(pair(x, L.GRU, 24, ("gru2", "gru2_b"), OLD_GRU)))
    x = L.Dense(28, kernel_initializer="he_normal", name="dense2")(x)
    prediction = L.Activation("softmax", name="softmax")(x)
    return Network(trained_by_lambda(image, prediction, skip=True, length=16), keras.Model(image, prediction))


def keras_ocr(stn: bool) -> Network:
    """Build faustomorales/keras-ocr `recognition.build_model`, with or without its spatial transformer.

    The image is turned to (width, height) and mirrored by a Lambda, which is how its authors undo that the rows of
    janzd/CRNN run upwards; a last Lambda drops two steps.
    """
    height, width, discarded = 31, 200, 2
    filters = (4, 6, 8, 8, 12, 12, 12)
    image = L.Input((height, width, 1))
    x = L.Permute((2, 1, 3))(image)
    x = L.Lambda(lambda x: x[:, :, ::-1])(x)
    for number, count in enumerate(filters, 1):
        x = L.Conv2D(count, (3, 3), activation="relu", padding="same", name=f"conv_{number}")(x)
        if number in (3, 5, 7):
            x = L.BatchNormalization(name=f"bn_{number}")(x)
        if number in (3, 5):
            x = L.MaxPooling2D(pool_size=(2, 2), name=f"maxpool_{number}")(x)
    net = None
    if stn:
        shape = (width // 4, height // 4, filters[-1])
        net = localisation(shape, (6, 8), 16)
        x = L.Lambda(sampled, output_shape=shape)([x, net(x)])
    x = L.Reshape(target_shape=(width // 4, height // 4 * filters[-1]), name="reshape")(x)
    x = L.Dense(16, activation="relu", name="fc_9")(x)
    options = {"return_sequences": True, "kernel_initializer": "he_normal"}
    x = L.Add()(list(pair(x, L.LSTM, 16, ("lstm_10", "lstm_10_back"), options)))
    x = L.Concatenate()(list(pair(x, L.LSTM, 16, ("lstm_11", "lstm_11_back"), options)))
    x = L.Dropout(0.25, name="dropout")(x)
    x = L.Dense(37, kernel_initializer="he_normal", activation="softmax", name="fc_12")(x)
    x = L.Lambda(lambda x: x[:, discarded:])(x)
    model = keras.Model(image, x)
    return Network(model, model, head="fc_12", adjust=(lambda: disturb(net, 5)) if stn else None)


def crnn_keras(cell: str, flip: bool) -> Network:
    """Build qjadud1994/CRNN-Keras `Model.py` or `Model_GRU.py`: batch norms after both merges of seven convolutions.

    The LSTM network was first merged without a flip, and its last Dense layer takes what the last batch norm is not
    asked about; later both directions are turned the same way.
    """
    image = L.Input(name="the_input", shape=(128, 64, 1), dtype="float32")
    x = image
    pools = {1: (2, 2), 2: (2, 2), 4: (1, 2), 6: (1, 2)}
    for number, filters in enumerate((4, 8, 16, 16, 32, 32, 32), 1):
        name, kernel = ("con7", (2, 2)) if number == 7 else (f"conv{number}", (3, 3))
        x = L.Conv2D(filters, kernel, padding="same", name=name, kernel_initializer="he_normal")(x)
        x = L.Activation("relu")(L.BatchNormalization()(x))
        if number in pools:
            x = L.MaxPooling2D(pool_size=pools[number], name=f"max{number}")(x)
    x = L.Reshape(target_shape=(32, 4 * 32), name="reshape")(x)
    x = L.Dense(16, activation="relu", kernel_initializer="he_normal", name="dense1")(x)
    make, options = {"lstm": (L.LSTM, OLD_LSTM), "gru": (L.GRU, OLD_GRU)}[cell]
    x = L.BatchNormalization()(L.add(list(pair(x, make, 16, (f"{cell}1", f"{cell}1_b"), options, flip))))
    joined = L.concatenate(list(pair(x, make, 16, (f"{cell}2", f"{cell}2_b"), options, flip)))
    x = L.BatchNormalization()(joined)
    x = L.Dense(30, kernel_initializer="he_normal", name="dense2")(x if flip else joined)
    prediction = L.Activation("softmax", name="softmax")(x)
    return Network(trained_by_lambda(image, prediction, skip=True), keras.Model(image, prediction))


def hyperlpr_gru() -> Network:
    """Build szad670401/HyperLPR `model_seq_rec`: unpadded convolutions of BGR pixels, GRUs that are not turned."""
    image = L.Input((164, 48, 3))
    x = image
    for power in range(3):
        x = L.Conv2D(4 * 2**power, (3, 3))(x)
        x = L.Activation("relu")(L.BatchNormalization()(x))
        x = L.MaxPooling2D(pool_size=(2, 2))(x)
    x = L.Reshape(target_shape=(int(x.shape[1]), int(x.shape[2] * x.shape[3])))(x)
    x = L.Activation("relu")(L.BatchNormalization()(L.Dense(16)(x)))
    x = L.add(list(pair(x, L.GRU, 16, ("gru1", "gru1_b"), OLD_GRU)))
    x = L.concatenate(list(pair(x, L.GRU, 16, ("gru2", "gru2_b"), OLD_GRU)))
    x = L.Dropout(0.25)(x)
    x = L.Dense(36, kernel_initializer="he_normal", activation="softmax")(x)
    model = keras.Model(image, x)
    return Network(model, model)


def crnn_with_stn() -> Network:
    """Build sbillburg/CRNN-with-STN, whose transformer is connected to nothing: batch norms of raw bytes, LSTMs."""
    image = L.Input((200, 31, 3))
    x = image
    for number, filters in enumerate((4, 6, 8, 8, 12, 12, 12), 1):
        x = L.Conv2D(filters, (3, 3), activation="relu", padding="same")(x)
        if number in (1, 3, 5, 7):
            x = L.BatchNormalization()(x)
        if number in (3, 5):
            x = L.MaxPooling2D(pool_size=(2, 2))(x)
    x = L.Reshape(target_shape=(int(x.shape[1]), int(x.shape[2] * x.shape[3])))(x)
    x = L.Dense(16, activation="relu")(x)
    x = L.add(list(pair(x, L.LSTM, 16, ("rnn1", "rnn1_b"), OLD_LSTM)))
    x = L.concatenate(list(pair(x, L.LSTM, 16, ("rnn2", "rnn2_b"), OLD_LSTM)))
    x = L.Dense(37, kernel_initializer="he_normal", activation="softmax")(L.Dropout(0.25)(x))
    model = keras.Model(image, x)
    return Network(model, model)


# Lambdas are loaded with the names of this module: K is among them.
CUSTOM: dict[str, Any] = {"K": K}
