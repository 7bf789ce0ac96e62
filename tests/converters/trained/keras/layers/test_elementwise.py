"""Functions by name, and the layers that are functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from converters.graph.nodes import Unary
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

MAP = (3, 4, 2)
IN_BOTH = (
    "elu", "exponential", "gelu", "hard_sigmoid", "leaky_relu", "linear", "log_softmax", "mish", "relu", "relu6",
    "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "swish", "tanh",
)  # fmt: skip
IN_KERAS3 = ("celu", "hard_silu", "hard_swish", "hard_tanh", "log_sigmoid", "soft_shrink", "tanh_shrink")


@rows(
    Row("by name", MAP, lambda keras, x: [keras.layers.Activation(name)(x) for name in IN_BOTH]),
    Row("by name, new", MAP, lambda keras, x: [keras.layers.Activation(name)(x) for name in IN_KERAS3], KERAS3),
)
def test_function(row: Row, tmp_path: Path) -> None:
    """Every function by its name, all of them one after the other in one network."""
    joined = Row(row.name, row.shape, lambda keras, x: keras.layers.concatenate(row.build(keras, x)), row.formats)
    check(joined, tmp_path)


def _activation(layer: str, **settings: Any) -> Any:
    """A dense layer whose activation is a layer."""
    return lambda keras, x: keras.layers.Dense(5, activation=getattr(keras.layers, layer)(**settings))(x)


@rows(
    Row("setting", MAP, lambda keras, x: keras.layers.Dense(5, activation="gelu")(x)),
    Row("setting, none", MAP, lambda keras, x: keras.layers.Dense(5, activation=None)(x)),
    Row("setting, function", MAP, lambda keras, x: keras.layers.Dense(5, activation=keras.activations.selu)(x)),
    Row("setting, layer", MAP, _activation("ReLU", max_value=1.0)),
    Row("setting, layer with a slope", MAP, _activation("LeakyReLU")),
    Row("ReLU", MAP, lambda keras, x: keras.layers.ReLU()(x)),
    Row("ReLU, 6", MAP, lambda keras, x: keras.layers.ReLU(6.0)(x)),
    Row("ReLU, limit", MAP, lambda keras, x: keras.layers.ReLU(1.5)(x)),
    Row("ReLU, slope", MAP, lambda keras, x: keras.layers.ReLU(negative_slope=0.2)(x)),
    Row("ReLU, slope and limit", MAP, lambda keras, x: keras.layers.ReLU(1.5, negative_slope=0.2)(x)),
    Row("LeakyReLU", MAP, lambda keras, x: keras.layers.LeakyReLU()(x)),
    Row("LeakyReLU, alpha", MAP, lambda keras, x: keras.layers.LeakyReLU(alpha=0.1)(x), KERAS2),
    Row("LeakyReLU, slope", MAP, lambda keras, x: keras.layers.LeakyReLU(negative_slope=0.1)(x), KERAS3),
    Row("PReLU", MAP, lambda keras, x: keras.layers.PReLU()(x)),
    Row("PReLU, shared", MAP, lambda keras, x: keras.layers.PReLU(shared_axes=[1, 2])(x)),
    Row("ELU", MAP, lambda keras, x: keras.layers.ELU(0.7)(x)),
    Row("Softmax", MAP, lambda keras, x: keras.layers.Softmax()(x)),
    Row("Softmax, axis", MAP, lambda keras, x: keras.layers.Softmax(axis=1)(x)),
    Row("Softmax, axes", MAP, lambda keras, x: keras.layers.Softmax(axis=[1, 2])(x)),
    Row("Rescaling", MAP, lambda keras, x: keras.layers.Rescaling(1 / 127.5, offset=-1.0)(x)),
    Row("Rescaling, by channel", MAP, lambda keras, x: keras.layers.Rescaling([0.5, 2.0], offset=[1.0, 2.0])(x)),
)
def test_layer(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


@pytest.mark.parametrize(
    ("value", "function"),
    [
        ("swish", "silu"),
        ({"class_name": "function", "config": "gelu", "module": "builtins", "registered_name": "function"}, "gelu"),
        (None, None),
        ("linear", None),
    ],
)
def test_written_otherwise(value: object, function: str | None, tmp_path: Path) -> None:
    """A function's name may be in an object, and it may have two names."""
    model, *_ = network_of(Row("", MAP, lambda keras, x: keras.layers.Dense(3, activation="relu", name="d")(x)))
    graph = converted(changed(save(model, tmp_path / "model.keras"), "Dense", {"activation": value}), MAP)
    assert [node.name for node in graph.nodes] == ["d", *([f"d/{function}"] if function else [])]


@pytest.mark.parametrize(
    "number", [{"type": "ndarray", "value": 0.25}, {"class_name": "__numpy__", "config": {"value": 0.25}}, 0.25]
)
def test_a_number_that_was_an_array(number: object, tmp_path: Path) -> None:
    """Some versions of Keras wrote slopes as arrays."""
    model, *_ = network_of(Row("", MAP, lambda keras, x: keras.layers.LeakyReLU()(x)))
    path = changed(save(model, tmp_path / "model.keras"), "LeakyReLU", {"negative_slope": number})
    (node,) = converted(path, MAP).nodes
    assert isinstance(node, Unary)
    assert node.alpha == 0.25


@pytest.mark.parametrize(
    "value", ["sparsemax", {"class_name": "function", "config": "my>own", "module": "builtins"}, 3, ["relu"], {}]
)
def test_unknown_function(value: object, tmp_path: Path) -> None:
    model, *_ = network_of(Row("", MAP, lambda keras, x: keras.layers.Dense(3, name="d")(x)))
    path = changed(save(model, tmp_path / "model.keras"), "Dense", {"activation": value})
    with pytest.raises(ModelFileError, match=r"layer 'd' \(Dense\): activation .*; supported: celu, elu,"):
        converted(path, MAP)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("ReLU", {"threshold": 0.5}, "threshold 0.5 and slope 0; supported: 0"),
        ("ReLU", {"negative_slope": -1.0}, "slope -1; supported"),
        ("ReLU", {"max_value": "6"}, "max_value '6', expected 1 numbers"),
        ("Softmax", {"axis": 0}, "works along the batch axis"),
        ("Softmax", {"axis": [1, 1]}, "expected different axes"),
        ("Softmax", {"axis": 4}, "axis 4 of a value with 4 axes"),
        ("Rescaling", {"scale": [1, 2, 3]}, "expected 2 numbers"),
    ],
)
def test_damaged(kind: str, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Settings that cannot be converted, or that Keras would not write."""
    settings = {"scale": 1.0} if kind == "Rescaling" else {}
    model, *_ = network_of(Row("", MAP, lambda keras, x: getattr(keras.layers, kind)(**settings)(x)))
    with pytest.raises(ModelFileError, match=message):
        converted(changed(save(model, tmp_path / "model.keras"), kind, change), MAP)
