"""Graphs with a drawn instance of a primitive, for property tests of a lowering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, get_args

import numpy as np
from hypothesis import strategies as st

from converters.graph import nodes as n
from converters.graph.graph import INPUT, Graph
from tests.converters.onnx.made import Random

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]
Made: TypeAlias = tuple[tuple[int, ...], list[n.Node]]


def _pick(draw: Draw, *options: Any) -> Any:
    return draw(st.sampled_from(options))


def _whole(draw: Draw, low: int, high: int) -> int:
    return int(draw(st.integers(low, high)))


def _pads(draw: Draw, most: int) -> n.Pads:
    (top, bottom), (left, right) = ((_whole(draw, 0, most), _whole(draw, 0, most)) for _ in range(2))
    return (top, bottom), (left, right)


def _map(draw: Draw, random: Random, channels: int = 4) -> Made:
    """A map, channels first in the file or last."""
    shape = (_whole(draw, 4, 6), _whole(draw, 4, 7), channels)
    return shape, [random.conv("before", channels, channels, 1)] if draw(st.booleans()) else []


def _any(draw: Draw, random: Random) -> Made:
    """A vector, a sequence or a map."""
    return _pick(draw, ((4,), []), ((3, 4), []), _map(draw, random))  # type: ignore[no-any-return]


def _conv(draw: Draw, random: Random) -> Made:
    groups, channels = _pick(draw, (1, 4), (2, 4), (4, 4), (1, 3))
    kernel = random(_whole(draw, 1, 3), _whole(draw, 1, 3), channels // groups, groups * _whole(draw, 1, 3))
    dilation = _pick(draw, (1, 1), (1, 2), (2, 1))
    strides = (1, 1) if dilation != (1, 1) else (_whole(draw, 1, 2), _whole(draw, 1, 3))
    pads = _pads(draw, 2)
    activation = _pick(draw, *get_args(n.Activation))
    shape = (_whole(draw, 5, 7), _whole(draw, 5, 7), channels)
    return shape, [n.Conv("it", kernel, random(kernel.shape[3]), strides, pads, dilation, groups, activation)]


def _conv_transpose(draw: Draw, random: Random) -> Made:
    size = (_whole(draw, 1, 3), _whole(draw, 1, 3))
    strides = (_whole(draw, 1, 3), _whole(draw, 1, 3))
    rows, columns = (
        (_whole(draw, 0, 1), _whole(draw, 1 - min(stride, 2), 1)) for stride in strides
    )  # where less than nothing is cut off, it is less than a stride
    kernel = random(*size, 3, 4)
    return (4, 5, 3), [
        n.ConvTranspose("it", kernel, random(4), strides, (rows, columns), _pick(draw, "linear", "relu"))
    ]


def _pool(draw: Draw, random: Random) -> Made:
    size = (_whole(draw, 1, 3), _whole(draw, 1, 3))
    pads = tuple((_whole(draw, 0, length - 1), _whole(draw, 0, length - 1)) for length in size)
    strides = (_whole(draw, 1, 3), _whole(draw, 1, 3))
    shape, before = _map(draw, random)
    return shape, [*before, n.Pool("it", _pick(draw, "max", "average"), size, strides, (pads[0], pads[1]))]


def _reduce(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    mode = _pick(draw, "mean", "max", "min", "sum")
    return shape, [*before, n.Reduce("it", mode, tuple(axes), draw(st.booleans()))]


def _dense(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    return shape, [*before, random.dense("it", 4, 3, _pick(draw, *get_args(n.Activation)))]


def _affine(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    return shape, [*before, random.affine("it", 4, _pick(draw, *get_args(n.Activation)))]


def _unary(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    function = draw(st.sampled_from(get_args(n.Function)))
    if function in ("log", "rsqrt", "sqrt"):
        before = [*before, n.Unary("positive", "exp")]
    return shape, [*before, n.Unary("it", function, draw(st.sampled_from((0.0, 0.1, 0.3, 1.5))))]


def _prelu(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    slope = random(*(length if draw(st.booleans()) else 1 for length in shape))
    return shape, [*before, n.PRelu("it", slope)]


def _binary(draw: Draw, random: Random) -> Made:
    """Operators of a map and a value made from it, or a constant, one of them repeated along some axes."""
    shape, before = _any(draw, random)
    source = before[-1].name if before else INPUT
    other: n.Node
    if draw(st.booleans()):
        kept = tuple(length if draw(st.booleans()) else 1 for length in shape)
        other = n.Constant("other", np.exp(random(*kept)))
    else:
        axes = tuple(draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1)))
        before = [*before, n.Unary("positive", "exp", inputs=(source,))]
        other = n.Reduce("other", "max", axes, keepdims=True)
    operands = _pick(draw, (source, "other"), ("other", source), ("other", "other"))
    if operands[1] == source:  # never divide by what may be 0
        operator = _pick(draw, *(name for name in get_args(n.Operator) if name != "divide"))
    else:
        operator = _pick(draw, *get_args(n.Operator))
    return shape, [*before, other, n.Binary("it", operator, _pick(draw, *get_args(n.Activation)), inputs=operands)]


def _matmul(draw: Draw, random: Random) -> Made:
    """Products of two values, or of a value and a constant, with or without heads."""
    transposed = draw(st.booleans())
    heads = _pick(draw, (), (2,))
    other: n.Node = random.dense("other", 4, 4)
    if draw(st.booleans()):
        other = n.Constant("other", random(*heads, 3, 4) if transposed else random(*heads, 4, 5))
    elif not transposed:
        other = n.Permute("other", (0, 2, 1) if heads else (1, 0))
    return (*heads, 3, 4), [other, n.MatMul("it", transposed, inputs=(INPUT, "other"))]


def _softmax(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    return shape, [*before, n.Softmax("it")]


def _normalise(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    return shape, [*before, n.Normalise("it", tuple(axes), _pick(draw, 1e-1, 1e-2))]


def _concat(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    axis = _whole(draw, 0, len(shape) - 1)
    source = before[-1].name if before else INPUT
    longer = (*shape[:axis], 2, *shape[axis + 1 :])
    operands = draw(st.lists(st.sampled_from((source, "constant", "negative")), min_size=1, max_size=4))
    extra = [n.Constant("constant", random(*longer)), n.Unary("negative", "negative", inputs=(source,))]
    return shape, [*before, *extra, n.Concat("it", axis, inputs=tuple(operands))]


def _slice(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    starts = [_whole(draw, 0, length - 1) for length in shape]
    stops = [_whole(draw, start + 1, length) for start, length in zip(starts, shape, strict=True)]
    steps = [_whole(draw, 1, 3) for _ in shape]
    return shape, [*before, n.Slice("it", tuple(starts), tuple(stops), tuple(steps))]


def _pad(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    pads = tuple((_whole(draw, 0, 2), _whole(draw, 0, 2)) for _ in shape)
    return shape, [*before, n.Pad("it", pads, _pick(draw, 0.0, -1.5))]


def _reverse(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    return shape, [*before, n.Reverse("it", _whole(draw, 0, len(shape) - 1))]


def _reshape(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    size = int(np.prod(shape))
    return shape, [*before, n.Reshape("it", _pick(draw, (size,), (size // 2, 2), (1, 1, size), (2, size // 4, 2)))]


def _permute(draw: Draw, random: Random) -> Made:
    shape, before = _any(draw, random)
    return shape, [*before, n.Permute("it", tuple(draw(st.permutations(range(len(shape))))))]


def _resize(draw: Draw, random: Random) -> Made:
    shape, before = _map(draw, random)
    return shape, [
        *before,
        n.Resize("it", (_whole(draw, 1, 3), _whole(draw, 1, 3)), _pick(draw, "nearest", "bilinear")),
    ]


def _constant(draw: Draw, random: Random) -> Made:
    """Make a constant the graph's output, which still has a batch axis."""
    shape = _pick(draw, (3,), (2, 3), (2, 3, 4))
    more: list[n.Node] = _pick(draw, [], [n.Unary("tanh", "tanh")], [random.conv("conv", 4, 2)] * (len(shape) == 3))
    return (4,), [n.Constant("it", random(*shape)), *more]


def _spatial_transform(draw: Draw, random: Random) -> Made:
    """Within the map, beyond its edges, and far away."""
    shape, before = _map(draw, random)
    source = before[-1].name if before else INPUT
    means: n.Node = n.Reduce("means", "mean", (0, 1), inputs=(source,))
    spread = np.float32(_pick(draw, 0.0, 0.3, 3.0))
    matrix = n.Dense("matrix", spread * random(4, 6), np.array([1, 0, 0, 0, 1, 0], np.float32))
    if draw(st.booleans()):
        return shape, [*before, means, matrix, n.SpatialTransform("it", inputs=(source, "matrix"))]
    fixed = n.Constant("matrix", np.array([0.7, 0.2, 0.1, -0.3, 0.9, 0.4], np.float32))
    return shape, [*before, fixed, n.SpatialTransform("it", inputs=(source, "matrix"))]


def _recurrent(draw: Draw, random: Random) -> Made:
    kinds = ("LSTM", "GRU", "GRU as first published")
    merge = _pick(draw, *get_args(n.Merge))
    forward, backward = (random.cell(3, 2, kind=_pick(draw, *kinds)) for _ in range(2))
    cells = _pick(draw, (forward, backward), (forward, None), (None, backward))
    return (5, 3), [n.Recurrent("it", *cells, merge)]


MAKERS: dict[type[n.Node], Callable[[Draw, Random], Made]] = {
    n.Affine: _affine,
    n.Binary: _binary,
    n.Concat: _concat,
    n.Constant: _constant,
    n.Conv: _conv,
    n.ConvTranspose: _conv_transpose,
    n.Dense: _dense,
    n.MatMul: _matmul,
    n.Normalise: _normalise,
    n.Pad: _pad,
    n.Permute: _permute,
    n.Pool: _pool,
    n.PRelu: _prelu,
    n.Recurrent: _recurrent,
    n.Reduce: _reduce,
    n.Reshape: _reshape,
    n.Resize: _resize,
    n.Reverse: _reverse,
    n.Slice: _slice,
    n.Softmax: _softmax,
    n.SpatialTransform: _spatial_transform,
    n.Unary: _unary,
}


def graph_with(kind: type[n.Node], draw: Draw, seed: int = 0) -> Graph:
    """Return a graph with a node of this kind, named `it`."""
    shape, nodes = MAKERS[kind](draw, Random(seed))
    return Graph.chain(shape, nodes)
