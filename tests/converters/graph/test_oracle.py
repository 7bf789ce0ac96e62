"""The oracle against loops that anyone can check; tests of `trained.keras.model` hold it to real Keras."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.cells import Cell, Gate, GruCell, LstmCell
from converters.graph.functions import apply, softmax
from converters.graph.graph import Graph
from converters.graph.nodes import Conv, Dense, Function, Pool, Recurrent, Softmax
from tests.budget import examples

from .made import KINDS as NODES
from .made import random_graph


def slow_windows(layer: Conv | Pool, image: np.ndarray, size: tuple[int, ...], shape: tuple[int, ...]):
    """(row, column, pixels inside the image with their place in the window) of every window."""
    dilation = getattr(layer, "dilation", (1, 1))
    for row, column in itertools.product(range(shape[0]), range(shape[1])):
        inside = []
        for y, x in itertools.product(range(size[0]), range(size[1])):
            i = row * layer.strides[0] + y * dilation[0] - layer.pads[0][0]
            j = column * layer.strides[1] + x * dilation[1] - layer.pads[1][0]
            if 0 <= i < image.shape[0] and 0 <= j < image.shape[1]:
                inside.append((y, x, image[i, j]))
        yield row, column, inside


windows = st.tuples(st.integers(1, 4), st.integers(1, 4))
strides = st.tuples(st.integers(1, 3), st.integers(1, 3))
sides = st.tuples(st.integers(7, 9), st.integers(7, 9))
pads = st.tuples(st.tuples(st.integers(0, 2), st.integers(0, 2)), st.tuples(st.integers(0, 2), st.integers(0, 2)))
dilations = st.tuples(st.integers(1, 2), st.integers(1, 2))


@settings(deadline=None, max_examples=examples(40))
@given(sides, windows, strides, pads, dilations, st.sampled_from([1, 2, 4]), st.integers(0, 2**32 - 1))
def test_convolution_is_a_sum_over_each_window(
    side: tuple[int, int],
    size: tuple[int, int],
    step: tuple[int, int],
    around: n.Pads,
    dilation: tuple[int, int],
    groups: int,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    image = random.normal(size=(*side, 4))
    bias = random.normal(size=8)
    kernel = random.normal(size=(*size, 4 // groups, 8))
    layer = Conv("conv", kernel.astype(np.float32), bias.astype(np.float32), step, around, dilation, groups)
    graph = Graph.chain((*side, 4), (layer,))
    expected = np.zeros(graph.output_shape)
    for row, column, inside in slow_windows(layer, image, size, graph.output_shape):
        for out in range(8):
            first = out // (8 // groups) * (4 // groups)
            products = [pixel[first : first + 4 // groups] @ kernel[y, x, :, out] for y, x, pixel in inside]
            expected[row, column, out] = bias[out] + sum(products)
    np.testing.assert_allclose(oracle.run(graph, image[None].astype(np.float32))[0], expected, atol=1e-4)


@settings(deadline=None, max_examples=examples(40))
@given(sides, windows, strides, st.integers(0, 1), st.integers(0, 1), st.integers(0, 2**32 - 1))
def test_transposed_convolution_adds_the_kernel_at_every_pixel(
    side: tuple[int, int], size: tuple[int, int], step: tuple[int, int], before: int, after: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    image = random.normal(size=(*side, 2))
    kernel = random.normal(size=(*size, 2, 3))
    bias = random.normal(size=3)
    trims = ((before, -after), (-after, after))
    layer = n.ConvTranspose("up", kernel.astype(np.float32), bias.astype(np.float32), step, trims)
    graph = Graph.chain((*side, 2), (layer,))
    full = np.zeros((40, 40, 3))
    for i, j, y, x in itertools.product(*map(range, (*side, *size))):
        full[i * step[0] + y, j * step[1] + x] += image[i, j] @ kernel[y, x]
    rows, columns, _ = graph.output_shape
    expected = np.pad(full, ((0, 0), (after, 0), (0, 0)))[before : before + rows, :columns] + bias
    np.testing.assert_allclose(oracle.run(graph, image[None].astype(np.float32))[0], expected, atol=1e-4)


@settings(deadline=None, max_examples=examples(40))
@given(sides, windows, strides, pads, st.integers(0, 2**32 - 1))
def test_pools_count_pixels_inside_the_image_only(
    side: tuple[int, int], size: tuple[int, int], step: tuple[int, int], around: n.Pads, seed: int
) -> None:
    (top, bottom), (left, right) = around
    around = ((min(top, size[0] - 1), min(bottom, size[0] - 1)), (min(left, size[1] - 1), min(right, size[1] - 1)))
    image = np.random.default_rng(seed).normal(size=(*side, 2)).astype(np.float32) - 5
    for mode, reduced in (("max", np.max), ("average", np.mean)):
        layer = Pool("pool", mode, size, step, around)  # type: ignore[arg-type]
        graph = Graph.chain((*side, 2), (layer,))
        expected = np.zeros(graph.output_shape)
        for row, column, inside in slow_windows(layer, image, size, graph.output_shape):
            expected[row, column] = reduced([pixel for _, _, pixel in inside], axis=0)
        np.testing.assert_allclose(oracle.run(graph, image[None])[0], expected, atol=1e-5)


@pytest.mark.parametrize("length", range(3, 9))
@pytest.mark.parametrize(("window", "stride", "dilation"), [(2, 1, 1), (3, 2, 1), (3, 1, 2), (1, 3, 1)])
def test_same_padding_gives_as_many_windows_as_strides_fit(
    length: int, window: int, stride: int, dilation: int
) -> None:
    (before, after), _ = n.same_pads((length, 1), (window, 1), (stride, 1), (dilation, 1))
    rows, _ = n.windows((length, 1), (window, 1), (stride, 1), ((before, after), (0, 0)), (dilation, 1))
    assert rows == math.ceil(length / stride)
    assert 0 <= after - before <= 1


def slow_sigmoid(cell: Cell, x: float) -> float:
    return 1 / (1 + math.exp(-x)) if cell.recurrent_activation == "sigmoid" else min(max(0.2 * x + 0.5, 0), 1)


def slow_product(weights: np.ndarray, column: int, x: np.ndarray) -> float:
    return sum(float(x[k]) * float(weights[k, column]) for k in range(len(x)))


def slow_cell(cell: Cell, sequence: np.ndarray) -> np.ndarray:
    """Compute a cell unit by unit in double precision, as published."""
    units = cell.units
    hidden = np.zeros(units)
    state = np.zeros(units)
    outputs = []
    for x in sequence:

        def product(gate: int, unit: int, memory: np.ndarray, x: np.ndarray = x) -> tuple[float, float]:
            column = gate * units + unit
            outside = slow_product(cell.kernel, column, x) + float(cell.bias[column])
            return outside, slow_product(cell.recurrent, column, memory)

        if isinstance(cell, LstmCell):
            sums = [[sum(product(gate, u, hidden)) for u in range(units)] for gate in range(4)]
            i, f, o = ([slow_sigmoid(cell, gate_sums) for gate_sums in sums[gate]] for gate in (0, 1, 3))
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
        outputs.append(hidden)
    return np.array(outputs)


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
    forward = np.stack([slow_cell(cells[0], sample) for sample in x])
    backward = np.stack([slow_cell(cells[1], sample[::-1])[::-1] for sample in x])
    expected = {
        "concat": np.concatenate([forward, backward], axis=-1),
        "sum": forward + backward,
        "average": (forward + backward) / 2,
        "product": forward * backward,
    }
    for merge, values in expected.items():
        layer = Recurrent("pair", cells[0], cells[1], merge)  # type: ignore[arg-type]
        np.testing.assert_allclose(oracle.run(Graph.chain((6, 3), (layer,)), x), values, atol=1e-5)
    for layer, values in ((Recurrent("f", cells[0], None), forward), (Recurrent("b", None, cells[1]), backward)):
        np.testing.assert_allclose(oracle.run(Graph.chain((6, 3), (layer,)), x), values, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_observer_sees_every_value(kind: str) -> None:
    random = np.random.default_rng(2)
    cell = some_cell(random, kind, 3, 2)
    dense = Dense("dense", np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    graph = Graph.chain((5, 3), (Recurrent("pair", cell, cell, "sum"), dense, Softmax("softmax")))
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
        joined = np.concatenate([inside[name] for name in ("projection", "proposal") if name in inside], axis=-1)
        np.testing.assert_allclose(joined, product, rtol=1e-5)
        for name, (mapping, other) in sums.items():
            np.testing.assert_allclose(inside[name], inside[mapping] + inside[other or before + " before"], atol=1e-6)
        for name, (mapping, other) in products.items():
            np.testing.assert_allclose(inside[name], inside[mapping] * inside[other or before + " before"], atol=1e-6)
    np.testing.assert_array_equal(seen["pair"], seen["pair/forward/hidden"] + seen["pair/backward/hidden"])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("linear", [-200.0, -1.0, 0.0, 7.0, 200.0]),
        ("relu", [0.0, 0.0, 0.0, 7.0, 200.0]),
        ("relu6", [0.0, 0.0, 0.0, 6.0, 6.0]),
        ("tanh", [-1.0, math.tanh(-1), 0.0, math.tanh(7), 1.0]),
        ("silu", [0.0, -1 / (1 + math.e), 0.0, 7 / (1 + math.exp(-7)), 200.0]),
        ("gelu", [0.0, -0.158655, 0.0, 7.0, 200.0]),
        ("gelu_tanh", [0.0, -0.158808, 0.0, 7.0, 200.0]),
        ("softplus", [0.0, math.log1p(math.exp(-1)), math.log(2), math.log1p(math.exp(7)), 200.0]),
        ("mish", [0.0, -0.303401, 0.0, 6.999989, 200.0]),
        ("hard_sigmoid", [0.0, 1 / 3, 0.5, 1.0, 1.0]),
        ("hard_sigmoid_keras2", [0.0, 0.3, 0.5, 1.0, 1.0]),
        ("hard_silu", [0.0, -1 / 3, 0.0, 7.0, 200.0]),
        ("softsign", [-200 / 201, -0.5, 0.0, 7 / 8, 200 / 201]),
        ("selu", [-1.758099, -1.111331, 0.0, 7.354907, 210.140198]),
        ("elu", [-0.5, 0.5 * math.expm1(-1), 0.0, 7.0, 200.0]),
        ("leaky_relu", [-100.0, -0.5, 0.0, 7.0, 200.0]),
        ("sigmoid", [0.0, 1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-7)), 1.0]),
    ],
)
def test_functions_stay_exact_and_quiet_far_out(function: Function, expected: list[float]) -> None:
    values = apply(function, np.array([[-200, -1, 0, 7, 200]], np.float32), 0.5)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[0], expected, atol=1e-6)


def test_softmax_of_rows_sums_to_one_and_ignores_a_constant() -> None:
    rows = np.random.default_rng(3).normal(0, 30, (2, 5, 7)).astype(np.float32)
    shares = softmax(rows)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(softmax(rows + 1000), shares, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(NODES), min_size=2, max_size=8), st.integers(0, 2**32 - 1))
def test_a_graph_can_be_resumed_from_any_of_its_values(kinds: list[str], seed: int) -> None:
    graph = random_graph(kinds, seed)
    batch = np.random.default_rng(seed).uniform(-1, 1, (2, *graph.input_shape)).astype(np.float32)
    seen: dict[str, np.ndarray] = {}
    result = oracle.run(graph, batch, seen.__setitem__)
    for name in seen:
        np.testing.assert_array_equal(oracle.resume(graph, {**dict(seen), name: seen[name]}), result)
    first_values = {name: value for name, value in seen.items() if name in ("input", graph.nodes[0].name)}
    np.testing.assert_array_equal(oracle.resume(graph, first_values), result)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_enlarging_keeps_pixel_centres(mode: str) -> None:
    row = np.array([0.0, 4.0], np.float32).reshape(1, 1, 2, 1)
    graph = Graph.chain((1, 2, 1), (n.Resize("up", (1, 4), mode),))  # type: ignore[arg-type]
    expected = {"nearest": [0, 0, 0, 0, 4, 4, 4, 4], "bilinear": [0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4]}[mode]
    assert oracle.run(graph, row).ravel().tolist() == expected


def test_a_spatial_transform_moves_the_map() -> None:
    """The grid counts from 0 to the width, so that the identity samples between pixels; half the width moves by it."""
    image = np.arange(24, dtype=np.float32).reshape(1, 4, 6, 1)
    zoom = np.array([5 / 6, 0, -1 / 6, 0, 3 / 4, -1 / 4], np.float32)  # from pixel 0 to the last one
    graph = Graph((4, 6, 1), (
        n.Constant("matrix", zoom), n.SpatialTransform("sampler", inputs=("input", "matrix")),
    ))  # fmt: skip
    moved = oracle.run(graph, image)
    np.testing.assert_allclose(moved[0, :3, :5], image[0, :3, :5], atol=1e-4)
