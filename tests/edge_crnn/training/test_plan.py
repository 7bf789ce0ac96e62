from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import InputError
from edge_crnn.training.plan import MOST_SEED, Plan


@pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf, 0.0, -0.0, -1e-3])
def test_a_learning_rate_that_cannot_learn_is_refused(rate: float) -> None:
    """PaddleOCR#17876: training with it ran to its end and wrote a model."""
    with pytest.raises(InputError, match=r"learning rate .* above 0"):
        Plan("digits", 1, 1, learning_rate=rate)


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"steps": 0},
        {"batch": 0},
        {"batch": -1},
        {"patience": 0},
        {"seed": -1},
        {"seed": MOST_SEED + 1},
        {"precision": "float64"},
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(InputError, match=rf"{name} .*: expected"):
        Plan(**{"architecture": "digits", "epochs": 1, "steps": 1, **settings})


@given(st.floats(), st.integers(), st.integers(), st.integers())
def test_no_setting_gives_another_error(rate: float, epochs: int, patience: int, seed: int) -> None:
    try:
        plan = Plan("digits", epochs, 1, learning_rate=rate, patience=patience, seed=seed)
    except InputError:
        return
    assert plan.epochs >= 1
    assert plan.learning_rate is not None
    assert math.isfinite(plan.learning_rate)
