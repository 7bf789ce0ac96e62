"""Columns of a grey image as channels: the same convolution."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from converters.graph import oracle
from converters.graph.graph import Graph
from converters.graph.nodes import Conv, same_pads
from converters.graph.ranges import calibrate
from converters.tflite import linear
from converters.tflite.blocks import block_of, in_blocks
from tests.converters.tflite.running import NAMES, Maker, converted, ending, run

SIZES = st.integers(1, 5)


@given(st.data(), st.integers(1, 8), st.integers(1, 4), st.tuples(SIZES, SIZES), st.tuples(SIZES, SIZES))
def test_blocks_compute_the_convolution(
    data: st.DataObject, block: int, blocks: int, size: tuple[int, int], dilation: tuple[int, int]
) -> None:
    make = Maker(data.draw(st.integers(0, 99)))
    columns = block * blocks
    reach = (size[1] - 1) * dilation[1]
    left = data.draw(st.integers(0, reach))
    rows = (size[0] - 1) * dilation[0] + 2
    pads = ((0, data.draw(st.integers(0, 3))), (left, reach - left))
    node = Conv(
        "conv", make.weights(*size, 1, 3), make.weights(3), (data.draw(SIZES), 1), pads, dilation, activation="relu"
    )
    images = make.images(2, (rows, columns, 1))
    expected = oracle.run(Graph.chain((rows, columns, 1), (node,)), images)
    graph = Graph.chain((rows, blocks, block), (in_blocks(node, block),))
    result = oracle.run(graph, images.reshape(2, rows, blocks, block))
    np.testing.assert_allclose(result.reshape(expected.shape), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "channels", "settings", "block"),
    [
        ((6, 64, 1), 8, {}, 8),
        ((6, 64, 1), 32, {}, 2),
        ((6, 64, 1), 64, {}, 1),
        ((6, 64, 1), 65, {}, 1),
        ((6, 60, 1), 8, {}, 6),
        ((6, 61, 1), 8, {}, 1),
        ((6, 64, 3), 8, {}, 1),
        ((6, 64, 1), 8, {"strides": (2, 1)}, 8),
        ((6, 64, 1), 8, {"strides": (1, 2)}, 1),
        ((6, 64, 1), 8, {"pads": ((1, 1), (0, 0))}, 1),
    ],
)
def test_block_fits_tiles_and_columns(
    shape: tuple[int, int, int], channels: int, settings: dict[str, object], block: int
) -> None:
    node = conv(shape, channels, **settings)
    assert block_of(node, (1, *node.shape(shape)), (1, *shape)) == block


def test_int8_gives_the_same_bits_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (6, 16, 1)
    graph = ending(shape, conv(shape, 8))
    images = Maker(9).images(16, shape)
    ranges = calibrate(graph, [images])
    blocked = converted(graph, "int8", ranges)
    monkeypatch.setattr(linear, "block_of", lambda *_: 1)
    plain = converted(graph, "int8", ranges)
    assert kernel_of(blocked) == (64, 3, 3, 8)
    assert kernel_of(plain) == (8, 3, 3, 1)
    np.testing.assert_array_equal(run(blocked, images), run(plain, images))


@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic"])
def test_other_precisions_gain_nothing_from_blocks(recipe: str) -> None:
    shape = (6, 16, 1)
    assert kernel_of(converted(ending(shape, conv(shape, 8)), recipe)) == (8, 3, 3, 1)


def kernel_of(payload: bytes) -> tuple[int, ...]:
    """Return the shape of the only convolution's kernel: (channels, rows, columns, input channels)."""
    model = schema.ModelT.InitFromPackedBuf(payload, 0)
    main = model.subgraphs[0]
    (op,) = (op for op in main.operators if NAMES[model.operatorCodes[op.opcodeIndex].builtinCode] == "CONV_2D")
    return tuple(map(int, main.tensors[op.inputs[1]].shape))


def conv(shape: tuple[int, int, int], channels: int, **settings: object) -> Conv:
    make = Maker(3)
    pads = same_pads(shape, (3, 3), (1, 1), (1, 1))
    kernel = make.weights(3, 3, shape[2], channels)
    return Conv("conv", kernel, make.weights(channels), **{"pads": pads, **settings})  # type: ignore[arg-type]
