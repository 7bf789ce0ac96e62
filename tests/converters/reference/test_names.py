"""Names of layers that TensorFlow does not take as name scopes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.reference.keras import KerasReference

NAMES = ["layer 1", "conv:a", "свёртка", "전결합", "_hidden", "lstm [x]", "a+b", "plain"]


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_of_any_name_is_run(keras: Any, tmp_path: Path, name: str) -> None:
    layers = keras.layers
    image = layers.Input((8, 4, 1), name=f"{name}_image")
    x = layers.Reshape((8, 4), name=f"{name}_reshape")(image)
    cell = layers.LSTM(2, return_sequences=True, name=f"{name}_cell")
    x = layers.Bidirectional(cell, name=f"{name}_both")(x)
    inner_input = layers.Input((8, 4))
    inner = keras.Model(inner_input, layers.Dense(3, name=f"{name}_inner")(inner_input), name=f"{name}_model")
    model = keras.Model(image, layers.Softmax(name=f"{name}_softmax")(inner(x)), name=name)
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(1).normal(size=(3, 8, 4, 1)).astype(np.float32)
    probabilities = KerasReference(tmp_path / "model.keras", batch=2).infer(images)
    assert probabilities.shape == (3, 8, 3)
    np.testing.assert_allclose(probabilities, by_hand(model, name, images), atol=1e-5)


def by_hand(model: Any, name: str, images: np.ndarray) -> np.ndarray:
    """Compute the network in NumPy, since TensorFlow does not run it under these names."""

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return np.asarray(1 / (1 + np.exp(-x)))

    def lstm(x: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
        state = cell = np.zeros((len(x), 2))
        outputs = []
        for step in range(x.shape[1]):
            i, f, candidate, o = np.split(x[:, step] @ kernel + state @ recurrent + bias, 4, axis=-1)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(candidate)
            state = sigmoid(o) * np.tanh(cell)
            outputs.append(state)
        return np.stack(outputs, axis=1)

    weights = [np.asarray(weight) for weight in model.get_layer(f"{name}_both").weights]
    x = images[..., 0]
    x = np.concatenate([lstm(x, *weights[:3]), lstm(x[:, ::-1], *weights[3:])[:, ::-1]], axis=-1)
    kernel, bias = (np.asarray(weight) for weight in model.get_layer(f"{name}_model").weights)
    powers = np.exp(x @ kernel + bias)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
