from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from converters.trained.facts import file_facts
from converters.trained.keras.model import Declarations, load_network
from converters.trained.obstacles import LayerError, Obstacle, UnsupportedError, grouped, message
from edge_crnn.errors import ModelFileError
from tests.converters.trained.keras.layers.helpers import engine, save

PATH = Path("mine.keras")


def obstacle(number: int, kind: str = "Einsum", reason: str = "not supported") -> Obstacle:
    return Obstacle((f"layer_{number}",), kind, reason)


def test_one_obstacle_is_one_line() -> None:
    assert message(PATH, [obstacle(1)]) == "mine.keras: layer 'layer_1' (Einsum): not supported"
    assert message(PATH, [Obstacle((), "", "no\nsuch\nmodel")]) == "mine.keras: no such model"


def test_several_obstacles_are_a_list() -> None:
    lines = message(PATH, [obstacle(1), Obstacle((), "", "two\noutputs")]).splitlines()
    assert lines == ["mine.keras: 2 obstacles:", "  - layer 'layer_1' (Einsum): not supported", "  - two outputs"]


def test_long_lists_are_cut() -> None:
    lines = message(PATH, [obstacle(number) for number in range(70)]).splitlines()
    assert len(lines) == 52
    assert lines[-1] == "  - and 20 more"
    assert max(map(len, message(PATH, [obstacle(1, reason="x" * 5000)] * 2).splitlines())) <= 1100


def test_obstacles_of_one_kind_are_listed_once() -> None:
    several = [obstacle(number) for number in range(7)]
    (merged,) = grouped(several)
    assert str(merged) == "layers 'layer_0', 'layer_1', 'layer_2' and 4 more (Einsum): not supported"
    named = [Obstacle((name,), "Lambda", f'say "{name}": "squeeze 1"') for name in ("lambda", "lambda_1")]
    assert [obstacle.layers for obstacle in grouped([*named, several[0]])] == [("lambda", "lambda_1"), ("layer_0",)]
    assert len(grouped([several[0], obstacle(1, "Dot"), obstacle(2, reason="another")])) == 3


def test_of_an_error() -> None:
    error = LayerError("dense", "Dense", "activation 'odd'")
    assert str(error) == "layer 'dense' (Dense): activation 'odd'"
    assert Obstacle.of(error, "outer", "TimeDistributed") == Obstacle(("dense",), "Dense", "activation 'odd'")
    assert isinstance(error, ModelFileError)
    assert not isinstance(error, UnsupportedError)
    plain = ModelFileError("layer 'conv' (Conv) cannot take (3, 4)")
    assert str(Obstacle.of(plain, "conv", "Conv2D")) == "layer 'conv' (Conv) cannot take (3, 4)"


@pytest.fixture(scope="module")
def model() -> Any:
    """A network with six obstacles of five kinds, and layers behind them whose shapes are not known."""
    keras = engine("keras3")

    class Odd(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:
            return x

    layers = keras.layers
    image = keras.Input((32, 16, 1), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    x = Odd(name="odd")(x)
    x = layers.Lambda(lambda x: x * 2, name="doubled")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="squareplus", name="unusual")(x)
    x = Odd(name="odd_again")(x)
    x = layers.Reshape((32, 64))(x)
    x = keras.ops.einsum("btf,btf->btf", x, x)
    x = layers.LSTM(8, activation="relu", return_sequences=True, name="relu_lstm")(x)
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
    return keras.Model(image, layers.Dense(11, activation="softmax", name="head")(x))


@pytest.mark.parametrize("name", ["mine.keras", "mine.h5"])
def test_all_obstacles_of_a_model_are_reported(name: str, model: Any, tmp_path: Path) -> None:
    path = save(model, tmp_path / name)
    with pytest.raises(ModelFileError) as caught:
        load_network(path)
    headline, *lines = str(caught.value).splitlines()
    assert headline == f"{path}: 5 obstacles:"
    expected = [
        ("layers 'odd', 'odd_again' (", "not supported", "--layers FILE"),
        ("layer 'doubled' (Lambda): ", "--lambda 'doubled=squeeze 1'"),
        ("layer 'unusual' (Conv2D): activation 'squareplus'",),
        ("layer 'einsum", "(ops.Einsum): not supported"),
        ("layer 'relu_lstm' (LSTM): activation 'relu'; supported: 'tanh'",),
    ]
    for line, words in zip(lines, expected, strict=True):
        assert line.startswith(f"  - {words[0]}")
        assert all(word in line for word in words)


def test_facts_of_a_model_with_obstacles(model: Any, tmp_path: Path) -> None:
    facts = file_facts(save(model, tmp_path / "mine.keras"))
    assert len(facts.obstacles) == 5
    assert facts.lambdas == ("doubled",)
    assert facts.shape == (32, 16, 1)
    assert (facts.axes, facts.steps, facts.classes, facts.network) == (None, None, None, None)
    shapes = {layer.name: layer.shape for layer in facts.layers}
    assert shapes["odd"] is None
    assert list(shapes.values()).count(None) == len(shapes) - 1  # the first convolution's alone is known


def test_what_is_declared_is_no_obstacle(model: Any, tmp_path: Path) -> None:
    declarations = Declarations(lambdas={"doubled": "scale 2"}, custom={"Odd": lambda layer: layer.x})
    facts = file_facts(save(model, tmp_path / "mine.keras"), declarations=declarations)
    (unusual,), (einsum,), (lstm,) = (obstacle.layers for obstacle in facts.obstacles)
    assert (unusual, einsum.rpartition("_")[0] or einsum, lstm) == ("unusual", "einsum", "relu_lstm")


def test_an_obstacle_in_a_nested_model_and_in_a_wrapper(tmp_path: Path) -> None:
    keras = engine("keras3")
    layers = keras.layers
    inner_image = keras.Input((32, 16, 1))
    inner = keras.Model(
        inner_image, layers.Conv2D(2, 3, padding="same", activation="squareplus", name="a")(inner_image)
    )
    image = keras.Input((32, 16, 1))
    x = layers.Reshape((32, 32))(inner(image))
    x = layers.Bidirectional(layers.SimpleRNN(4, return_sequences=True, name="b"))(x)
    model = keras.Model(image, layers.Dense(5, activation="squareplus", name="c")(x))
    facts = file_facts(save(model, tmp_path / "mine.keras"))
    assert len(facts.obstacles) == 3
    assert ["squareplus" in str(obstacle) for obstacle in facts.obstacles] == [True, False, True]
    assert "SimpleRNN" in str(facts.obstacles[1])


def test_consequences_of_an_obstacle_are_not_reported(tmp_path: Path) -> None:
    """Keras 2 does not state shapes, so what comes behind the Lambda is guessed, and does not fit."""
    keras = engine("keras2")
    layers = keras.layers
    image = keras.Input((32, 16, 1))
    x = layers.Lambda(lambda x: x[:, :, 0], output_shape=(32, 1), name="first_row")(image)
    x = layers.LSTM(8, return_sequences=True)(x)
    x = layers.Lambda(lambda x: x[:, ::2], output_shape=(16, 8), name="thinner")(x)
    model = keras.Model(image, layers.Dense(5, activation="softmax")(x))
    facts = file_facts(save(model, tmp_path / "mine.h5"))
    assert facts.lambdas == ("first_row", "thinner")
    assert len(facts.obstacles) == 1


def test_missing_size_is_listed_with_the_obstacles(tmp_path: Path) -> None:
    keras = engine("keras3")
    image = keras.Input((None, 16, 1), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", activation="squareplus", name="unusual")(image)
    model = keras.Model(image, keras.layers.Dense(5, activation="softmax")(keras.layers.Reshape((-1, 64))(x)))
    path = save(model, tmp_path / "mine.keras")
    with pytest.raises(ModelFileError) as caught:
        load_network(path)
    first, second, third = str(caught.value).splitlines()
    assert first.endswith("2 obstacles:")
    assert "'image'" in second
    assert "--width" in second
    assert "'unusual'" in third
