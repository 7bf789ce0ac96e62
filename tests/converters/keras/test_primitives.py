"""Every primitive as a Keras layer, against the oracle, and read back from its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.graph import nodes as n
from converters.keras.lowering import LOWERINGS
from tests.budget import examples
from tests.converters.keras.checks import assert_written_as_the_oracle
from tests.converters.onnx.primitives import MAKERS, graph_with

WRITTEN = [kind for kind in MAKERS if kind is not n.SpatialTransform]


def test_all_primitives_are_lowered() -> None:
    assert MAKERS.keys() == {*LOWERINGS, n.Constant}


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.__name__)
@settings(
    deadline=None,
    max_examples=examples(10),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), seed=st.integers(0, 3))
def test_a_primitive_is_written_and_read(kind: type[n.Node], keras: Any, tmp_path: Path, data: Any, seed: int) -> None:
    assert_written_as_the_oracle(graph_with(kind, data.draw, seed), tmp_path / "it.keras")
