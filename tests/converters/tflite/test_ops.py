from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from converters.graph.layers import Activation, Affine, Conv, Dense, Graph, GruCell, LstmCell, Pool, Recurrent, Reshape
from converters.graph.ranges import calibrate
from converters.recipe import RECIPES
from converters.tflite.ops import Ops, quantise_weight
from converters.tflite.to_tflite import to_tflite
from converters.tflite.writer import Writer
from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import InputSpec

FINITE = st.floats(-1000, 1000, width=32)


@given(
    arrays.arrays(np.float32, arrays.array_shapes(min_dims=1, max_dims=4, max_side=4), elements=FINITE),
    st.integers(0, 3),
)
@example(np.float32([1e-45, 0]), 0)
def test_weights_keep_8_bits_of_each_channel(value: np.ndarray, axis: int) -> None:
    axis %= value.ndim
    integers, scales = quantise_weight(value, axis)
    assert integers.dtype == np.int8
    assert np.abs(integers.astype(int)).max() <= 127  # -128 would not fit where kernels multiply pairs in 16 bits
    for channel in range(value.shape[axis]):
        real, stored = (np.take(each, channel, axis) for each in (value, integers))
        error = np.abs(stored * np.float64(scales[channel]) - real).max()
        if np.abs(real).max() < 1e-35:  # as good as 0, and so stored
            assert error < 1e-35
        else:
            assert error <= np.abs(real).max() / 127 * 0.5001
            assert np.abs(stored.astype(int)).max() == 127


@given(FINITE, FINITE)
def test_ranges_are_covered_with_zero_exact(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    found = Ops(Writer("w").subgraph("main"), "static", {"x": (low, high)}).quantisation("x")
    assert -128 <= found.zero_point <= 127
    levels = (np.array([-128, 127]) - found.zero_point) * found.scale
    assert levels[0] <= min(low, 0) + found.scale / 2 * 1.0001
    assert levels[1] >= max(high, 0) - found.scale / 2 * 1.0001
    assert levels[1] - levels[0] == pytest.approx(max(high, 0) - min(low, 0)) or low == high == 0


def test_names_of_parts_find_the_range_of_their_value() -> None:
    ops = Ops(Writer("w").subgraph("main"), "static", {"a": (-1, 1), "a:b": (-2, 2)})
    assert ops.quantisation("a:part") == ops.quantisation("a:3") == ops.quantisation("a")
    assert ops.quantisation("a:b") == ops.quantisation("a:b:part")
    assert ops.quantisation("a:b").scale == 2 * ops.quantisation("a").scale
    with pytest.raises(ConversionError, match="'c' was never seen in calibration"):
        ops.quantisation("c:part")


def network() -> Graph:
    random = np.random.default_rng(0)

    def some(*shape: int) -> np.ndarray:
        return random.normal(0, 0.5, shape).astype(np.float32)

    lstms = [LstmCell(some(6, 16), some(4, 16), some(16)) for _ in range(2)]
    grus = [GruCell(some(8, 12), some(4, 12), some(12), some(4)), GruCell(some(8, 12), some(4, 12), some(12))]
    return Graph(
        (8, 6, 1),
        (
            Conv("conv1", some(3, 3, 1, 4), some(4), activation="relu"),
            Affine("norm", some(4), some(4)),
            Conv("conv2", some(2, 2, 4, 6), some(6)),
            Pool("pool", "max", (1, 2), (1, 2)),
            Reshape("steps", (8, 18)),
            Dense("dense", some(18, 6), some(6)),
            Recurrent("lstm", *lstms),
            Recurrent("gru", *grus),
            Dense("last", some(8, 5), some(5)),
            Activation("softmax", "softmax"),
        ),
    )


def converted(recipe: str) -> schema.ModelT:
    graph = network()
    images = np.random.default_rng(1).uniform(-1, 1, (4, 8, 6, 1)).astype(np.float32)
    image = InputSpec(6, 8, "HWC", 1 / 127.5, -1.0, dtype="uint8")
    payload = to_tflite(graph, image, RECIPES[recipe], calibrate(graph, [images]))
    return schema.ModelT.InitFromPackedBuf(payload, 0)


NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
DTYPES = {number: name for name, number in vars(schema.TensorType).items() if not name.startswith("_")}
LINEAR = {
    "float32": {("CONV_2D", 1), ("FULLY_CONNECTED", 5), ("FULLY_CONNECTED", 6)},
    "float16": {("CONV_2D", 1), ("FULLY_CONNECTED", 5), ("FULLY_CONNECTED", 6)},
    "dynamic": {("CONV_2D", 1), ("CONV_2D", 5), ("FULLY_CONNECTED", 12)},
    "int8": {("CONV_2D", 3), ("DEPTHWISE_CONV_2D", 3), ("FULLY_CONNECTED", 5), ("FULLY_CONNECTED", 12)},
    "int8-full": {("CONV_2D", 3), ("DEPTHWISE_CONV_2D", 3), ("FULLY_CONNECTED", 5), ("FULLY_CONNECTED", 6)},
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_versions_let_old_interpreters_in_and_keep_those_out_that_would_misread(recipe: str) -> None:
    """FULLY_CONNECTED with a float input and one scale per channel is version 12.

    With a lower one tflite-runtime 2.14 loads the file and uses the first channel's scale for all: it reads nothing.
    """
    codes = {(NAMES[code.builtinCode], code.version) for code in converted(recipe).operatorCodes}
    assert {each for each in codes if each[0].endswith(("CONV_2D", "FULLY_CONNECTED"))} == LINEAR[recipe]
    assert max(version for name, version in codes if not name.endswith(("CONV_2D", "FULLY_CONNECTED"))) <= 3


def constants(model: schema.ModelT) -> dict[str, schema.TensorT]:
    return {
        each.name.decode(): each
        for subgraph in model.subgraphs
        for each in subgraph.tensors
        if model.buffers[each.buffer].data is not None
    }


def is_weight(name: str) -> bool:
    return name.rpartition("/")[2].partition(":")[0] in ("kernel", "bias", "scale", "shift")


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("float32", {"FLOAT32"}),
        ("float16", {"FLOAT16", "FLOAT32"}),
        ("dynamic", {"INT8", "FLOAT32"}),
        ("int8", {"INT8", "INT32", "FLOAT32"}),
        ("int8-full", {"INT8", "INT32"}),
    ],
)
def test_weights_have_the_precision_of_the_recipe(recipe: str, expected: set[str]) -> None:
    found = {name: each for name, each in constants(converted(recipe)).items() if is_weight(name)}
    assert {DTYPES[each.type] for each in found.values()} == expected
    kernels = {name: each for name, each in found.items() if "/kernel" in name and name != "conv1/kernel"}
    assert len(kernels) >= 6
    assert len({DTYPES[each.type] for each in kernels.values()}) == 1
    for each in kernels.values():
        if each.type == schema.TensorType.INT8:  # one scale per output channel, the first axis
            assert (len(each.quantization.scale), each.quantization.quantizedDimension) == (each.shape[0], 0)


def test_nothing_but_integers_in_int8_full() -> None:
    (main,) = converted("int8-full").subgraphs
    assert {DTYPES[each.type] for each in main.tensors} == {"UINT8", "INT8", "INT32"}


def test_float16_convolutions_have_both_constants_widened() -> None:
    """LiteRT 1.1 to 1.3 read a convolution with a float16 kernel and a float32 bias wrongly."""
    model = converted("float16")
    (main, *_) = model.subgraphs
    widened = {
        int(op.outputs[0])
        for op in main.operators
        if NAMES[model.operatorCodes[op.opcodeIndex].builtinCode] == "DEQUANTIZE"
    }
    convolutions = [op for op in main.operators if NAMES[model.operatorCodes[op.opcodeIndex].builtinCode] == "CONV_2D"]
    assert len(convolutions) == 2
    for op in convolutions:
        assert set(map(int, op.inputs[1:])) <= widened
