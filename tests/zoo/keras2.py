"""The framework and the training heads of the networks written for Keras 2."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

K = keras.backend
L = keras.layers

# The defaults of Keras before 2.3, which it stored in the file: other gates than today's.
OLD_LSTM = {"return_sequences": True, "recurrent_activation": "hard_sigmoid", "kernel_initializer": "he_normal"}
OLD_GRU = {**OLD_LSTM, "reset_after": False}


def cost_of_all(args: Any) -> Any:
    """Return the CTC loss, as a Lambda's function."""
    prediction, labels, input_length, label_length = args
    return K.ctc_batch_cost(labels, prediction, input_length, label_length)


def cost_after_two(args: Any) -> Any:
    """Return the CTC loss without the first two steps, which know nothing yet."""
    prediction, labels, input_length, label_length = args
    prediction = prediction[:, 2:, :]
    return K.ctc_batch_cost(labels, prediction, input_length, label_length)


def trained_by_lambda(
    image: Any, prediction: Any, skip: bool = False, labels: str = "the_labels", length: int | None = 9
) -> Any:
    """Return the training graph: image, labels and lengths go in, the loss comes out of a Lambda named ctc."""
    truth = L.Input(name=labels, shape=[length], dtype="float32")
    lengths = [L.Input(name=f"{role}_length", shape=[1], dtype="int64") for role in ("input", "label")]
    cost = L.Lambda(cost_after_two if skip else cost_of_all, output_shape=(1,), name="ctc")
    model = keras.Model([image, truth, *lengths], cost([prediction, truth, *lengths]))
    model.compile(loss={"ctc": lambda y_true, y_pred: y_pred}, optimizer="adadelta")
    return model


def pair(
    x: Any, cell: Any, units: int, names: tuple[str, str], options: dict[str, Any], flip: bool = False
) -> tuple[Any, Any]:
    """Return a forward layer and a second one that starts at the end, turned round only where `flip` says so."""
    forward = cell(units, name=names[0], **options)(x)
    backward = cell(units, name=names[1], go_backwards=True, **options)(x)
    if flip:
        backward = L.Lambda(lambda tensor: K.reverse(tensor, axes=1))(backward)
    return forward, backward
