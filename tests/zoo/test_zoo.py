"""Every network of the zoo converts as its project saves it, and gives what Keras gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .cases import CASES
from .conversion import converted, deviations

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", [number for number, case in CASES.items() if not case.excluded])
def test_network(number: str, tmp_path: Path) -> None:
    """Within 1e-4 of what Keras itself gives in float32; every recipe runs; the reference runs the saved model."""
    one = converted(CASES[number], tmp_path)
    apart = deviations(one)
    assert {recipe: apart[recipe] for recipe in ("float32", "onnx float32") if not apart[recipe] < 1e-4} == {}
    np.testing.assert_allclose(one.reference(), one.expected, atol=1e-4)
