"""Matrix products."""

from __future__ import annotations

from pathlib import Path

from tests.converters.trained.keras.layers.helpers import Row, check, rows


@rows(
    Row("vector", (5,), lambda keras, x: keras.layers.Dense(4)(x)),
    Row("steps, activation", (3, 5), lambda keras, x: keras.layers.Dense(4, activation="relu")(x)),
    Row("map, without bias", (2, 3, 5), lambda keras, x: keras.layers.Dense(4, use_bias=False)(x)),
    Row("einsum", (3, 5), lambda keras, x: keras.layers.EinsumDense("abc,cd->abd", (3, 4), bias_axes="d")(x)),
    Row("einsum, any axes", (2, 5), lambda keras, x: keras.layers.EinsumDense("...x,xy->...y", 4)(x)),
    Row("einsum, a bias for each step", (3, 5),
        lambda keras, x: keras.layers.EinsumDense("abc,cd->abd", (3, 4), activation="tanh", bias_axes="bd")(x)),
)  # fmt: skip
def test_dense(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)
