"""Every primitive, in every precision, against the oracle."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.graph import nodes as n

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from converters.onnx.lowering import LOWERINGS
from converters.onnx.to_onnx import to_onnx
from converters.recipe import ONNX_RECIPES
from tests.converters.onnx.made import assert_runs_as_the_oracle, assert_runs_in_half, parse_errors
from tests.converters.onnx.primitives import MAKERS, graph_with

pytestmark = pytest.mark.thorough

kinds = pytest.mark.parametrize("kind", MAKERS, ids=lambda kind: kind.__name__)
seeds = st.integers(0, 3)
few = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_all_primitives_are_lowered_and_tested() -> None:
    primitives = {
        thing for thing in vars(n).values() if isinstance(thing, type) and issubclass(thing, n.Node) and thing != n.Node
    }
    assert primitives == MAKERS.keys() == {*LOWERINGS, n.Constant}


@kinds
@few
@given(st.data(), seeds)
def test_float32_is_the_oracle(kind: type[n.Node], data: Any, seed: int) -> None:
    assert_runs_as_the_oracle(graph_with(kind, data.draw, seed))


@kinds
@few
@given(st.data(), seeds)
def test_float16_is_near_the_oracle(kind: type[n.Node], data: Any, seed: int) -> None:
    assert_runs_in_half(graph_with(kind, data.draw, seed))


@kinds
@settings(few, max_examples=10)
@given(st.data(), st.sampled_from(["float32", "float16"]))
def test_tensorrt_parses_it(rtx: Any, kind: type[n.Node], data: Any, recipe: str) -> None:
    assert parse_errors(rtx, to_onnx(graph_with(kind, data.draw), ONNX_RECIPES[recipe])) == []


def test_tensorrt_s_errors_are_seen(rtx: Any) -> None:
    assert parse_errors(rtx, b"no ONNX") != []
