"""Lambdas that the user describes, and the assumption about a Lambda after a backward layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.graph.graph import Graph
from converters.graph.nodes import Recurrent, SpatialTransform
from converters.trained.keras.builder import GraphBuilder
from converters.trained.keras.calls import evaluate, model_config
from converters.trained.keras.file import open_keras_file
from converters.trained.keras.lambdas import VOCABULARY, declared
from edge_crnn.errors import InputError, ModelFileError
from tests.converters.trained.keras.layers.helpers import Row, network_of, save

MAP = (4, 1, 6)


def _with_lambda(function: Callable[[Any], Any], shape: tuple[int, ...] = MAP, version: str = "keras3") -> Any:
    """A network that is a Lambda named "it"."""
    return network_of(Row("", shape, lambda keras, x: keras.layers.Lambda(function, name="it")(x)), version)


def _converted(path: Path, shape: tuple[int, ...], words: dict[str, str]) -> tuple[Graph, GraphBuilder, bool]:
    with open_keras_file(path) as file:
        model = model_config(file.config, file.keras2)
        builder = GraphBuilder(shape, {name: declared(text) for name, text in words.items()})
        (output,) = evaluate(model, {model.inputs[0]: builder.input}, builder, file.weights)
        return builder.graph(output), builder, output.time_major


WORDS: list[tuple[str, Callable[[Any], Any]]] = [
    ("identity", lambda x: x * 1),
    ("squeeze 2", lambda x: x[:, :, 0]),
    ("squeeze -2", lambda x: x[:, :, 0]),
    ("expand 1", lambda x: x[:, None]),
    ("expand -1", lambda x: x[..., None]),
    ("slice 1 2:", lambda x: x[:, 2:]),
    ("slice -1 :-1", lambda x: x[..., :-1]),
    ("slice 3 ::-1", lambda x: x[..., ::-1]),
    ("slice 3 5:1:-2", lambda x: x[..., 5:1:-2]),
    ("reverse 1", lambda x: x[:, ::-1]),
    ("scale 1/255", lambda x: x / 255.0),
    ("scale 2 -1", lambda x: 2 * x - 1),
    ("transpose 0 2 1 3", lambda x: np.transpose(x, (0, 2, 1, 3)) if isinstance(x, np.ndarray) else _turned(x)),
    ("squeeze 2, scale 0.5", lambda x: x[:, :, 0] * 0.5),
    ("slice 1 1:, reverse 1, squeeze 2", lambda x: x[:, :0:-1, 0]),
]


def _turned(x: Any) -> Any:
    import tensorflow as tf

    return tf.transpose(x, (0, 2, 1, 3))


@pytest.mark.parametrize("version", ["keras3.keras", "keras2.h5"])
@pytest.mark.parametrize(("words", "function"), WORDS, ids=[words for words, _ in WORDS])
def test_words(words: str, function: Callable[[Any], Any], version: str, tmp_path: Path) -> None:
    """The description matches the code, and the layer's value has its name."""
    model, images, expected = _with_lambda(function, version=version.partition(".")[0])
    graph, builder, _ = _converted(save(model, tmp_path / version), MAP, {"it": words})
    np.testing.assert_allclose(oracle.run(graph, images), expected, rtol=1e-5, atol=1e-5)
    assert graph.output == ("input" if words == "identity" else "it")
    assert list(builder.fragments) == ["it"]


def test_mean(tmp_path: Path) -> None:
    """An average over rows."""
    model, images, expected = _with_lambda(lambda x: (x[:, 0] + x[:, 1] + x[:, 2] + x[:, 3]) / 4)
    graph, _, _ = _converted(save(model, tmp_path / "model.keras"), MAP, {"it": "mean 1"})
    np.testing.assert_allclose(oracle.run(graph, images), expected, rtol=1e-5, atol=1e-5)


def test_steps_first(tmp_path: Path) -> None:
    """The batch axis may change places with the steps at the end."""
    model, _, _ = _with_lambda(lambda x: x * 1, (5, 3))
    path = save(model, tmp_path / "model.keras")
    assert _converted(path, (5, 3), {"it": "transpose 1 0 2"})[2]
    assert _converted(path, (5, 3), {"it": "scale 2, transpose 1 0 2"})[2]


def test_spatial_transformer(tmp_path: Path) -> None:
    """A map and six numbers, in either order."""

    def build(keras: Any, x: Any) -> Any:
        numbers = keras.layers.Dense(6)(keras.layers.Flatten()(x))
        return keras.layers.Lambda(lambda both: both[1] * 1, name="it")([numbers, x])

    model, _, _ = network_of(Row("", (4, 5, 1), build))
    graph, _, _ = _converted(save(model, tmp_path / "model.keras"), (4, 5, 1), {"it": "spatial_transformer"})
    last = graph.nodes[-1]
    assert isinstance(last, SpatialTransform)
    assert last.inputs[0] == "input"


@pytest.mark.parametrize(
    "words",
    [
        "", "flip 1", "squeeze", "squeeze one", "squeeze 1 2", "squeeze 1;", "slice 1", "slice 1 a:b", "slice 1 2",
        "slice 1 ::0", "slice 1 1:2:3:4", "scale", "scale 1/0", "scale inf", "scale nan", "scale 1 2 3", "scale 1e31",
        "transpose", "mean x", "identity 1", "loss, squeeze 1", "spatial_transformer 1", "squeeze 1,",
        "reverse 99999999999",
    ],
)  # fmt: skip
def test_bad_words(words: str) -> None:
    """The error names the vocabulary."""
    with pytest.raises(InputError) as caught:
        declared(words)
    assert repr(words) in str(caught.value)
    assert all(usage in str(caught.value) for usage in VOCABULARY)


def test_bad_type() -> None:
    with pytest.raises(InputError, match="7"):
        declared(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("squeeze 1", "length is 4"),
        ("squeeze 0", "batch axis"),
        ("reverse 0", "batch axis"),
        ("mean 4", "axis 4"),
        ("slice 1 4:", "none"),
        ("transpose 0 1 2", "axes"),
        ("transpose 3 2 1 0", "batch axis"),
        ("loss", "prediction comes after it"),
        ("spatial_transformer", "six numbers"),
    ],
)
def test_words_that_do_not_fit(words: str, message: str, tmp_path: Path) -> None:
    model, _, _ = _with_lambda(lambda x: x * 1)
    with pytest.raises(ModelFileError, match=message):
        _converted(save(model, tmp_path / "model.keras"), MAP, {"it": words})


def _hand_wired(keras: Any, x: Any, turn: Any, rnn: str = "LSTM") -> Any:
    forward = getattr(keras.layers, rnn)(3, return_sequences=True, name="ahead")(x)
    backward = getattr(keras.layers, rnn)(3, return_sequences=True, go_backwards=True, name="back")(x)
    return keras.layers.Concatenate(name="both")([forward, turn(keras, backward)])


@pytest.mark.parametrize("version", ["keras3.keras", "keras3.h5", "keras2.h5"])
def test_turn(version: str, tmp_path: Path) -> None:
    """A Lambda right after a backward layer is a reversal, and the pair is one node in both directions."""

    def turn(keras: Any, x: Any) -> Any:
        return keras.layers.Lambda(lambda steps: steps[:, ::-1], name="it")(keras.layers.Dropout(0.5)(x))

    row = Row("", (5, 4), lambda keras, x: _hand_wired(keras, x, turn))
    model, images, expected = network_of(row, version.partition(".")[0])
    graph, builder, _ = _converted(save(model, tmp_path / version), (5, 4), {})
    np.testing.assert_allclose(oracle.run(graph, images), expected, rtol=1e-4, atol=1e-5)
    (node,) = graph.folded().nodes
    assert isinstance(node, Recurrent)
    assert len(node.cells) == 2
    assert list(builder.fragments) == ["it"]
    assert "'it'" in builder.notes[0]


def test_turn_that_is_declared_otherwise(tmp_path: Path) -> None:
    """The user's word goes before the place."""
    row = Row("", (5, 4), lambda keras, x: _hand_wired(keras, x, lambda k, y: k.layers.Lambda(_half, name="it")(y)))
    model, images, expected = network_of(row)
    graph, _, _ = _converted(save(model, tmp_path / "model.keras"), (5, 4), {"it": "scale 0.5"})
    np.testing.assert_allclose(oracle.run(graph, images), expected, rtol=1e-4, atol=1e-5)


def _half(x: Any) -> Any:
    return x * 0.5


def test_undeclared(tmp_path: Path) -> None:
    """Elsewhere, the error says what to write."""
    model, _, _ = _with_lambda(lambda x: x * 1)
    with pytest.raises(ModelFileError, match=r'"lambdas": \{"it": "squeeze 1"\}.*--layers FILE'):
        _converted(save(model, tmp_path / "model.keras"), MAP, {})
