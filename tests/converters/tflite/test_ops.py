from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from converters.graph.cells import GruCell, LstmCell
from converters.graph.graph import Graph
from converters.graph.nodes import Affine, Conv, Dense, Pool, Recurrent, Reshape, Softmax, same_pads
from converters.graph.ranges import calibrate
from converters.recipe import RECIPES
from converters.tflite.quantisation import least_scales, quantisation_of, quantise_weight
from converters.tflite.to_tflite import to_tflite
from converters.tflite.versions import version_of
from converters.tflite.writer import Tensor
from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import InputSpec, Quantisation
from tests.converters.tflite.running import DTYPES, NAMES

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
        real, stored = (np.take(array, channel, axis) for array in (value, integers))
        error = np.abs(stored * np.float64(scales[channel]) - real).max()
        if np.abs(real).max() < 1e-35:  # as good as 0, and so stored
            assert error < 1e-35
        else:
            assert error <= np.abs(real).max() / 127 * 0.5001
            assert np.abs(stored.astype(int)).max() == 127


@given(FINITE, FINITE)
def test_ranges_are_covered_with_zero_exact(first: float, second: float) -> None:
    low = min(first, second)
    high = max(first, second)
    quantisation = quantisation_of("x", {"x": (low, high)})
    assert -128 <= quantisation.zero_point <= 127
    levels = (np.array([-128, 127]) - quantisation.zero_point) * quantisation.scale
    assert levels[0] <= min(low, 0) + quantisation.scale / 2 * 1.0001
    assert levels[1] >= max(high, 0) - quantisation.scale / 2 * 1.0001
    assert levels[1] - levels[0] == pytest.approx(max(high, 0) - min(low, 0)) or low == high == 0


def test_names_of_parts_lead_to_the_range_of_their_value() -> None:
    ranges = {"a": (-1.0, 1.0), "a:b": (-2.0, 2.0)}
    assert quantisation_of("a:part", ranges) == quantisation_of("a:3", ranges) == quantisation_of("a", ranges)
    assert quantisation_of("a:b", ranges) == quantisation_of("a:b:part", ranges)
    assert quantisation_of("a:b", ranges).scale == 2 * quantisation_of("a", ranges).scale
    with pytest.raises(ConversionError, match="'c' was never seen in calibration"):
        quantisation_of("c:part", ranges)


def test_a_bias_fits_in_32_bits() -> None:
    """Weight decay empties channels, and their norms leave a shift: 0.5 over a scale of 1e-12 is beyond int32."""
    operand = Quantisation(0.01, 0)
    bias = np.float32([0.5, -2, 0])
    kernel = np.float32([[1e-12, 1, 0]])
    _, scales = quantise_weight(kernel, 1, least_scales(bias, operand))
    assert np.abs(bias / (scales * operand.scale)).max() < 2**29
    assert scales[1] == np.float32(1 / 127)
    assert scales[2] == scales[1]  # where there is nothing, any scale will do but one far from the others


def network() -> Graph:
    random = np.random.default_rng(0)

    def some(*shape: int) -> np.ndarray:
        return random.normal(0, 0.5, shape).astype(np.float32)

    lstms = [LstmCell(some(6, 16), some(4, 16), some(16)) for _ in range(2)]
    grus = [GruCell(some(8, 12), some(4, 12), some(12), some(4)), GruCell(some(8, 12), some(4, 12), some(12))]
    return Graph.chain(
        (8, 6, 1),
        (
            Conv("conv1", some(3, 3, 1, 4), some(4), pads=same_pads((8, 6), (3, 3), (1, 1)), activation="relu"),
            Affine("norm", some(4), some(4)),
            Conv("conv2", some(2, 2, 4, 6), some(6), pads=same_pads((8, 6), (2, 2), (1, 1))),
            Pool("pool", "max", (1, 2), (1, 2)),
            Reshape("steps", (8, 18)),
            Dense("dense", some(18, 6), some(6)),
            Recurrent("lstm", *lstms),
            Recurrent("gru", *grus),
            Dense("last", some(8, 5), some(5)),
            Softmax("softmax"),
        ),
    )


def converted(recipe: str) -> schema.ModelT:
    graph = network()
    images = np.random.default_rng(1).uniform(-1, 1, (4, 8, 6, 1)).astype(np.float32)
    image = InputSpec(6, 8, "HWC", 1 / 127.5, -1.0, dtype="uint8")
    payload = to_tflite(graph, image, RECIPES[recipe], calibrate(graph, [images]))
    return schema.ModelT.InitFromPackedBuf(payload, 0)


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
    assert {code for code in codes if code[0].endswith(("CONV_2D", "FULLY_CONNECTED"))} == LINEAR[recipe]
    assert max(version for name, version in codes if not name.endswith(("CONV_2D", "FULLY_CONNECTED"))) <= 3


@pytest.mark.parametrize(
    ("code", "dtype", "axes", "version"),
    [
        ("ADD", "float32", 4, 1),
        ("ADD", "int8", 5, 2),
        ("SUB", "int8", 4, 2),
        ("SUB", "float32", 5, 3),
        ("DIV", "float32", 5, 2),
        ("MAXIMUM", "int8", 5, 3),
        ("TRANSPOSE", "int8", 4, 2),
        ("TRANSPOSE", "int8", 5, 4),
        ("TRANSPOSE", "float32", 6, 6),
        ("STRIDED_SLICE", "int8", 5, 4),
        ("PADV2", "float32", 5, 4),
        ("REVERSE_V2", "float32", 4, 1),
        ("REVERSE_V2", "int8", 4, 3),
        ("LEAKY_RELU", "int8", 4, 1),
        ("RESHAPE", "int8", 6, 1),
        ("GELU", "int8", 3, 2),
        ("RESIZE_BILINEAR", "float32", 4, 3),
        ("QUANTIZE", "int8", 4, 2),
    ],
)
def test_versions_are_those_of_tensorflow(code: str, dtype: str, axes: int, version: int) -> None:
    quantisation = Quantisation(0.1, 0) if dtype == "int8" else None
    tensor = Tensor(0, "x", (2,) * axes, dtype, quantisation)
    assert version_of(code, [tensor, tensor], tensor) == version


def test_a_product_with_a_scale_of_one_and_more_has_a_version_of_its_own() -> None:
    factor, coarse, fine = (Tensor(0, "x", (2,), "int8", Quantisation(scale, 0)) for scale in (0.5, 0.26, 0.25))
    assert version_of("MUL", [factor, factor], coarse) == 2
    assert version_of("MUL", [factor, factor], fine) == 3


def constants(model: schema.ModelT) -> dict[str, schema.TensorT]:
    return {
        tensor.name.decode(): tensor
        for subgraph in model.subgraphs
        for tensor in subgraph.tensors
        if model.buffers[tensor.buffer].data is not None
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
    weights = {name: tensor for name, tensor in constants(converted(recipe)).items() if is_weight(name)}
    assert {DTYPES[tensor.type] for tensor in weights.values()} == expected
    kernels = {name: tensor for name, tensor in weights.items() if "/kernel" in name and name != "conv1/kernel"}
    assert len(kernels) >= 6
    assert len({DTYPES[tensor.type] for tensor in kernels.values()}) == 1
    for tensor in kernels.values():
        if tensor.type == schema.TensorType.INT8:  # one scale per output channel, the first axis
            assert (len(tensor.quantization.scale), tensor.quantization.quantizedDimension) == (tensor.shape[0], 0)


def test_nothing_but_integers_in_int8_full() -> None:
    (main,) = converted("int8-full").subgraphs
    assert {DTYPES[tensor.type] for tensor in main.tensors} == {"UINT8", "INT8", "INT32"}


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
