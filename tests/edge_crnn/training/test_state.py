from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_crnn.errors import InputError, ModelFileError
from edge_crnn.training.history import Row
from edge_crnn.training.plan import Plan
from edge_crnn.training.state import load_state, save_state

PLAN = Plan("digits", epochs=3, steps=4, data={"length": (1, 4)})
ROWS = [Row(1, 640, 6.5, 1e-3, 16.25, 0.0, 1.0, 0.0, 1.0)]


@pytest.fixture
def variables(keras: Any) -> list[Any]:
    return [keras.Variable(np.arange(6.0).reshape(2, 3)), keras.Variable(7, dtype="int64"), keras.Variable([0.1])]


@pytest.fixture
def saved(variables: list[Any], tmp_path: Path) -> Path:
    save_state(tmp_path / "state.npz", PLAN, ROWS, variables)
    return tmp_path / "state.npz"


def test_everything_comes_back(saved: Path, variables: list[Any]) -> None:
    before = [np.asarray(variable) for variable in variables]
    for variable in variables:
        variable.assign(variable * 0)
    assert load_state(saved, PLAN, variables) == ROWS
    assert all(np.array_equal(variable, old) for variable, old in zip(variables, before, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 5}, "has epochs 3, but this run has 5"),
        ({"data": {"length": (1, 5)}}, r"has data length \[1, 4\], but this run has \[1, 5\]"),
        ({"data": {}}, r"has data length \[1, 4\], but this run has None"),
    ],
)
def test_another_plan_is_refused(saved: Path, variables: list[Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_state(saved, replace(PLAN, **change), variables)


def test_other_variables_are_refused_and_none_is_set(saved: Path, variables: list[Any], keras: Any) -> None:
    others = [*variables[:2], keras.Variable([5.0, 6.0])]
    others[0].assign(others[0] + 1)
    with pytest.raises(ModelFileError, match="3 variables of other shapes"):
        load_state(saved, PLAN, others)
    assert float(others[0][0, 0]) == 1


@pytest.mark.parametrize("damage", ["cut", "empty", "pickled", "no archive", "a list", "no plan"])
def test_file_that_is_no_state_is_refused(saved: Path, variables: list[Any], damage: str) -> None:
    if damage == "pickled":
        np.savez(saved, json=np.array([print], object))
    elif damage in ("a list", "no plan"):
        np.savez(saved, json=np.frombuffer(b"[]" if damage == "a list" else b'{"plan": [], "rows": []}', np.uint8))
    else:
        data = saved.read_bytes()
        saved.write_bytes({"cut": data[:-100], "empty": b"", "no archive": b"x" * 100}[damage])
    with pytest.raises(ModelFileError, match="not the state of a run"):
        load_state(saved, PLAN, variables)
