"""Operations of `keras.ops`, and functions of TensorFlow that tf.keras 2 wraps in layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph.nodes import Dense, Unary
from edge_crnn.errors import ModelFileError
from tests.converters.trained.keras.layers.helpers import (
    KERAS2,
    KERAS3,
    Row,
    changed,
    check,
    converted,
    network_of,
    rows,
    save,
)

MAP, STEPS = (4, 6, 3), (6, 4)
TABLE = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)


def _tf() -> Any:
    import tensorflow as tf

    return tf


def _both(*builds: tuple[str, tuple[int, ...], Any, Any]) -> list[Row]:
    """A row for `keras.ops`, and one for TensorFlow, of what both have."""
    table = []
    for name, shape, with_ops, with_tensorflow in builds:
        if with_ops is not None:
            table.append(Row(f"ops, {name}", shape, lambda keras, x, build=with_ops: build(keras.ops, x), KERAS3))
        if with_tensorflow is not None:
            table.append(Row(f"tf, {name}", shape, lambda keras, x, build=with_tensorflow: build(_tf(), x), KERAS2))
    return table


MOVES = _both(
    ("squeeze", (1, 6, 3), lambda ops, x: ops.squeeze(x, 1), lambda tf, x: tf.squeeze(x, 1)),
    ("squeeze, list", (1, 6, 1), lambda ops, x: ops.squeeze(x, (1, -1)), lambda tf, x: tf.squeeze(x, [1, 3])),
    ("expand", STEPS, lambda ops, x: ops.expand_dims(x, -1), lambda tf, x: tf.expand_dims(x, 1)),
    ("expand, two", STEPS, lambda ops, x: ops.expand_dims(x, (1, 3)), None),
    ("reshape", MAP, lambda ops, x: ops.reshape(x, (-1, 24, 3)), lambda tf, x: tf.reshape(x, (-1, 24, 3))),
    ("reshape, open", MAP, lambda ops, x: ops.reshape(x, (-1, 4, 18)),
     lambda tf, x: tf.reshape(x, [tf.shape(x)[0], -1, 9])),
    ("reshape, computed", MAP, None,
     lambda tf, x: tf.reshape(x, tf.stack([tf.shape(x)[0], tf.shape(x)[1] * tf.shape(x)[2], -1]))),
    ("transpose", MAP, lambda ops, x: ops.transpose(x, (0, 2, 1, 3)), lambda tf, x: tf.transpose(x, [0, 3, 1, 2])),
    ("swap", MAP, lambda ops, x: ops.swapaxes(x, 1, -1), None),
    ("move", MAP, lambda ops, x: ops.moveaxis(x, 1, -1), None),
    ("move, two", MAP, lambda ops, x: ops.moveaxis(x, (3, 1), (1, 2)), None),
    ("item", MAP, lambda ops, x: x[:, 1:, ::-1, None, ..., 0], lambda tf, x: x[:, 1:, ::-1, None, ..., 0]),
    ("item, ellipsis", MAP, lambda ops, x: x[..., -1], lambda tf, x: x[..., -1]),
    ("item, number", MAP, lambda ops, x: x[:, 0], lambda tf, x: x[:, 0]),
    ("item, steps", MAP, lambda ops, x: x[:, ::2, 4:1:-2, -2:], lambda tf, x: x[:, ::2, 4:1:-2, -2:]),
    ("item, all", MAP, lambda ops, x: x[:, :], lambda tf, x: x[:, :]),
    ("split", MAP, lambda ops, x: ops.split(x, 2, axis=2)[1], lambda tf, x: tf.split(x, 3, axis=2)[1]),
    ("split, cuts", MAP, lambda ops, x: ops.split(x, [1, 3], axis=1)[1], lambda tf, x: tf.split(x, [1, 3], 1)[1]),
    ("split, open", MAP, None, lambda tf, x: tf.split(x, [2, -1, 1], axis=2)[1]),
    ("unstack", MAP, lambda ops, x: ops.unstack(x, axis=1)[2], lambda tf, x: tf.unstack(x, axis=2)[0]),
    ("flip", MAP, lambda ops, x: ops.flip(x, axis=1), lambda tf, x: tf.reverse(x, [1])),
    ("flip, two", MAP, lambda ops, x: ops.flip(x, axis=(1, -1)), lambda tf, x: tf.reverse(x, [2, -1])),
    ("concat", MAP, lambda ops, x: ops.concatenate([x, x * 2], axis=-1), lambda tf, x: tf.concat([x, x + 1], 2)),
    ("stack", STEPS, lambda ops, x: ops.stack([x, x * 2], axis=1), lambda tf, x: tf.stack([x, x + 1], axis=-1)),
    ("pad", STEPS, lambda ops, x: ops.pad(x, [[0, 0], [1, 2], [0, 0]]),
     lambda tf, x: tf.pad(x, [[0, 0], [1, 2], [0, 1]])),
    ("pad, value", STEPS, lambda ops, x: ops.pad(x, [[0, 0], [1, 2], [0, 3]], constant_values=2.0),
     lambda tf, x: tf.pad(x, [[0, 0], [1, 2], [0, 0]], constant_values=-1.5)),
    ("tile", STEPS, lambda ops, x: ops.tile(x, (1, 2, 3)), lambda tf, x: tf.tile(x, [1, 1, 2])),
    ("repeat", STEPS, lambda ops, x: ops.repeat(x, 3, axis=1), lambda tf, x: tf.repeat(x, 2, axis=2)),
    ("broadcast", (1, 4), None,
     lambda tf, x: tf.broadcast_to(x, [tf.shape(x)[0], 5, 4])),
)  # fmt: skip

NUMBERS = _both(
    ("add", MAP, lambda ops, x: 1 + (x + 2), lambda tf, x: 1 + (x + 2)),
    ("subtract", MAP, lambda ops, x: 1 - (x - 2), lambda tf, x: 1 - (x - 2)),
    ("scale", MAP, lambda ops, x: x / 255.0 * 3, lambda tf, x: x / 255.0 * 3),
    ("over", MAP, lambda ops, x: 1 / (x * x + 1), lambda tf, x: 1 / (x * x + 1)),
    ("by channel", MAP, lambda ops, x: x * np.array([1.0, 2.0, 3.0]), lambda tf, x: x * [1.0, 2.0, 3.0]),
    ("with a batch axis", STEPS, lambda ops, x: x + TABLE[None], lambda tf, x: x + TABLE[None]),
    ("table", STEPS, lambda ops, x: x + TABLE, lambda tf, x: tf.constant(TABLE) - x),
    ("two values", STEPS, lambda ops, x: ops.subtract(x, ops.flip(x, 1)), lambda tf, x: tf.add(x, tf.reverse(x, [1]))),
    ("sum of list", STEPS, None, lambda tf, x: tf.add_n([x, x * 2, x - 1])),
    ("difference", STEPS, None, lambda tf, x: tf.math.squared_difference(x, 2 * x + 1)),
    ("maximum", STEPS, lambda ops, x: ops.maximum(x, 0.5), lambda tf, x: tf.maximum(x, 0.0)),
    ("minimum", STEPS, lambda ops, x: ops.minimum(x, 0.5), lambda tf, x: tf.minimum(x, x * 2)),
    ("powers", STEPS, lambda ops, x: x**2 + x**3 - ops.abs(x) ** 0.5, lambda tf, x: x**2 + x**4),
    ("less powers", STEPS, lambda ops, x: (x**2 + 1) ** -0.5 + (x**2 + 1) ** -1, lambda tf, x: (x**2 + 1) ** -0.5),
    ("clip", STEPS, lambda ops, x: ops.clip(x, -1, 1), lambda tf, x: tf.clip_by_value(x, 0, 1)),
    ("clip to 6", STEPS, lambda ops, x: ops.clip(x * 5, 0, 6), lambda tf, x: tf.clip_by_value(x * 5, 0, 6)),
    ("cast", STEPS, lambda ops, x: ops.cast(x, "float32") + 1, lambda tf, x: tf.cast(x, tf.float32) + 1),
    ("mean", MAP, lambda ops, x: ops.mean(x, axis=1), lambda tf, x: tf.reduce_mean(x, 1)),
    ("mean, kept", MAP, lambda ops, x: x / ops.mean(x * x, axis=(1, 2), keepdims=True),
     lambda tf, x: x / tf.reduce_mean(tf.square(x), [1, 2], keepdims=True)),
    ("extremes", MAP, lambda ops, x: ops.max(x, axis=1) - ops.min(x, axis=[1]),
     lambda tf, x: tf.reduce_max(x, 2) - tf.reduce_min(x, 2)),
    ("sum", MAP, lambda ops, x: ops.sum(x, -1), lambda tf, x: tf.reduce_sum(x, -1)),
    ("spread", MAP, lambda ops, x: ops.var(x, axis=1) + ops.std(x, axis=1),
     lambda tf, x: tf.math.reduce_variance(x, 1) + tf.math.reduce_std(x, 1)),
    ("one number", MAP, lambda ops, x: x / (ops.mean(x * x, axis=(1, 2, 3)) * 2)[:, None, None, None], None),
    ("matmul", STEPS, lambda ops, x: ops.matmul(x, ops.swapaxes(x, 1, 2)),
     lambda tf, x: tf.matmul(x, x, transpose_b=True)),
    ("matmul, matrix", STEPS, lambda ops, x: ops.matmul(x, TABLE.T),
     lambda tf, x: tf.matmul(x, TABLE, transpose_b=True)),
    ("length", STEPS, lambda ops, x: ops.normalize(x, axis=-1), lambda tf, x: tf.math.l2_normalize(x, axis=1)),
    ("glu", STEPS, lambda ops, x: ops.glu(x), None),
    ("like", STEPS, lambda ops, x: x + ops.ones_like(x) + ops.zeros_like(x), lambda tf, x: x + tf.ones_like(x)),
    ("softmax", STEPS, lambda ops, x: ops.softmax(x, axis=1), lambda tf, x: tf.nn.softmax(x)),
    ("log softmax", STEPS, lambda ops, x: ops.log_softmax(x, axis=-1), lambda tf, x: tf.nn.log_softmax(x, axis=1)),
    ("time first and back", STEPS, lambda ops, x: ops.transpose(ops.softmax(ops.transpose(x, (1, 0, 2))), (1, 0, 2)),
     lambda tf, x: tf.transpose(tf.nn.relu(tf.transpose(x, [1, 0, 2])), [1, 0, 2])),
    ("nothing", STEPS, None, lambda tf, x: tf.stop_gradient(tf.identity(x)) * 2),
)  # fmt: skip


@rows(*MOVES)
def test_move(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


@rows(*NUMBERS)
def test_numbers(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


def _all_of_keras(keras: Any, x: Any) -> Any:
    ops = keras.ops
    positive = ops.abs(x) + 1
    return ops.concatenate([
        *(function(x) for function in (
            ops.absolute, ops.exp, ops.gelu, ops.hard_sigmoid, ops.hard_silu, ops.hard_tanh, ops.log_sigmoid,
            ops.negative, ops.relu, ops.relu6, ops.selu, ops.sigmoid, ops.silu, ops.softplus, ops.softsign, ops.square,
            ops.tanh, ops.tanh_shrink, ops.soft_shrink, ops.celu, ops.elu, ops.leaky_relu,
        )),
        ops.log(positive), ops.sqrt(positive), ops.rsqrt(positive), ops.reciprocal(positive),
        ops.elu(x, 0.5), ops.leaky_relu(x, 0.1), ops.soft_shrink(x, 1.5), ops.gelu(x, approximate=False),
        keras.activations.relu(x, max_value=2.0),
    ], axis=1)  # fmt: skip


def _all_of_tensorflow(keras: Any, x: Any) -> Any:
    tf = _tf()
    positive = tf.abs(x) + 1
    return tf.concat([
        *(function(x) for function in (
            tf.math.softplus, tf.nn.softsign, tf.exp, tf.negative, tf.nn.elu, tf.nn.gelu, tf.nn.relu, tf.nn.relu6,
            tf.nn.selu, tf.nn.sigmoid, tf.nn.silu, tf.nn.swish, tf.nn.tanh, tf.sigmoid, tf.square, tf.tanh,
            tf.math.log_sigmoid, tf.nn.leaky_relu, keras.activations.hard_sigmoid,
        )),
        tf.math.log(positive), tf.sqrt(positive), tf.math.rsqrt(positive), tf.math.reciprocal(positive),
        tf.nn.leaky_relu(x, alpha=0.1), tf.nn.gelu(x, approximate=True),
    ], axis=1)  # fmt: skip


@rows(
    Row("ops", STEPS, _all_of_keras, KERAS3),
    Row("tf", STEPS, _all_of_tensorflow, KERAS2),
)
def test_functions(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


def test_a_matrix_is_a_dense_layer(tmp_path: Path) -> None:
    model, _, _ = network_of(Row("", STEPS, lambda keras, x: keras.ops.maximum(keras.ops.matmul(x, TABLE.T), 0.0)))
    dense, relu = converted(save(model, tmp_path / "model.keras"), STEPS).nodes
    assert isinstance(dense, Dense)
    assert isinstance(relu, Unary)
    assert relu.function == "relu"


REFUSED = _both(
    ("batch axis", STEPS, lambda ops, x: ops.mean(x, axis=0), lambda tf, x: tf.reduce_mean(x, 0)),
    ("all axes", STEPS, lambda ops, x: ops.mean(x), lambda tf, x: tf.reduce_max(x)),
    ("flip, batch", STEPS, lambda ops, x: ops.flip(x), lambda tf, x: tf.reverse(x, [0])),
    ("images", STEPS, lambda ops, x: x[0], lambda tf, x: x[1:]),
    ("images turned", STEPS, None, lambda tf, x: x[None]),
    ("batch reshaped", STEPS, lambda ops, x: ops.reshape(x, (-1, 4)), lambda tf, x: tf.reshape(x, [-1, 8])),
    ("batch fixed", STEPS, lambda ops, x: ops.reshape(x, (3, -1)), lambda tf, x: tf.reshape(x, [1, -1])),
    ("batch moved", STEPS, lambda ops, x: ops.transpose(x), lambda tf, x: tf.transpose(x)),
    ("batch padded", STEPS, lambda ops, x: ops.pad(x, [[1, 1], [0, 0], [0, 0]]),
     lambda tf, x: tf.pad(x, [[1, 0], [0, 0], [0, 0]])),
    ("batch copied", STEPS, lambda ops, x: ops.tile(x, (2, 1, 1)), lambda tf, x: tf.repeat(x, 2, axis=0)),
    ("batch added to", STEPS, lambda ops, x: ops.concatenate([x, x], 0), lambda tf, x: tf.stack([x, x])),
    ("images of the file", STEPS, lambda ops, x: x + np.ones((3, 6, 4)), lambda tf, x: x + np.ones((3, 6, 4))),
    ("time first, steps", STEPS, lambda ops, x: ops.softmax(ops.transpose(x, (1, 0, 2)), 0),
     lambda tf, x: tf.nn.softmax(tf.transpose(x, [1, 0, 2]), 1)),
    ("after time first", STEPS, lambda ops, x: ops.flip(ops.transpose(x, (1, 0, 2)), 2), None),
    ("mode", STEPS, lambda ops, x: ops.pad(x, [[0, 0], [1, 1], [0, 0]], mode="reflect"), None),
    ("power", STEPS, lambda ops, x: x**2.5, lambda tf, x: 2.0**x),
    ("to whole numbers", STEPS, lambda ops, x: ops.cast(x, "int32"), lambda tf, x: tf.cast(x, tf.int32)),
    ("unknown", STEPS, lambda ops, x: ops.cumsum(x, axis=1), lambda tf, x: tf.cumsum(x, axis=1)),
    ("order", STEPS, lambda ops, x: ops.normalize(x, order=1), None),
    ("a column as long as a row", (4, 4), lambda ops, x: x + np.arange(4, dtype=np.float32).reshape(4, 1), None),
)  # fmt: skip


@rows(*REFUSED)
def test_refused(row: Row, tmp_path: Path) -> None:
    version = row.formats[0].partition(".")[0]
    model, _, _ = network_of(row, version)
    with pytest.raises(ModelFileError, match=r"^layer '"):
        converted(save(model, tmp_path / row.formats[0]), row.shape)


def test_unknown_operation_is_named(tmp_path: Path) -> None:
    for version, words in (("keras3", "ops.Cumsum"), ("keras2", "tf.math.cumsum")):
        row = next(row for row in REFUSED if row.name.endswith("unknown") and row.formats[0].startswith(version))
        model, _, _ = network_of(row, version)
        with pytest.raises(ModelFileError, match=words):
            converted(save(model, tmp_path / row.formats[0]), row.shape)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("Flip", {"axis": 9}, "axis 9"),
        ("Flip", {"axis": [1, 1]}, "different"),
        ("Flip", {"axis": "one"}, "whole number"),
        ("Reshape", {"newshape": [-1, 0, 4]}, "positive lengths"),
        ("Reshape", {"newshape": [-1, 1 << 30]}, "whole number"),
        ("Reshape", {"newshape": [-1, 7]}, r"\(7,\) of \(6, 4\)"),
        ("Split", {"indices_or_sections": 5}, "equal parts"),
        ("Split", {"indices_or_sections": [4, 2]}, "parts that end"),
        ("Squeeze", {"axis": 2}, "length 6"),
        ("Tile", {"repeats": [1, 1 << 20, 1]}, "copies"),
        ("Transpose", {"axes": [0, 1, 1]}, "any order"),
    ],
)
def test_damaged(kind: str, settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    builds: dict[str, Any] = {
        "Flip": lambda ops, x: ops.flip(x, 1),
        "Reshape": lambda ops, x: ops.reshape(x, (-1, 24)),
        "Split": lambda ops, x: ops.split(x, 2, axis=1)[0],
        "Squeeze": lambda ops, x: ops.squeeze(ops.expand_dims(x, 1), 1),
        "Tile": lambda ops, x: ops.tile(x, (1, 2, 1)),
        "Transpose": lambda ops, x: ops.transpose(x, (0, 2, 1)),
    }
    model, _, _ = network_of(Row("", STEPS, lambda keras, x: builds[kind](keras.ops, x)))
    with pytest.raises(ModelFileError, match=words):
        converted(changed(save(model, tmp_path / "model.keras"), kind, settings), STEPS)
