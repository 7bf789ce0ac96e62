"""The oracle against loops that anyone can check; tests of `trained.keras.model` hold it to real Keras."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph import oracle
from converters.graph.layers import (
    Activation,
    Cell,
    Conv,
    Dense,
    Function,
    Gate,
    Graph,
    GruCell,
    LstmCell,
    Padding,
    Pool,
    Recurrent,
)


def padding_before(length: int, window: int, stride: int, padding: str) -> int:
    """TensorFlow's rule for `same`: as many windows as ceil(length / stride), the odd pixel after."""
    needed = (math.ceil(length / stride) - 1) * stride + window - length
    return max(needed, 0) // 2 if padding == "same" else 0


def slow_windows(layer: Conv | Pool, image: np.ndarray, size: tuple[int, ...], shape: tuple[int, ...]):
    """(row, column, pixels inside the image with their place in the window) of every window."""
    before = [padding_before(n, w, s, layer.padding) for n, w, s in zip(image.shape, size, layer.strides, strict=False)]
    for row, column in itertools.product(range(shape[0]), range(shape[1])):
        inside = []
        for y, x in itertools.product(range(size[0]), range(size[1])):
            i, j = row * layer.strides[0] + y - before[0], column * layer.strides[1] + x - before[1]
            if 0 <= i < image.shape[0] and 0 <= j < image.shape[1]:
                inside.append((y, x, image[i, j]))
        yield row, column, inside


windows = st.tuples(st.integers(1, 4), st.integers(1, 4))
strides = st.tuples(st.integers(1, 3), st.integers(1, 3))
sides = st.tuples(st.integers(4, 8), st.integers(4, 8))


@settings(deadline=None)
@given(sides, windows, strides, st.sampled_from(["same", "valid"]), st.integers(0, 2**32 - 1))
def test_convolution_is_a_sum_over_each_window(
    side: tuple[int, int], size: tuple[int, int], step: tuple[int, int], padding: Padding, seed: int
) -> None:
    random = np.random.default_rng(seed)
    image, kernel, bias = random.normal(size=(*side, 2)), random.normal(size=(*size, 2, 3)), random.normal(size=3)
    layer = Conv("conv", kernel.astype(np.float32), bias.astype(np.float32), step, padding)
    graph = Graph((*side, 2), (layer,))
    expected = np.zeros(graph.output_shape)
    for row, column, inside in slow_windows(layer, image, size, graph.output_shape):
        expected[row, column] = bias + sum(pixel @ kernel[y, x] for y, x, pixel in inside)
    np.testing.assert_allclose(oracle.run(graph, image[None].astype(np.float32))[0], expected, atol=1e-5)


@settings(deadline=None)
@given(sides, windows, strides, st.sampled_from(["same", "valid"]), st.integers(0, 2**32 - 1))
def test_pools_count_pixels_inside_the_image_only(
    side: tuple[int, int], size: tuple[int, int], step: tuple[int, int], padding: Padding, seed: int
) -> None:
    image = np.random.default_rng(seed).normal(size=(*side, 2)).astype(np.float32) - 5
    for kind, reduced in (("max", np.max), ("average", np.mean)):
        layer = Pool("pool", kind, size, step, padding)  # type: ignore[arg-type]
        graph = Graph((*side, 2), (layer,))
        expected = np.zeros(graph.output_shape)
        for row, column, inside in slow_windows(layer, image, size, graph.output_shape):
            expected[row, column] = reduced([pixel for _, _, pixel in inside], axis=0)
        np.testing.assert_allclose(oracle.run(graph, image[None])[0], expected, atol=1e-5)


def slow_sigmoid(cell: Cell, x: float) -> float:
    return 1 / (1 + math.exp(-x)) if cell.recurrent_activation == "sigmoid" else min(max(0.2 * x + 0.5, 0), 1)


def slow_product(weights: np.ndarray, column: int, x: np.ndarray) -> float:
    return sum(float(x[k]) * float(weights[k, column]) for k in range(len(x)))


def slow_cell(cell: Cell, sequence: np.ndarray) -> np.ndarray:
    """One unit at a time, in double precision, as the papers have it."""
    units = cell.units
    hidden, state, given = np.zeros(units), np.zeros(units), []
    for x in sequence:

        def product(gate: int, unit: int, memory: np.ndarray, x: np.ndarray = x) -> tuple[float, float]:
            column = gate * units + unit
            outside = slow_product(cell.kernel, column, x) + float(cell.bias[column])
            return outside, slow_product(cell.recurrent, column, memory)

        if isinstance(cell, LstmCell):
            sums = [[sum(product(gate, u, hidden)) for u in range(units)] for gate in range(4)]
            i, f, o = ([slow_sigmoid(cell, each) for each in sums[gate]] for gate in (0, 1, 3))
            state = np.array([f[u] * state[u] + i[u] * math.tanh(sums[2][u]) for u in range(units)])
            hidden = np.array([o[u] * math.tanh(state[u]) for u in range(units)])
        else:
            z, r = ([slow_sigmoid(cell, sum(product(gate, u, hidden))) for u in range(units)] for gate in (0, 1))
            candidate = []
            for u in range(units):
                if cell.inner_bias is None:
                    candidate.append(math.tanh(sum(product(2, u, np.array(r) * hidden))))
                else:
                    outside, inside = product(2, u, hidden)
                    candidate.append(math.tanh(outside + r[u] * (inside + float(cell.inner_bias[u]))))
            hidden = np.array([z[u] * hidden[u] + (1 - z[u]) * candidate[u] for u in range(units)])
        given.append(hidden)
    return np.array(given)


def some_cell(random: np.random.Generator, kind: str, width: int, units: int, gate: Gate = "sigmoid") -> Cell:
    def some(*shape: int) -> np.ndarray:
        return random.uniform(-2, 2, shape).astype(np.float32)

    if kind == "lstm":
        return LstmCell(some(width, 4 * units), some(units, 4 * units), some(4 * units), gate)
    inner = some(units) if kind == "gru" else None
    return GruCell(some(width, 3 * units), some(units, 3 * units), some(3 * units), inner, gate)


KINDS = ("lstm", "gru", "gru as first published")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gate", get_args(Gate))
def test_recurrent_layers_step_by_step(gate: Gate, kind: str) -> None:
    random = np.random.default_rng(1)
    x = random.uniform(-2, 2, (2, 6, 3)).astype(np.float32)
    cells = [some_cell(random, kind, 3, 4, gate) for _ in range(2)]
    forward = np.stack([slow_cell(cells[0], each) for each in x])
    backward = np.stack([slow_cell(cells[1], each[::-1])[::-1] for each in x])
    expected = {
        "concat": np.concatenate([forward, backward], axis=-1),
        "sum": forward + backward,
        "average": (forward + backward) / 2,
        "product": forward * backward,
    }
    for merge, values in expected.items():
        layer = Recurrent("pair", cells[0], cells[1], merge)  # type: ignore[arg-type]
        np.testing.assert_allclose(oracle.run(Graph((6, 3), (layer,)), x), values, atol=1e-5)
    for layer, values in ((Recurrent("f", cells[0], None), forward), (Recurrent("b", None, cells[1]), backward)):
        np.testing.assert_allclose(oracle.run(Graph((6, 3), (layer,)), x), values, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_observer_sees_every_value(kind: str) -> None:
    random = np.random.default_rng(2)
    cell = some_cell(random, kind, 3, 2)
    dense = Dense("dense", np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    graph = Graph((5, 3), (Recurrent("pair", cell, cell, "sum"), dense, Activation("softmax", "softmax")))
    batch = random.uniform(-1, 1, (4, 5, 3)).astype(np.float32)
    seen: dict[str, np.ndarray] = {}
    result = oracle.run(graph, batch, lambda name, value: seen.setdefault(name, value))
    assert [name for name in seen if "/" not in name] == ["input", "pair", "dense", "softmax"]
    assert seen["softmax"] is result
    for direction in ("forward", "backward"):
        inside = {name.rpartition("/")[2]: value for name, value in seen.items() if f"/{direction}/" in name}
        assert all(value.dtype == np.float32 and value.shape[:2] == (4, 5) for value in inside.values())
        first = 0 if direction == "forward" else -1
        np.testing.assert_array_equal(inside["feedback"][:, first], np.zeros_like(inside["feedback"][:, first]))
        sums = {"gates": ("projection", "feedback")}
        if kind == "lstm":
            products = {"kept": ("forget", None), "written": ("input", "candidate"), "hidden": ("output", "squashed")}
            sums["state"] = ("kept", "written")
            before = "state"
        else:
            products = {"withheld": ("update", "change"), "recalled": ("reset", "memory" if kind == "gru" else None)}
            sums |= {"proposed": ("proposal", "recalled" if kind == "gru" else "memory"), "candidate": ("change", None)}
            sums |= {"candidate again": ("hidden", "withheld")}
            inside["candidate again"] = inside["candidate"]
            before = "hidden"
            np.testing.assert_allclose(np.tanh(inside["proposed"]), inside["candidate"], atol=1e-6)
        inside[before + " before"] = earlier = np.zeros_like(inside[before])
        if direction == "forward":
            earlier[:, 1:] = inside[before][:, :-1]
        else:
            earlier[:, :-1] = inside[before][:, 1:]
        product = batch @ cell.kernel + cell.bias
        given = np.concatenate([inside[name] for name in ("projection", "proposal") if name in inside], axis=-1)
        np.testing.assert_allclose(given, product, rtol=1e-5)
        for name, (one, other) in sums.items():
            np.testing.assert_allclose(inside[name], inside[one] + inside[other or before + " before"], atol=1e-6)
        for name, (one, other) in products.items():
            np.testing.assert_allclose(inside[name], inside[one] * inside[other or before + " before"], atol=1e-6)
    np.testing.assert_array_equal(seen["pair"], seen["pair/forward/hidden"] + seen["pair/backward/hidden"])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("linear", [-200.0, -1.0, 0.0, 7.0, 200.0]),
        ("relu", [0.0, 0.0, 0.0, 7.0, 200.0]),
        ("relu6", [0.0, 0.0, 0.0, 6.0, 6.0]),
        ("tanh", [-1.0, math.tanh(-1), 0.0, math.tanh(7), 1.0]),
        ("sigmoid", [0.0, 1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-7)), 1.0]),
        ("softmax", [0.0, 0.0, 0.0, 0.0, 1.0]),
    ],
)
def test_functions_stay_exact_and_quiet_far_out(function: Function, expected: list[float]) -> None:
    given = oracle.activate(function, np.array([[-200, -1, 0, 7, 200]], np.float32))
    assert given.dtype == np.float32
    np.testing.assert_allclose(given[0], expected, atol=1e-6)


def test_softmax_of_rows_sums_to_one_and_ignores_a_constant() -> None:
    rows = np.random.default_rng(3).normal(0, 30, (2, 5, 7)).astype(np.float32)
    given = oracle.activate("softmax", rows)
    np.testing.assert_allclose(given.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(oracle.activate("softmax", rows + 1000), given, atol=1e-4)
