"""The end of a model: probabilities stay as they are, and logits get a softmax."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.reference.keras import KerasReference
from converters.trained.keras.model import load_network


def _head(keras: Any, x: Any, name: str, activation: str | None = "softmax") -> Any:
    return keras.layers.Dense(5, activation=activation, name=name)(x)


def _blank_first(keras: Any, x: Any) -> Any:
    value = _head(keras, x, "a")
    return keras.layers.Concatenate()([value[..., 4:], value[..., :4]])


ENDS: dict[str, tuple[Callable[[Any, Any], Any], bool]] = {
    "softmax": (lambda k, x: _head(k, x, "a"), False),
    "logits": (lambda k, x: _head(k, x, "a", None), True),
    "log_softmax": (lambda k, x: _head(k, x, "a", "log_softmax"), True),
    "log_softmax of a part": (lambda k, x: _head(k, x, "a", "log_softmax")[:, 1:], True),
    "average of two": (lambda k, x: k.layers.Average()([_head(k, x, "a"), _head(k, x, "b")]), False),
    "one after the other": (lambda k, x: k.layers.Concatenate(axis=1)([_head(k, x, "a"), _head(k, x, "b")]), False),
    "classes in another order": (lambda k, x: k.ops.flip(_head(k, x, "a"), axis=-1), False),
    "average of three": (lambda k, x: k.layers.Average()([_head(k, x, name) for name in "abc"]), False),
    "classes put together again": (_blank_first, False),
    "steps pooled": (lambda k, x: k.layers.AveragePooling1D(2)(_head(k, x, "a")), False),
    "steps repeated": (lambda k, x: k.layers.UpSampling1D(2)(_head(k, x, "a")), False),
    "steps mixed": (lambda k, x: k.ops.matmul(k.layers.Dense(6, activation="softmax")(x), _head(k, x, "a")), False),
    "logits, gated over the steps": (
        lambda k, x: k.layers.Multiply()([_head(k, x, "a", None), k.layers.Softmax(axis=1)(_head(k, x, "b", None))]),
        True,
    ),
    "logits and probabilities": (lambda k, x: k.layers.Add()([_head(k, x, "a", None), _head(k, x, "b")]), True),
    "rescaled beyond probabilities": (lambda k, x: k.layers.Rescaling(7.0, -1.0)(_head(k, x, "a")), True),
    "steps dropped": (lambda k, x: _head(k, x, "a")[:, 2:], False),
    "time before the batch": (lambda k, x: k.ops.transpose(_head(k, x, "a", None), (1, 0, 2)), True),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_graph_and_the_reference_give_probabilities(end: str, keras: Any, tmp_path: Path) -> None:
    build, logits = ENDS[end]
    image = keras.Input((6, 8, 1))
    x = keras.layers.Dense(7, activation="tanh")(keras.layers.Reshape((6, 8))(image))
    model = keras.Model(image, build(keras, x))
    random = np.random.default_rng(3)
    model.set_weights([random.normal(size=weight.shape) for weight in model.weights])
    model.save(tmp_path / "model.keras")
    images = random.normal(size=(2, 6, 8, 1)).astype(np.float32)
    output = np.asarray(model(images))
    if end == "time before the batch":
        output = output.transpose(1, 0, 2)
    powers = np.exp(output) if logits else output
    expected = powers / powers.sum(axis=-1, keepdims=True)
    network = load_network(tmp_path / "model.keras")
    assert network.ends.softmax == logits
    np.testing.assert_allclose(oracle.run(network.graph.folded(), images), expected, atol=1e-5)
    reference = KerasReference(tmp_path / "model.keras", None, network, batch=2)
    np.testing.assert_allclose(reference.infer(images), expected, atol=1e-5)
    reference.close()


def test_inputs_by_name_are_in_keras_order(keras: Any, tmp_path: Path) -> None:
    """Keras sorts the inputs by name, in whatever order they are given."""
    first = keras.Input((6, 8), name="b")
    second = keras.Input((6, 8), name="a")
    dense = keras.layers.Dense
    inner = keras.Model({"b": first, "a": second}, keras.layers.Subtract()([dense(3)(first), dense(3)(second)]))
    image = keras.Input((6, 8, 1))
    x = keras.layers.Reshape((6, 8))(image)
    listed = keras.Model([first, second], keras.layers.Subtract()([dense(3)(first), dense(3)(second)]))
    images = np.random.default_rng(3).normal(size=(2, 6, 8, 1)).astype(np.float32)
    for number, part in enumerate((inner, listed)):
        value = part({"a": keras.layers.Activation("tanh")(x), "b": x})
        model = keras.Model(image, dense(4, activation="softmax")(value))
        path = tmp_path / f"model{number}.keras"
        model.save(path)
        output = oracle.run(load_network(path).graph, images)
        np.testing.assert_allclose(output, model.predict(images, verbose=0), atol=1e-5)
