from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph.cells import LstmCell
from converters.graph.graph import Graph
from converters.graph.half import faint_weights, refuse_values, to_half
from converters.graph.nodes import Conv, Dense, Recurrent
from converters.recipe import ONNX_RECIPES
from edge_crnn.errors import ConversionError

HALF, MIXED, SINGLE = (ONNX_RECIPES[name] for name in ("float16", "float16-mixed", "float32"))


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=9))
def test_a_weight_is_rounded_or_refused(values: list[float]) -> None:
    weight = np.array(values, np.float32)
    if np.abs(weight).max(initial=0) > 65504:
        with pytest.raises(
            ConversionError, match=r"weight 'dense/kernel' reaches .* ends at 65,504; use --recipe float32"
        ):
            to_half("dense/kernel", weight)
        return
    half = to_half("dense/kernel", weight)
    assert half.dtype == np.float16
    assert np.isfinite(half).all()
    np.testing.assert_allclose(half.astype(np.float64), weight, rtol=2**-11, atol=2**-25)


def graph_of(small: float) -> Graph:
    """Make layers with four outputs per kernel, one of which has only weights around `small`."""
    random = np.random.default_rng(5)

    def kernel(*shape: int) -> np.ndarray:
        values = random.uniform(0.5, 1, shape).astype(np.float32)
        values[..., 2] *= np.float32(small)
        return values

    zeros = np.zeros(4, np.float32)
    cell = LstmCell(kernel(4, 4), kernel(1, 4), zeros)
    return Graph.chain((5, 3, 1), (
        Conv("conv", kernel(1, 3, 1, 4), zeros),
        Dense("dense", kernel(4, 4), zeros),
        Recurrent("lstm", cell, replace(cell)),
    ))  # fmt: skip


def test_outputs_of_small_weights_alone_are_reported() -> None:
    warning = "have weights so small that float16 keeps few digits"
    lines = [f"conv: 1 of 4 outputs {warning}", f"dense: 1 of 4 outputs {warning}", f"lstm: 4 of 16 outputs {warning}"]
    assert list(faint_weights(graph_of(1e-5), HALF)) == lines
    assert list(faint_weights(graph_of(1e-30), MIXED)) == lines[:2]
    assert list(faint_weights(graph_of(1e-5), SINGLE)) == []


@pytest.mark.parametrize("small", [1e-3, 2e-4, 0.0])
def test_normal_numbers_and_zero_are_held(small: float) -> None:
    assert list(faint_weights(graph_of(small), HALF)) == []


@pytest.mark.parametrize("values", [(-1.0, 32_000.0), (-32_000.0, 0.0), (0.0, 0.0)])
def test_values_within_half_of_the_range_pass(values: tuple[float, float]) -> None:
    refuse_values(graph_of(1), HALF, {"input": (0.0, 1.0), "conv": values, "lstm/forward/sum": values})


@pytest.mark.parametrize("values", [(-1.0, 33_000.0), (-1e9, 0.0), (0.0, 3e38)])
def test_values_near_the_end_or_beyond_are_refused(values: tuple[float, float]) -> None:
    graph = graph_of(1)
    for name, recipes in (("dense", [HALF, MIXED]), ("lstm", [HALF]), ("lstm/forward/sum", [HALF])):
        ranges = {"conv": (0.0, 1.0), name: values}
        for recipe in (HALF, MIXED, SINGLE):
            if recipe not in recipes:
                refuse_values(graph, recipe, ranges)
                continue
            with pytest.raises(
                ConversionError, match=rf"value '{name}' goes from .* to .*, float16 ends at 65,504; use"
            ):
                refuse_values(graph, recipe, ranges)
