"""Layers that make one value of several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_crnn.errors import ModelFileError
from tests.converters.trained.keras.layers.helpers import Row, check, converted, network_of, rows, save

STEPS = (4, 3)


def branches(layer: str, count: int, **settings: Any) -> Callable[[Any, Any], Any]:
    """Return the merged outputs of several dense layers on the input."""
    return lambda keras, x: getattr(keras.layers, layer)(**settings)([keras.layers.Dense(3)(x) for _ in range(count)])


def excite(keras: Any, x: Any) -> Any:
    """Squeeze and excitation: one factor for every channel of a map."""
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    factors = keras.layers.Dense(x.shape[-1], activation="sigmoid")(pooled)
    return keras.layers.Multiply()([x, keras.layers.Reshape((1, 1, x.shape[-1]))(factors)])


def ranks(keras: Any, x: Any) -> Any:
    """(channels,) and (rows, columns, channels)."""
    return keras.layers.Add()([keras.layers.GlobalMaxPooling2D()(x), x])


def dot(first: int | None, second: int | None, axes: int | tuple[int, int]) -> Callable[[Any, Any], Any]:
    """Products of two dense layers' values, without steps where a number of units is negative."""

    def build(keras: Any, x: Any) -> Any:
        values = [
            keras.layers.Dense(abs(units))(x if units > 0 else keras.layers.Flatten()(x)) for units in (first, second)
        ]
        return keras.layers.Dot(axes)(values)

    return build


@rows(
    *(
        Row(f"{layer}, {count}", STEPS, branches(layer, count))
        for layer in ("Add", "Average", "Maximum", "Minimum", "Multiply")
        for count in (2, 3)
    ),
    Row("Subtract", STEPS, branches("Subtract", 2)),
    Row("Concatenate", STEPS, branches("Concatenate", 3)),
    Row("Concatenate, axis", STEPS, branches("Concatenate", 2, axis=1)),
    Row("twice the same", STEPS, lambda keras, x: keras.layers.Add()([x, x])),
    Row("function", STEPS, lambda keras, x: keras.layers.add([x, keras.layers.Dense(3)(x)])),
    Row("channels of a map", (3, 4, 2), excite),
    Row("ranks", (3, 4, 2), ranks),
    Row("Dot, vectors", STEPS, dot(-3, -3, 1)),
    Row("Dot, matrices", STEPS, dot(3, 3, 2)),
    Row("Dot, over steps", STEPS, dot(2, 5, 1)),
    Row("Dot, mixed axes", STEPS, dot(4, 5, (2, 1))),
    Row("Dot, matrix and vector", STEPS, dot(3, -3, (2, 1))),
)
def test_merge(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


def test_the_batch_axis_is_refused(tmp_path: Path) -> None:
    model, *_ = network_of(Row("", STEPS, lambda keras, x: keras.layers.Concatenate(axis=0)([x, x])))
    with pytest.raises(ModelFileError, match=r"layer 'concatenate\w*' \(Concatenate\): works along the batch axis"):
        converted(save(model, tmp_path / "model.keras"), STEPS)
