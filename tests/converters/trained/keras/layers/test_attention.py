"""Attention, and embeddings of positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_crnn.errors import ModelFileError
from tests.converters.trained.keras.layers.helpers import KERAS3, Row, changed, check, converted, network_of, rows, save

STEPS = (5, 4)


def _with_shorter(attend: Any) -> Any:
    """Attention to a shorter sequence with other channels, as value and key."""

    def build(keras: Any, x: Any) -> Any:
        other = keras.layers.Conv1D(6, 2, strides=2, name="shorter")(x)
        return attend(keras, x, other, keras.layers.Dense(6, name="keys")(other))

    return build


def _mha(keras: Any, **settings: Any) -> Any:
    return keras.layers.MultiHeadAttention(2, 3, **settings)


def _positions(keras: Any, x: Any) -> Any:
    """Positions that are counted in the model."""
    if hasattr(keras, "ops"):
        numbers = keras.ops.zeros_like(x[:, :, 0]) + np.arange(5, dtype=np.float32)
    else:
        import tensorflow as tf

        numbers = tf.range(start=0, limit=tf.shape(x)[1], delta=1)
    return x + keras.layers.Embedding(9, 4, name="positions")(numbers)


@rows(
    Row("heads, self", STEPS, lambda keras, x: _mha(keras)(x, x)),
    Row("heads, no bias", STEPS, lambda keras, x: _mha(keras, use_bias=False, value_dim=5, dropout=0.3)(x, x)),
    Row("heads, one", STEPS, lambda keras, x: keras.layers.MultiHeadAttention(1, 4)(x, x)),
    Row("heads, other value", STEPS, _with_shorter(lambda keras, q, v, k: _mha(keras, value_dim=5)(q, v))),
    Row("heads, other key", STEPS, _with_shorter(lambda keras, q, v, k: _mha(keras)(q, v, key=k))),
    Row("heads, by name", STEPS, _with_shorter(lambda keras, q, v, k: _mha(keras)(query=q, value=v, key=k)), KERAS3),
    Row("heads, output", STEPS, lambda keras, x: _mha(keras, output_shape=7)(x, x)),
    Row("heads, output of two axes", STEPS, lambda keras, x: _mha(keras, output_shape=(2, 3))(x, x)),
    Row("heads, causal", STEPS, lambda keras, x: _mha(keras)(x, x, use_causal_mask=True)),
    Row("heads, scores", STEPS, lambda keras, x: _mha(keras)(x, x, return_attention_scores=True)[1]),
    Row("heads, gate", STEPS, lambda keras, x: _mha(keras, use_gate=True, value_dim=5)(x, x), KERAS3),
    Row("heads, window", STEPS, lambda keras, x: _mha(keras, sliding_window=2)(x, x), KERAS3),
    Row("dot", STEPS, lambda keras, x: keras.layers.Attention()([x, x])),
    Row("dot, scale", STEPS, lambda keras, x: keras.layers.Attention(use_scale=True)([x, x])),
    Row("dot, key", STEPS, _with_shorter(lambda keras, q, v, k: keras.layers.Attention()([k, v, k]))),
    Row("dot, causal", STEPS, lambda keras, x: keras.layers.Attention()([x, x], use_causal_mask=True)),
    Row("concat", STEPS, lambda keras, x: keras.layers.Attention(score_mode="concat")([x, x])),
    Row("concat, scale", STEPS, lambda keras, x: keras.layers.Attention(True, "concat")([x, x]), KERAS3),
    Row("additive", STEPS, lambda keras, x: keras.layers.AdditiveAttention()([x, x])),
    Row("additive, no scale", STEPS, lambda keras, x: keras.layers.AdditiveAttention(use_scale=False)([x, x])),
    Row("positions", STEPS, _positions),
)
def test_layer(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


def test_embedding_of_the_image(tmp_path: Path) -> None:
    model, _, _ = network_of(Row("", (5,), lambda keras, x: keras.layers.Embedding(9, 4)(x)))
    with pytest.raises(ModelFileError, match="depend on the image"):
        converted(save(model, tmp_path / "model.keras"), (5,))


def _masked(keras: Any, x: Any) -> Any:
    return _mha(keras)(x, x, attention_mask=keras.ops.ones((1, 5, 5)))


@pytest.mark.parametrize(
    ("build", "shape", "words"),
    [
        (_masked, STEPS, "attention_mask"),
        (lambda keras, x: _mha(keras)(x, x), (2, 3, 4), "expected query, value and key"),
        (lambda keras, x: keras.layers.Attention()([x, x]), (2, 3, 4), "expected query, value and maybe key"),
    ],
)
def test_not_supported(build: Any, shape: tuple[int, ...], words: str, tmp_path: Path) -> None:
    model, _, _ = network_of(Row("", shape, build))
    with pytest.raises(ModelFileError, match=words):
        converted(save(model, tmp_path / "model.keras"), shape)


def test_random_at_inference(tmp_path: Path) -> None:
    model, _, _ = network_of(Row("", STEPS, lambda keras, x: _mha(keras, dropout=0.5)(x, x, training=True)), "keras2")
    with pytest.raises(ModelFileError, match="training=True"):
        converted(save(model, tmp_path / "model.h5"), STEPS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"key_dim": 1 << 24}, "at most"),
        ({"num_heads": 0}, "num_heads"),
        ({"num_heads": 3}, "shape"),
        ({"attention_axes": [2]}, "attention_axes"),
        ({"output_shape": "wide"}, "output_shape"),
    ],
)
def test_damaged(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    model, _, _ = network_of(Row("", STEPS, lambda keras, x: _mha(keras)(x, x)))
    path = changed(save(model, tmp_path / "model.keras"), "MultiHeadAttention", settings)
    with pytest.raises(ModelFileError, match=words):
        converted(path, STEPS)


def test_rows_of_a_table_that_it_lacks(tmp_path: Path) -> None:
    def build(keras: Any, x: Any) -> Any:
        return x + keras.layers.Embedding(2, 4)(keras.ops.ones_like(x[:, :, 0]))

    model, _, _ = network_of(Row("", STEPS, build))
    path = changed(save(model, tmp_path / "model.keras"), "Embedding", {"input_dim": 1})
    with pytest.raises(ModelFileError, match="rows 1 to 1"):
        converted(path, STEPS)
