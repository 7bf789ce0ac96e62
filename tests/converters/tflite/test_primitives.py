"""Every primitive in every precision against the oracle, run by LiteRT: several images through one interpreter.

In int8 the oracle is given the weights and operands that int8 can hold, so that only the rounding of the result is
left: the tolerance is in steps of its scale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.graph import nodes as g
from converters.graph import oracle
from converters.graph.graph import INPUT, Graph, Ranges
from converters.tflite.quantisation import quantisation_of
from tests.converters.tflite.running import (
    Maker,
    close,
    coarse,
    converted,
    halved,
    real,
    rounded,
    run,
    seen,
    value_of,
)

pytestmark = pytest.mark.thorough

IMAGES = 4
ACTIVATIONS = st.sampled_from(get_args(g.Activation))
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))

brief = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


class Draw:
    """Draws a primitive's case: sizes that shrink, and numbers from a seed."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.make = Maker(self(st.integers(0, 2**16)))

    def __call__(self, strategy: st.SearchStrategy[Any]) -> Any:
        return self._data.draw(strategy)

    def count(self, low: int, high: int) -> int:
        return int(self(st.integers(low, high)))

    def map(self, least: int = 1) -> tuple[int, int, int]:
        return (self.count(least, 8), self.count(least, 7), self.count(1, 5))

    def shape(self, low: int = 1, high: int = 3) -> tuple[int, ...]:
        return tuple(self.count(1, 6) for _ in range(self.count(low, high)))

    def pads(self, most: int) -> g.Pads:
        above, below, left, right = (self.count(0, most) for _ in range(4))
        return ((above, below), (left, right))


Case = tuple[tuple[int, ...], tuple[g.Node, ...]]


def _pads(draw: Draw, shape: tuple[int, ...], size: tuple[int, int], strides: Any, dilation: Any = (1, 1)) -> g.Pads:
    match draw(st.sampled_from(["same", "none", "any"])):
        case "same":
            return g.same_pads(shape, size, strides, dilation)
        case "none":
            return g.NO_PADS
    (above, below), (left, right) = draw.pads(2)
    return (above % size[0], below % size[0]), (left % size[1], right % size[1])


def _conv(draw: Draw, groups: int, inside: int, out: int, dilated: bool = False) -> Case:
    shape = (draw.count(3, 8), draw.count(3, 7), groups * inside)
    size = draw(PAIRS)
    strides = draw(PAIRS)
    dilation = draw(PAIRS) if dilated else (1, 1)
    pads = _pads(draw, shape, size, strides, dilation)
    if min(g.windows(shape, size, (1, 1), pads, dilation)) < 1:
        dilation, pads = (1, 1), g.NO_PADS
    kernel = draw.make.weights(*size, inside, groups * out)
    bias = draw.make.weights(groups * out, gain=0.5)
    return shape, (g.Conv("node", kernel, bias, strides, pads, dilation, groups, draw(ACTIVATIONS)),)


def conv(draw: Draw) -> Case:
    return _conv(draw, 1, draw.count(1, 4), draw.count(1, 4), dilated=True)


def depthwise(draw: Draw) -> Case:
    return _conv(draw, draw.count(2, 5), 1, draw.count(1, 3), dilated=True)


def grouped(draw: Draw) -> Case:
    return _conv(draw, draw.count(2, 3), draw.count(2, 3), draw.count(1, 3))


def conv_transpose(draw: Draw) -> Case:
    shape = draw.map()
    size = draw(PAIRS)
    strides = draw(PAIRS)
    kernel = draw.make.weights(*size, shape[2], 3)
    bias = draw.make.weights(3, gain=0.5)
    same = [long - step for long, step in zip(size, strides, strict=True)]  # less than 0: zeros are added at the end
    rows, columns = ((max(total, 0) // 2, total - max(total, 0) // 2) for total in same)
    turned = tuple((max(after, 0), before) for before, after in (rows, columns))
    trims = draw(st.sampled_from([g.NO_PADS, (rows, columns), turned, ((0, -1), (0, -2)), ((0, 1), (1, 0))]))
    node = g.ConvTranspose("node", kernel, bias, strides, trims, draw(ACTIVATIONS))
    lengths = [(length - 1) * step + long for length, step, long in zip(shape, strides, size, strict=False)]
    if min(length - sum(trim) for length, trim in zip(lengths, trims, strict=True)) < 1:
        node = g.ConvTranspose("node", kernel, bias, strides)
    return shape, (node,)


def pool(draw: Draw) -> Case:
    shape = draw.map(3)
    size = draw(PAIRS)
    strides = draw(PAIRS)
    return shape, (
        g.Pool("node", draw(st.sampled_from(["max", "average"])), size, strides, _pads(draw, shape, size, strides)),
    )


def dense(draw: Draw) -> Case:
    shape = draw.shape()
    out = draw.count(1, 5)
    return shape, (
        g.Dense("node", draw.make.weights(shape[-1], out), draw.make.weights(out, gain=0.5), draw(ACTIVATIONS)),
    )


def affine(draw: Draw) -> Case:
    shape = draw.shape()
    return shape, (
        g.Affine("node", draw.make.weights(shape[-1]), draw.make.weights(shape[-1], gain=0.5), draw(ACTIVATIONS)),
    )


def prelu(draw: Draw) -> Case:
    shape = draw.shape()
    slope = draw.make.images(1, [length if draw(st.booleans()) else 1 for length in shape])[0]
    return shape, (g.PRelu("node", slope),)


def _operand(draw: Draw, name: str, shape: tuple[int, ...]) -> tuple[g.Node, ...]:
    """A value with axes of the shape, or of length 1: a constant, or one made of the input."""
    short = [length if draw(st.booleans()) else 1 for length in shape]
    if draw(st.booleans()):
        return (g.Constant(name, draw.make.images(1, short, 0.5, 2)[0]),)
    part = g.Slice(f"{name} part", (0,) * len(shape), tuple(short), (1,) * len(shape), inputs=(INPUT,))
    return part, g.Affine(
        name, np.full(short[-1], -3, np.float32), np.full(short[-1], 0.5, np.float32), inputs=(part.name,)
    )


def _binary(operators: tuple[str, ...]) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        shape = draw.shape()
        operand = _operand(draw, "operand", shape)
        inputs = draw(st.permutations([INPUT, operand[-1].name]))
        return shape, (
            *operand,
            g.Binary("node", draw(st.sampled_from(operators)), draw(ACTIVATIONS), inputs=tuple(inputs)),
        )

    return case


def divide(draw: Draw) -> Case:
    shape = draw.shape()
    below = g.Affine("shifted", np.ones(shape[-1], np.float32), np.full(shape[-1], 3, np.float32), inputs=(INPUT,))
    return shape, (below, g.Binary("node", "divide", draw(ACTIVATIONS), inputs=(INPUT, "shifted")))


def matmul(draw: Draw) -> Case:
    rows = draw.count(1, 5)
    inside = draw.count(1, 5)
    before = tuple(draw.count(1, 3) for _ in range(draw.count(0, 2)))
    shape = (*before, rows, inside)
    transposed = draw(st.booleans())
    if draw(st.booleans()):
        out = (draw.count(1, 4), inside) if transposed else (inside, draw.count(1, 4))
        other: g.Node = g.Constant("other", draw.make.images(1, (*before, *out))[0])
    else:
        turned = tuple(range(len(before))) + (
            (len(before) + 1, len(before)) if not transposed else (len(before), len(before) + 1)
        )
        other = g.Permute("other", turned, inputs=(INPUT,))
    return shape, (other, g.MatMul("node", transposed, inputs=(INPUT, "other")))


def softmax(draw: Draw) -> Case:
    return draw.shape(), (g.Softmax("node"),)


def normalise(draw: Draw) -> Case:
    shape = draw.shape()
    axes = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    return shape, (g.Normalise("node", tuple(sorted(axes)), 1e-3),)


def reduce(draw: Draw) -> Case:
    shape = draw.shape()
    axes = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    return shape, (
        g.Reduce(
            "node", draw(st.sampled_from(["mean", "sum", "max", "min"])), tuple(sorted(axes)), draw(st.booleans())
        ),
    )


def concat(draw: Draw) -> Case:
    shape = draw.shape()
    axis = draw.count(0, len(shape) - 1)
    nodes: list[g.Node] = []
    for index in range(draw.count(1, 6)):
        scale = np.full(shape[-1], draw(st.sampled_from([-2.0, 0.25, 1.0])), np.float32)
        match draw(st.sampled_from(["affine", "reversed", "constant"])):
            case "affine":
                nodes.append(g.Affine(f"part {index}", scale, scale, inputs=(INPUT,)))
            case "reversed":
                nodes.append(g.Reverse(f"part {index}", axis, inputs=(INPUT,)))
            case "constant":
                nodes.append(g.Constant(f"part {index}", draw.make.images(1, shape)[0]))
    return shape, (*nodes, g.Concat("node", axis, inputs=(INPUT, *(node.name for node in nodes))))


def cut(draw: Draw) -> Case:
    shape = draw.shape()
    starts = tuple(draw.count(0, length - 1) for length in shape)
    stops = tuple(draw.count(start + 1, length) for start, length in zip(starts, shape, strict=True))
    return shape, (g.Slice("node", starts, stops, tuple(draw.count(1, 3) for _ in shape)),)


def pad(draw: Draw) -> Case:
    shape = draw.shape()
    return shape, (
        g.Pad(
            "node", tuple((draw.count(0, 2), draw.count(0, 2)) for _ in shape), draw(st.sampled_from([0.0, 0.5, -3.0]))
        ),
    )


def reverse(draw: Draw) -> Case:
    shape = draw.shape()
    return shape, (g.Reverse("node", draw.count(0, len(shape) - 1)),)


def reshape(draw: Draw) -> Case:
    shape = draw.shape()
    return shape, (g.Reshape("node", (1, int(np.prod(shape)), 1, 1)),)


def permute(draw: Draw) -> Case:
    shape = draw.shape()
    return shape, (g.Permute("node", tuple(draw(st.permutations(range(len(shape)))))),)


def resize(draw: Draw) -> Case:
    return draw.map(), (g.Resize("node", draw(PAIRS), draw(st.sampled_from(["nearest", "bilinear"]))),)


def spatial_transform(draw: Draw) -> Case:
    """The matrix depends on the image: near to the identity, so that sources lie in the map and out of it."""
    shape = (draw.count(2, 6), draw.count(2, 6), draw.count(1, 3))
    kernel = draw.make.weights(int(np.prod(shape)), 6, gain=0.4)
    nodes = (
        g.Reshape("flat", (len(kernel),), inputs=(INPUT,)),
        g.Dense("matrix", kernel, np.float32([0.8, 0.1, 0.05, 0, 0.9, -0.1]), inputs=("flat",)),
        g.SpatialTransform("node", inputs=(INPUT, "matrix")),
    )
    return shape, nodes


PRIMITIVES: dict[str, Callable[[Draw], Case]] = {
    case.__name__: case
    for case in (
        conv, depthwise, grouped, conv_transpose, dense, affine, matmul, prelu, divide, softmax, normalise, reduce,
        pool, resize, concat, cut, pad, reverse, reshape, permute, spatial_transform,
    )
}  # fmt: skip
PRIMITIVES["arithmetic"] = _binary(("add", "subtract", "multiply"))
PRIMITIVES["choice"] = _binary(("maximum", "minimum"))
every_primitive = pytest.mark.parametrize("primitive", PRIMITIVES)


def case_of(primitive: str, data: st.DataObject) -> tuple[Graph, np.ndarray]:
    draw = Draw(data)
    shape, nodes = PRIMITIVES[primitive](draw)
    return Graph.chain(shape, nodes), draw.make.images(IMAGES, shape)


@every_primitive
@brief
@given(st.data())
def test_float32(primitive: str, data: st.DataObject) -> None:
    graph, images = case_of(primitive, data)
    batch = data.draw(st.sampled_from([1, 2]))
    close(run(converted(graph, "float32", batch=batch), images), oracle.run(graph, images))


@every_primitive
@brief
@given(st.data())
def test_float16(primitive: str, data: st.DataObject) -> None:
    graph, images = case_of(primitive, data)
    rounded_graph = Graph(graph.input_shape, tuple(map(halved, graph.nodes)))
    close(run(converted(graph, "float16"), images), oracle.run(rounded_graph, images))


WEIGHTED = (g.Conv, g.Dense)


@every_primitive
@brief
@given(st.data())
def test_dynamic(primitive: str, data: st.DataObject) -> None:
    """Matrix products take their operand in steps of 1/255 of its range, and their kernel in steps of 1/127."""
    graph, images = case_of(primitive, data)
    batch = data.draw(st.sampled_from([1, 2]))
    values = run(converted(graph, "dynamic", batch=batch), images)
    expected = oracle.run(graph, images)
    node = graph.nodes[-1]
    if not isinstance(node, WEIGHTED):
        close(values, expected)
        return
    kernel = np.abs(node.kernel).reshape(-1, node.kernel.shape[-1])
    largest = float(np.abs(images).max())
    step = 2 * largest / 255
    weight_step = kernel.max() / 127
    np.testing.assert_allclose(
        values, expected, atol=kernel.sum(axis=0).max() * step + len(kernel) * largest * weight_step
    )


def steps(node: g.Node) -> float:
    """Return the largest error of a result in steps of its scale: half a step, or one if LiteRT rounds twice."""
    if isinstance(node, g.Pool) and node.mode == "average" and node.pads != g.NO_PADS:
        return float(node.size[0] * node.size[1])  # the rounded average may be multiplied by what padding takes of it
    return 1.1


def expected_of(graph: Graph, images: np.ndarray, ranges: Ranges) -> tuple[np.ndarray, np.ndarray | float]:
    """Return the result for operands and weights rounded to int8, and the change that a step of an operand makes."""
    values = {INPUT: images}
    loose: set[str] = set()
    for node in graph.nodes:
        operands = [values[name] for name in node.inputs]
        node = coarse(node, ranges)
        values[node.name] = oracle.evaluate(node, operands)
        if isinstance(node, g.Affine):
            loose.add(node.name)
            values[node.name] = rounded(values[node.name], quantisation_of(node.name, ranges))
    slack: np.ndarray | float = 0.0
    last = coarse(graph.nodes[-1], ranges)
    for name in loose.intersection(last.inputs):
        for step in (-1, 1):
            moved = values[name] + step * quantisation_of(name, ranges).scale
            other = oracle.evaluate(last, [moved if taken == name else values[taken] for taken in last.inputs])
            slack = np.maximum(slack, np.abs(other - values[last.name]))
    return values[last.name], slack


@every_primitive
@pytest.mark.parametrize("recipe", ["int8", "int8-full"])
@brief
@given(st.data())
def test_static(recipe: str, primitive: str, data: st.DataObject) -> None:
    graph, images = case_of(primitive, data)
    images, ranges = seen(graph, images)
    batch = data.draw(st.sampled_from([1, 2]))
    values, quantisation = value_of(converted(graph, recipe, ranges, batch=batch), images, "node")
    if quantisation is None and primitive != "divide":
        close(values, oracle.run(graph, images))
        return
    expected, slack = expected_of(graph, images, ranges)
    step = 0.0
    if quantisation is not None:
        step = quantisation.scale
        ends = real(np.int8([-128, 127]), quantisation)
        expected = expected.clip(*ends)  # coarse weights may give more than was seen
    assert np.abs(values - expected).max() <= steps(graph.nodes[-1]) * step + np.max(slack) + 1e-5
