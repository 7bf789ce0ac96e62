from __future__ import annotations

from typing import Any

import pytest

from edge_crnn.errors import InputError
from edge_crnn.training.optimisers import AVERAGED, LAST, RATES, WEIGHT_DECAY, make_optimiser


@pytest.mark.parametrize("name", list(RATES))
def test_each_goes_downhill(keras: Any, name: Any) -> None:
    place = keras.Variable([3.0, -2.0], name="kernel")
    optimiser = make_optimiser(name, None, 100)
    optimiser.build([place])
    for _ in range(100):
        optimiser.apply([2 * place.value], [place])
    assert abs(float(place[0])) < 3
    assert abs(float(place[1])) < 2


def test_adamw_warms_up_and_then_cools_down(keras: Any) -> None:
    schedule = make_optimiser("adamw", 0.5, 1000)._learning_rate
    rates = [float(schedule(step)) for step in (0, 15, 30, 500, 1000)]
    assert rates[0] == 0
    assert rates[1] == pytest.approx(0.25)
    assert rates[2] == pytest.approx(0.5)
    assert 0.2 < rates[3] < 0.3
    assert rates[4] == pytest.approx(0.5 * LAST)


def test_adamw_lets_biases_and_norms_be(keras: Any) -> None:
    names = ("kernel", "bias", "gamma", "beta")
    variables = [keras.Variable([1.0], name=name) for name in names]
    optimiser = make_optimiser("adamw", 1.0, 100)
    optimiser.build(variables)
    optimiser.iterations.assign(50)
    optimiser.apply([keras.ops.zeros((1,)) for _ in names], variables)
    kernel, *others = (float(variable[0]) for variable in variables)
    assert 1 - WEIGHT_DECAY < kernel < 1
    assert others == [1, 1, 1]


def test_a_large_gradient_is_cut_short(keras: Any) -> None:
    assert make_optimiser("adamw", None, 10).global_clipnorm == 5


def test_the_average_looks_back_on_a_share_of_the_steps(keras: Any) -> None:
    """The reference is the exponential average of the weights after every step."""
    place = keras.Variable([3.0], name="kernel")
    optimiser = make_optimiser("adamw", 0.1, 200, averaged=True)
    optimiser.build([place])
    momentum = 1 - 1 / (AVERAGED * 200)
    average = None
    for _ in range(30):
        optimiser.apply([2 * place.value], [place])
        weight = float(place[0])
        average = weight if average is None else momentum * average + (1 - momentum) * weight
    other = keras.Variable([0.0], name="kernel")
    optimiser.finalize_variable_values([other])
    assert float(other[0]) == pytest.approx(average, rel=1e-5)
    assert float(place[0]) == weight != average


def test_the_average_of_a_short_run_is_its_last_weights(keras: Any) -> None:
    place = keras.Variable([3.0], name="kernel")
    optimiser = make_optimiser("adamw", 0.1, 4, averaged=True)
    optimiser.build([place])
    for _ in range(4):
        optimiser.apply([2 * place.value], [place])
    other = keras.Variable([0.0], name="kernel")
    optimiser.finalize_variable_values([other])
    assert float(other[0]) == float(place[0]) != 3


@pytest.mark.tensorflow
def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(InputError, match="'sgd': expected one of adamw, adadelta, adam"):
        make_optimiser("sgd", None, 10)  # type: ignore[arg-type]
