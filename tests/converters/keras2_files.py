"""Run as a script under TF_USE_LEGACY_KERAS=1: the files that Keras 2 leaves, and what it predicts from each.

Usage: keras2_files.py FOLDER. The networks are those that published code for plates and captchas builds, narrower.
Beside each lies FILE.npy, the probabilities (6, 8, 11) of the images in images.npy, (6, 32, 16, 1) float32.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

K = keras.backend
LAYERS = keras.layers
RANGES = {
    "beta": (-0.5, 0.5),
    "bias": (-1.0, 1.0),
    "gamma": (0.5, 1.5),
    "moving_mean": (-0.5, 0.5),
    "moving_variance": (0.3, 2.0),
}
FOLDER = Path(sys.argv[1])


def plates(gate: str, seventh: str = "con7") -> tuple[Any, Any]:
    """The plate network, 1/16 as wide: (to train, to predict)."""
    inputs = LAYERS.Input(name="the_input", shape=(32, 16, 1), dtype="float32")
    x = inputs
    pools = {1: (2, 2), 2: (2, 2), 4: (1, 2), 6: (1, 2)}
    for number, filters in enumerate((4, 8, 16, 16, 32, 32, 32), 1):
        name, kernel = (seventh, (2, 2)) if number == 7 else (f"conv{number}", (3, 3))
        x = LAYERS.Conv2D(filters, kernel, padding="same", name=name, kernel_initializer="he_normal")(x)
        x = LAYERS.Activation("relu")(LAYERS.BatchNormalization()(x))
        if number in pools:
            x = LAYERS.MaxPooling2D(pool_size=pools[number], name=f"max{number}")(x)
    x = LAYERS.Reshape(target_shape=(8, 32), name="reshape")(x)
    x = LAYERS.Dense(4, activation="relu", name="dense1")(x)
    for name, merge in (("lstm1", LAYERS.add), ("lstm2", LAYERS.concatenate)):
        options = {"return_sequences": True, "recurrent_activation": gate, "kernel_initializer": "he_normal"}
        forward = LAYERS.LSTM(16, name=name, **options)(x)
        backward = LAYERS.LSTM(16, go_backwards=True, name=f"{name}_b", **options)(x)
        turned = LAYERS.Lambda(lambda tensor: K.reverse(tensor, axes=1))(backward)
        x = LAYERS.BatchNormalization()(merge([forward, turned]))
    x = LAYERS.Dense(11, name="dense2")(x)
    prediction = LAYERS.Activation("softmax", name="softmax")(x)

    labels = LAYERS.Input(name="the_labels", shape=[9], dtype="float32")
    lengths = [LAYERS.Input(name=f"{role}_length", shape=[1], dtype="int64") for role in ("input", "label")]
    # What the real one stores is bytecode just the same; this one would leave a trace.
    loss = LAYERS.Lambda(_loss, output_shape=(1,), name="ctc", arguments={"trace": str(FOLDER / "trace")})
    ctc = loss([prediction, labels, *lengths])
    return keras.Model([inputs, labels, *lengths], ctc), keras.Model(inputs, prediction)


def _loss(arguments: Any, trace: str) -> Any:
    with open(trace, "a") as file:  # noqa: PTH123 - stored as bytecode
        file.write("run")
    prediction, labels, input_length, label_length = arguments
    return K.ctc_batch_cost(labels, prediction[:, 2:], input_length, label_length)


@keras.utils.register_keras_serializable("captcha")
class Registered(LAYERS.Layer):
    """The head of a captcha network."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        self.add_loss(tf.reduce_mean(y_pred))
        return y_pred


class CTCLayer(Registered):
    """The same, as most people write it."""


def captcha(gate: str, head: type[Registered]) -> tuple[Any, Any]:
    """The captcha network in small, with a GRU of the first kind: (to train, to predict)."""
    image = LAYERS.Input(shape=(32, 16, 1), name="image")
    labels = LAYERS.Input(shape=(None,), name="label")
    x = LAYERS.Conv2D(6, 3, activation="relu", padding="same", name="Conv1")(image)
    x = LAYERS.MaxPooling2D((4, 4), name="pool1")(x)
    x = LAYERS.Dropout(0.2)(LAYERS.Reshape((8, 24), name="reshape")(x))
    x = LAYERS.Bidirectional(LAYERS.LSTM(7, return_sequences=True, dropout=0.25, recurrent_activation=gate))(x)
    cell = LAYERS.GRU(5, return_sequences=True, reset_after=False, recurrent_activation=gate)
    x = LAYERS.Bidirectional(cell)(x)
    prediction = LAYERS.Dense(11, activation="softmax", name="dense2")(x)
    return keras.Model([image, labels], head(name="ctc_loss")(labels, prediction)), keras.Model(image, prediction)


def nested() -> Any:
    """A network of models within models, layers in wrappers within those, and a model that is used twice."""
    detail = keras.Sequential([LAYERS.Conv2D(4, 3, padding="same", name="detail_conv"), LAYERS.ReLU()], name="detail")
    block_input = LAYERS.Input((16, 8, 4))
    norm = LAYERS.BatchNormalization(name="block_norm")(detail(block_input))
    block = keras.Model(block_input, LAYERS.add([norm, block_input]), name="block")
    step_input = LAYERS.Input((8, 4))
    step = keras.Model(step_input, LAYERS.Conv1D(3, 3, padding="same", name="step_conv")(step_input), name="step")
    lines_input = LAYERS.Input((8, 24))
    lines = LAYERS.Bidirectional(LAYERS.LSTM(6, return_sequences=True), name="lines_both")(lines_input)
    lines = LAYERS.TimeDistributed(LAYERS.Dense(9, activation="tanh"), name="lines_dense")(lines)
    reader = keras.Model(lines_input, lines, name="reader")
    image = LAYERS.Input((32, 16, 1), name="image")
    x = LAYERS.MaxPooling2D(2)(LAYERS.Conv2D(4, 3, padding="same", name="first")(image))
    x = LAYERS.MaxPooling2D((2, 1))(block(block(x)))
    x = LAYERS.Reshape((8, 24))(LAYERS.TimeDistributed(step, name="steps")(x))
    x = LAYERS.TimeDistributed(LAYERS.Dense(12, name="inside"), name="outside")(reader(x))
    return keras.Model(image, LAYERS.Dense(11, activation="softmax", name="dense2")(x))


def save(model: Any, prediction: Any, images: Any, *names: str) -> None:
    """Write a model to files of these names, weights alone where the name says so, and its probabilities."""
    random = np.random.default_rng(5)
    for weight in prediction.weights:
        role = weight.name.rpartition("/")[2].removesuffix(":0")
        if role in RANGES:
            weight.assign(random.uniform(*RANGES[role], weight.shape))
        else:
            weight.assign(random.normal(0, 2.5 / np.sqrt(np.prod(weight.shape[:-1])), weight.shape))
    probabilities = prediction(images, training=False)
    for name in names:
        write = model.save_weights if "weights" in name else model.save
        write(FOLDER / name)
        np.save(FOLDER / f"{name}.npy", probabilities)


def main() -> None:
    """All files."""
    grid = np.random.default_rng(1).uniform(-1, 1, (6, 9, 5, 1))
    images = np.repeat(np.repeat(grid, 4, axis=1), 4, axis=2)[:, 2:34, 2:18].astype(np.float32)
    np.save(FOLDER / "images.npy", images)
    for gate in ("sigmoid", "hard_sigmoid"):
        model, prediction = plates(gate)
        model.compile(loss={"ctc": lambda y_true, y_pred: y_pred}, optimizer="adadelta")
        names = (f"plates-{gate}.h5", f"plates-{gate}.keras", f"weights-{gate}.h5", f"{gate}.weights.h5")
        save(model, prediction, images, *names)
    model, prediction = plates("sigmoid", "conv7")
    save(model, prediction, images, "plates-conv7.h5", "weights-conv7.h5")
    save(prediction, prediction, images, "weights-of-prediction.h5")
    save(*captcha("sigmoid", CTCLayer), images, "captcha-sigmoid.h5")
    save(*captcha("hard_sigmoid", Registered), images, "captcha-hard_sigmoid.h5")
    model = nested()
    (FOLDER / "nested.json").write_text(model.to_json())
    save(model, model, images, "nested.h5", "nested.keras", "nested-weights.h5", "nested.weights.h5")
    (FOLDER / "trace").unlink()


if __name__ == "__main__":
    main()
