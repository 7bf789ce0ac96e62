"""LSTM and GRU in one direction and both, as wrappers and as hand-wired pairs have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from converters.graph import oracle
from converters.graph.nodes import Recurrent, Reverse
from edge_crnn.errors import ModelFileError
from tests.converters.trained.keras.layers.helpers import KERAS2, Row, check, converted, network_of, rows, save

SEQUENCE = (5, 4)


def layer_of(kind: str, **settings: Any) -> Callable[[Any, Any], Any]:
    settings = {"return_sequences": True, **settings}
    return lambda keras, x: getattr(keras.layers, kind)(3, **settings)(x)


def both(kind: str, merge: str | None, **settings: Any) -> Callable[[Any, Any], Any]:
    settings = {"return_sequences": True, **settings}

    def build(keras: Any, x: Any) -> Any:
        value = keras.layers.Bidirectional(getattr(keras.layers, kind)(3, **settings), merge_mode=merge)(x)
        return keras.layers.Concatenate()(value) if merge is None else value

    return build


def pair(kind: str, merge: str, **settings: Any) -> Callable[[Any, Any], Any]:
    """A layer, and one that goes backwards, merged as it comes."""

    def build(keras: Any, x: Any) -> Any:
        layer = getattr(keras.layers, kind)
        forward = layer(3, return_sequences=True, **settings)(x)
        backward = layer(3, return_sequences=True, go_backwards=True, **settings)(x)
        return getattr(keras.layers, merge)()([forward, backward])

    return build


def stacked(kind: str, wrapped: bool) -> Callable[[Any, Any], Any]:
    def build(keras: Any, x: Any) -> Any:
        cells = [getattr(keras.layers, f"{kind}Cell")(units) for units in (3, 2)]
        layer = keras.layers.RNN(cells, return_sequences=True)
        return keras.layers.Bidirectional(layer)(x) if wrapped else layer(x)

    return build


def between(keras: Any, x: Any) -> Any:
    """Layers between recurrent ones, and a way around one."""
    first = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))(x)
    middle = keras.layers.LayerNormalization()(keras.layers.Dense(6, activation="relu")(first))
    second = keras.layers.GRU(6, return_sequences=True)(middle)
    return keras.layers.Add()([middle, second])


@rows(
    *(Row(f"{kind}", SEQUENCE, layer_of(kind)) for kind in ("LSTM", "GRU")),
    *(Row(f"{kind} backwards", SEQUENCE, layer_of(kind, go_backwards=True)) for kind in ("LSTM", "GRU")),
    *(Row(f"{kind} last", SEQUENCE, layer_of(kind, return_sequences=False)) for kind in ("LSTM", "GRU")),
    Row("backwards, last", SEQUENCE, layer_of("LSTM", return_sequences=False, go_backwards=True)),
    Row("without bias", SEQUENCE, layer_of("LSTM", use_bias=False)),
    Row("GRU without bias", SEQUENCE, layer_of("GRU", use_bias=False)),
    Row("GRU as first published", SEQUENCE, layer_of("GRU", reset_after=False)),
    Row("hard gates", SEQUENCE, layer_of("LSTM", recurrent_activation="hard_sigmoid")),
    Row("unrolled, with dropout", SEQUENCE, layer_of("GRU", unroll=True, dropout=0.2, recurrent_dropout=0.3)),
    *(Row(f"both, {merge}", SEQUENCE, both("LSTM", merge)) for merge in ("concat", "sum", "ave", "mul")),
    Row("both, apart", SEQUENCE, both("GRU", None)),
    *(
        Row(f"both, last, {merge}", SEQUENCE, both("GRU", merge, return_sequences=False))
        for merge in ("concat", "sum", "ave", "mul")
    ),
    *(Row(f"not turned, {kind} {merge}", SEQUENCE, pair(kind, merge)) for kind in ("LSTM", "GRU")
      for merge in ("Add", "Concatenate", "Average", "Multiply")),
    *(Row(f"cells, {kind}", SEQUENCE, stacked(kind, False)) for kind in ("LSTM", "GRU")),
    Row("cells, both ways", SEQUENCE, stacked("LSTM", True)),
    Row("between", SEQUENCE, between),
)  # fmt: skip
def test_recurrent(row: Row, tmp_path: Path) -> None:
    """The sequence, or its last step, in Keras' own order."""
    check(row, tmp_path)


def test_a_pair_that_is_not_turned_round_stays_two_nodes(tmp_path: Path) -> None:
    model, _, _ = network_of(Row("pair", SEQUENCE, pair("GRU", "Add")), "keras2")
    folded = converted(save(model, tmp_path / "pair.h5"), SEQUENCE).folded()
    assert sorted(type(node).__name__ for node in folded.nodes) == ["Binary", "Recurrent", "Recurrent", "Reverse"]


def test_a_pair_that_is_turned_round_becomes_one_node(tmp_path: Path) -> None:
    def build(keras: Any, x: Any) -> Any:
        forward = keras.layers.LSTM(3, return_sequences=True)(x)
        backward = keras.layers.LSTM(3, return_sequences=True, go_backwards=True)(x)
        return keras.layers.Concatenate()([forward, keras.ops.flip(backward, axis=1)])

    model, images, expected = network_of(Row("pair", SEQUENCE, build))
    folded = converted(save(model, tmp_path / "pair.keras"), SEQUENCE).folded()
    assert [type(node) for node in folded.nodes] == [Recurrent]
    np.testing.assert_allclose(oracle.run(folded, images), expected, atol=1e-5)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3)])
@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "both ways"])
def test_layers_as_cudnn_has_them(kind: str, gates: int, wrapped: bool, tmp_path: Path) -> None:
    """CuDNN layers run on a GPU alone: such a file is made of the layer that computes the same anywhere."""
    row = Row(kind, SEQUENCE, both(kind, "concat") if wrapped else layer_of(kind), KERAS2)
    model, images, expected = network_of(row, "keras2")
    path = save(model, tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = _as_cudnn(file.attrs["model_config"], kind)
        names: list[str] = []
        file["model_weights"].visit(names.append)
        for name in names:
            if name.endswith("kernel:0"):
                _by_gate(file["model_weights"], name, gates, recurrent=name.endswith("recurrent_kernel:0"))
            elif name.endswith("bias:0"):
                bias = file["model_weights"][name][()]
                _replace(file["model_weights"], name, np.tile(bias / 2, 2) if kind == "LSTM" else bias.reshape(-1))
    graph = converted(path, SEQUENCE)
    assert not any(isinstance(node, Reverse) for node in graph.nodes)
    np.testing.assert_allclose(oracle.run(graph, images), expected, atol=1e-5)


def _as_cudnn(config: str, kind: str) -> str:
    return config.replace(f'"class_name": "{kind}"', f'"class_name": "CuDNN{kind}"')


def _by_gate(group: Any, name: str, gates: int, recurrent: bool) -> None:
    parts = np.hsplit(group[name][()], gates)
    changed = [part.T if recurrent else part.T.reshape(part.shape) for part in parts]
    _replace(group, name, np.hstack(changed))


def _replace(group: Any, name: str, value: np.ndarray) -> None:
    del group[name]
    group[name] = value


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda keras, x: keras.layers.LSTM(3, activation="relu", return_sequences=True)(x), "'relu'.*'tanh'"),
        (lambda keras, x: keras.layers.LSTM(3, recurrent_activation="relu")(x), "'relu'.*'sigmoid'"),
        (lambda keras, x: keras.layers.SimpleRNN(3)(x), "SimpleRNN"),
        (lambda keras, x: keras.layers.LSTM(3)(x, initial_state=[x[:, 0, :3], x[:, 1, :3]]), "takes 3 values"),
        (lambda keras, x: keras.layers.LSTM(3)(keras.layers.Masking()(x)), "[Mm]ask"),
    ],
)
def test_unsupported_settings_are_named(build: Any, message: str, tmp_path: Path) -> None:
    model, _, _ = network_of(Row("row", SEQUENCE, build))
    with pytest.raises(ModelFileError, match=message):
        converted(save(model, tmp_path / "model.keras"), SEQUENCE)
