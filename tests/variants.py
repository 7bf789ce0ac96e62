"""The networks of the fixture `variant`: the ways in which people write a CRNN in Keras.

A function gets Keras, its layers and an image of (32, 16, 1), and returns 16 steps of 11 probabilities or logits.
"""

from __future__ import annotations

from typing import Any


def _plates(k: Any, layers: Any, x: Any) -> Any:
    """The architecture of the plate model, with its hand-wired pairs, each backward LSTM first."""
    for filters, pool in ((8, (2, 2)), (16, (1, 2))):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D(pool)(x)
    x = layers.Conv2D(16, 2, padding="same", name="con7")(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Dense(12, activation="relu", name="dense1")(layers.Reshape((16, 64))(x))
    x = layers.BatchNormalization()(_hand_wired(layers, x, layers.Add(), lambda y: k.ops.flip(y, axis=1)))
    x = layers.BatchNormalization()(_hand_wired(layers, x, layers.Concatenate(), lambda y: k.ops.flip(y, axis=1)))
    return layers.Activation("softmax")(layers.Dense(11, name="dense2")(x))


def _hand_wired(layers: Any, x: Any, merge: Any, turn: Any, kind: str = "LSTM", **settings: Any) -> Any:
    make = getattr(layers, kind)
    backward = make(12, return_sequences=True, go_backwards=True, **settings)(x)
    forward = make(12, return_sequences=True, **settings)(x)
    return merge([forward, turn(backward)])


def _sequence(layers: Any, x: Any) -> Any:
    """(16, 12) from an image, cheaply."""
    x = layers.Conv2D(6, 3, padding="same", strides=(2, 4), activation="relu")(x)
    return layers.Dense(12, activation="tanh")(layers.Reshape((16, -1))(x))


def _head(layers: Any, x: Any) -> Any:
    return layers.Dense(11, activation="softmax")(x)


def _wrapped(merge: str) -> Any:
    def build(_: Any, layers: Any, x: Any) -> Any:
        x = _sequence(layers, x)
        x = layers.Bidirectional(layers.LSTM(7, return_sequences=True), merge_mode=merge, name="backward_first")(x)
        return _head(layers, layers.BatchNormalization()(x))

    return build


def _merged(merge: str) -> Any:
    def build(k: Any, layers: Any, x: Any) -> Any:
        turn = lambda y: k.ops.flip(y, axis=1)  # noqa: E731
        return _head(layers, _hand_wired(layers, _sequence(layers, x), getattr(layers, merge)(), turn))

    return build


def _average_pool(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Conv2D(4, (4, 2), use_bias=False)(x)  # 29×15
    x = layers.AveragePooling2D((2, 3), padding="same")(x)  # 15×5, and the last window half empty
    x = layers.MaxPooling2D((3, 2), strides=(1, 2), padding="same")(x)
    return _head(layers, layers.Reshape((-1, 12))(x))


def _dropout(k: Any, layers: Any, x: Any) -> Any:
    x = layers.SpatialDropout2D(0.3)(layers.GaussianNoise(0.1)(x))
    x = layers.Dropout(0.3)(_sequence(layers, x))
    x = _hand_wired(layers, x, layers.Add(), lambda y: layers.Dropout(0.3)(k.ops.flip(y, axis=1)))
    return layers.Dropout(0.1)(_head(layers, x))


def _even_kernels(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Conv2D(4, (4, 2), padding="same", activation="relu")(x)
    x = layers.Conv2D(4, (2, 4), padding="same", strides=(2, 3), activation="tanh")(x)
    return _head(layers, layers.Reshape((16, -1))(x))


def _lambda(k: Any, layers: Any, x: Any) -> Any:
    turn = layers.Lambda(lambda y: k.ops.flip(y, axis=1))
    return _head(layers, _hand_wired(layers, _sequence(layers, x), layers.Add(), turn))


def _norm_before_conv(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.BatchNormalization(name="stays")(x)
    x = layers.Conv2D(4, 3, padding="same", strides=(2, 2), activation="relu")(x)
    x = layers.BatchNormalization(scale=False, name="folds")(layers.Reshape((16, -1))(x))
    return _head(layers, layers.BatchNormalization(center=False, name="folds_too")(x))


def _norm_of_logits(_: Any, layers: Any, x: Any) -> Any:
    x = layers.BatchNormalization(scale=False, center=False)(layers.Dense(11)(_sequence(layers, x)))
    return layers.Softmax()(x)


def _one_way(k: Any, layers: Any, x: Any) -> Any:
    x = layers.LSTM(9, return_sequences=True, use_bias=False)(_sequence(layers, x))
    x = layers.LSTM(8, return_sequences=True, go_backwards=True, unroll=True)(x)
    return _head(layers, k.ops.flip(x, axis=1))


def _gru_both_ways(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Bidirectional(layers.GRU(7, return_sequences=True))(_sequence(layers, x))
    x = layers.Bidirectional(layers.GRU(6, return_sequences=True, reset_after=False), merge_mode="sum")(x)
    return _head(layers, layers.BatchNormalization()(x))


def _gru_hand_wired(k: Any, layers: Any, x: Any) -> Any:
    turn = lambda y: k.ops.flip(y, axis=1)  # noqa: E731
    x = _hand_wired(layers, _sequence(layers, x), layers.Add(), turn, "GRU")
    return _head(layers, _hand_wired(layers, x, layers.Concatenate(), turn, "GRU", reset_after=False))


def _gru_one_way(k: Any, layers: Any, x: Any) -> Any:
    x = layers.GRU(9, return_sequences=True)(_sequence(layers, x))
    x = layers.GRU(8, return_sequences=True, use_bias=False)(x)
    x = layers.GRU(7, return_sequences=True, go_backwards=True, reset_after=False)(x)
    return _head(layers, k.ops.flip(x, axis=1))


def _hard_gates(_: Any, layers: Any, x: Any) -> Any:
    settings = {"return_sequences": True, "recurrent_activation": "hard_sigmoid"}
    x = layers.Bidirectional(layers.LSTM(7, **settings))(_sequence(layers, x))
    x = layers.Bidirectional(layers.GRU(7, **settings))(x)
    return _head(layers, layers.GRU(8, reset_after=False, **settings)(x))


def _kinds_mixed(_: Any, layers: Any, x: Any) -> Any:
    backward = layers.GRU(8, return_sequences=True, go_backwards=True)
    wrapped = layers.Bidirectional(layers.LSTM(8, return_sequences=True), "mul", backward_layer=backward)
    return _head(layers, wrapped(_sequence(layers, x)))


def _recurrent_dropout(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Dropout(0.2)(_sequence(layers, x))
    for kind in (layers.LSTM, layers.GRU):
        x = layers.Bidirectional(kind(9, return_sequences=True, dropout=0.25, recurrent_dropout=0.25))(x)
        x = layers.Dropout(0.2)(x)
    return _head(layers, x)


def _stacked(k: Any, layers: Any, x: Any) -> Any:
    x = layers.RNN([layers.LSTMCell(7), layers.LSTMCell(5), layers.GRUCell(6)], return_sequences=True)(
        _sequence(layers, x)
    )
    x = layers.RNN(layers.LSTMCell(8), return_sequences=True)(x)
    cells = layers.StackedRNNCells([layers.GRUCell(7, reset_after=False), layers.GRUCell(5, dropout=0.2)])
    return _head(layers, k.ops.flip(layers.RNN(cells, return_sequences=True, go_backwards=True)(x), axis=1))


def _stacked_both_ways(k: Any, layers: Any, x: Any) -> Any:
    cells = [layers.LSTMCell(7), layers.LSTMCell(5), layers.LSTMCell(6)]
    x = layers.Bidirectional(layers.RNN(cells, return_sequences=True), merge_mode="ave")(_sequence(layers, x))
    backward = layers.RNN([layers.GRUCell(4), layers.GRUCell(8)], return_sequences=True, go_backwards=True)(x)
    forward = layers.RNN([layers.LSTMCell(5), layers.GRUCell(8)], return_sequences=True)(x)
    return _head(layers, layers.Multiply()([forward, k.ops.flip(backward, axis=1)]))


def _operators(k: Any, layers: Any, x: Any) -> Any:
    return _head(
        layers, _hand_wired(layers, _sequence(layers, x), lambda pair: pair[0] * pair[1], lambda y: k.ops.flip(y, 1))
    )


def _rectifiers(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Rescaling(2.5, offset=0.25)(x)
    x = layers.ReLU()(layers.Conv2D(4, 3, padding="same", strides=2)(x))
    x = layers.ReLU(max_value=6)(layers.Conv2D(4, 3, padding="same")(x))
    return layers.Softmax()(layers.Dense(11)(layers.Reshape((16, -1))(x)))


def _time_distributed(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Conv2D(3, (3, 5), strides=2)(x)
    x = layers.TimeDistributed(layers.Flatten())(layers.Permute((2, 3, 1))(x))
    x = layers.TimeDistributed(layers.Dense(9, activation="tanh"))(x)
    return _head(layers, x)


VARIANTS = {
    "average-pool": _average_pool,
    "bidirectional-ave": _wrapped("ave"),
    "bidirectional-concat": _wrapped("concat"),
    "bidirectional-mul": _wrapped("mul"),
    "bidirectional-sum": _wrapped("sum"),
    "dropout": _dropout,
    "even-kernels": _even_kernels,
    "gru-both-ways": _gru_both_ways,
    "gru-hand-wired": _gru_hand_wired,
    "gru-one-way": _gru_one_way,
    "hard-gates": _hard_gates,
    "kinds-mixed": _kinds_mixed,
    "lambda": _lambda,
    "logits": lambda _, layers, x: layers.Dense(11)(_sequence(layers, x)),
    "merge-average": _merged("Average"),
    "merge-multiply": _merged("Multiply"),
    "norm-before-conv": _norm_before_conv,
    "norm-of-logits": _norm_of_logits,
    "one-way": _one_way,
    "operators": _operators,
    "plates": _plates,
    "rectifiers": _rectifiers,
    "recurrent-dropout": _recurrent_dropout,
    "stacked": _stacked,
    "stacked-both-ways": _stacked_both_ways,
    "time-distributed": _time_distributed,
}
"""The ways in which people write such a network, by name."""
