"""The reference implementation: runs a graph node by node in NumPy and float32, and shows every intermediate value.

It is slow and obvious on purpose. Calibration takes ranges from its values, and every lowering is tested against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from .cells import Array, Cell, GruCell, LstmCell
from .functions import activate, apply, gate, operate, softmax
from .graph import INPUT, Graph, Observer
from .nodes import (
    Affine,
    Binary,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    MatMul,
    Node,
    Normalise,
    Pad,
    Pads,
    Permute,
    Pool,
    PRelu,
    Recurrent,
    Reduce,
    Reshape,
    Resize,
    Reverse,
    Slice,
    Softmax,
    SpatialTransform,
    Unary,
)


def run(graph: Graph, batch: npt.NDArray[np.float32], observe: Observer | None = None) -> Array:
    """Run a batch (N, *input_shape) float32 and return the output (N, *output_shape).

    `observe` is called with "input", with each node's name, and with the values inside recurrent nodes
    (`NODE/DIRECTION/VALUE`, see `_lstm` and `_gru`).
    """
    show = observe or _ignore
    show(INPUT, batch)
    values = {INPUT: batch}
    left = {name: len(nodes) for name, nodes in graph.consumers.items()}
    for node in graph.nodes:
        values[node.name] = evaluate(node, [values[name] for name in node.inputs], show)
        show(node.name, values[node.name])
        for name in dict.fromkeys(node.inputs):
            left[name] -= 1
            if not left[name] and name != graph.output:
                del values[name]
    return _whole(values[graph.output], batch)


def resume(graph: Graph, given_values: Mapping[str, Array]) -> Array:
    """Compute the graph's output from some given values; nothing that they determine is computed again.

    Args:
        graph: the graph to run.
        given_values: name → value (N, ...); they must suffice to compute the rest.
    """
    needed: set[str] = {graph.output}
    for node in reversed(graph.nodes):
        if node.name in needed and node.name not in given_values:
            needed.update(node.inputs)
    values = dict(given_values)
    for node in graph.nodes:
        if node.name in needed and node.name not in given_values:
            values[node.name] = evaluate(node, [values[name] for name in node.inputs])
    return values[graph.output]


def _whole(value: Array, batch: Array) -> Array:
    """Repeat a constant for every sample."""
    return value if len(value) == len(batch) else np.broadcast_to(value, (len(batch), *value.shape[1:]))


def _ignore(_name: str, _value: Array) -> None:
    pass


def evaluate(node: Node, inputs: Sequence[Array], show: Observer = _ignore) -> Array:
    """Compute the value of one node, (N, ...); values that depend only on constants are (1, ...)."""
    match node:
        case Binary():
            return activate(node.activation, operate(node.operator, *inputs))
        case MatMul():
            first, second = inputs
            return np.asarray(first @ (second.swapaxes(-1, -2) if node.transposed else second))
        case Concat():
            most = max(map(len, inputs))
            parts = [np.broadcast_to(x, (most, *x.shape[1:])) for x in inputs]
            return np.concatenate(parts, axis=node.axis + 1)
        case SpatialTransform():
            return _spatial_transform(*inputs)
        case Constant():
            return node.value[None]
        case _:
            return _of_one(node, inputs[0], show)


def _of_one(node: Node, x: Array, show: Observer) -> Array:
    match node:
        case Conv():
            return activate(node.activation, _conv(node, x))
        case ConvTranspose():
            return activate(node.activation, _conv_transpose(node, x))
        case Pool(mode="max"):
            return np.asarray(_windows(x, node.size, node.strides, node.pads, -np.inf).max(axis=(3, 4)))
        case Pool():
            padded = _windows(x, node.size, node.strides, node.pads, np.nan)
            return np.asarray(np.nanmean(padded, axis=(3, 4), dtype=np.float32))
        case Dense():
            return activate(node.activation, x @ node.kernel + node.bias)
        case Affine():
            return activate(node.activation, x * node.scale + node.shift)
        case Unary():
            return apply(node.function, x, node.alpha)
        case PRelu():
            return np.where(x > 0, x, node.slope * x)
        case Softmax():
            return softmax(x)
        case Normalise():
            axes = _with_batch(node.axes)
            centred = x - x.mean(axis=axes, keepdims=True, dtype=np.float32)
            variance = np.square(centred).mean(axis=axes, keepdims=True, dtype=np.float32)
            return np.asarray(centred / np.sqrt(variance + np.float32(node.epsilon)))
        case Reduce():
            return np.asarray(_REDUCTIONS[node.mode](x, axis=_with_batch(node.axes), keepdims=node.keepdims))
        case Slice():
            return x[(slice(None), *node.index)]
        case Pad():
            return np.pad(x, ((0, 0), *node.pads), constant_values=np.float32(node.value))
        case Reverse():
            return np.flip(x, axis=node.axis + 1)
        case Reshape():
            return x.reshape(len(x), *node.target)
        case Permute():
            return x.transpose(0, *_with_batch(node.axes))
        case Resize():
            return _resize(node, x)
        case Recurrent():
            return _recurrent(node, x, show)
    raise NotImplementedError(f"{type(node).__name__} has no value; this is a defect of edge-crnn")


_REDUCTIONS: Mapping[str, Callable[..., Array]] = {"mean": np.mean, "max": np.max, "min": np.min, "sum": np.sum}


def _with_batch(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in axes)


def patches(node: Conv, x: Array, places: npt.NDArray[np.intp]) -> Array:
    """Return what a convolution multiplies with each column of its kernel, at some places of its result.

    Args:
        node: a convolution with one group.
        x: (N, H, W, C).
        places: (N, M) indices into the rows and columns of the result, counted row by row.

    Returns:
        (N M, height width C).
    """
    windows = _windows(x, node.kernel.shape[:2], node.strides, node.pads, 0.0, node.dilation)
    rows, columns = np.divmod(places, windows.shape[2])
    picked = windows[np.arange(len(x))[:, None], rows, columns]
    return picked.reshape(places.size, math.prod(windows.shape[3:]))


def _conv(node: Conv, x: Array) -> Array:
    height, width, inside, out = node.kernel.shape
    patches = _windows(x, (height, width), node.strides, node.pads, 0.0, node.dilation)
    places = patches.shape[:3]
    if node.groups == 1:
        # One product of two matrices: NumPy takes 5 to 100 times as long for a stack of matrices.
        products = patches.reshape(-1, height * width * inside) @ node.kernel.reshape(-1, out)
        return products.reshape(*places, out) + node.bias
    blocks = patches.reshape(*patches.shape[:5], node.groups, inside)
    kernel = node.kernel.reshape(height, width, inside, node.groups, out // node.groups)
    total = np.zeros((*places, node.groups, out // node.groups), np.float32)
    for row in range(height):
        for column in range(width):
            if inside == 1:
                total += blocks[:, :, :, row, column] * kernel[row, column, 0]
            else:
                total += np.einsum("nrcgi,igo->nrcgo", blocks[:, :, :, row, column], kernel[row, column])
    return total.reshape(*places, out) + node.bias


def _conv_transpose(node: ConvTranspose, x: Array) -> Array:
    height, width, _, out = node.kernel.shape
    (top, bottom), (left, right) = node.trims
    above, before = max(0, -top), max(0, -left)
    rows, columns = ((length - 1) * stride for length, stride in zip(x.shape[1:3], node.strides, strict=True))
    size = (above + rows + height + max(0, -bottom), before + columns + width + max(0, -right))
    full = np.zeros((len(x), *size, out), np.float32)
    for row in range(height):
        for column in range(width):
            down, across = above + row, before + column
            full[:, down : down + rows + 1 : node.strides[0], across : across + columns + 1 : node.strides[1]] += (
                x @ node.kernel[row, column]
            )
    ends = above + rows + height - bottom, before + columns + width - right
    return full[:, max(0, top) : ends[0], max(0, left) : ends[1]] + node.bias


def _resize(node: Resize, x: Array) -> Array:
    if node.mode == "nearest":
        return np.repeat(np.repeat(x, node.factors[0], axis=1), node.factors[1], axis=2)
    for axis, factor in enumerate(node.factors, 1):
        length = x.shape[axis]
        places = np.clip((np.arange(length * factor) + 0.5) / factor - 0.5, 0, length - 1)
        below = np.floor(places).astype(int)
        share = (places - below).astype(np.float32)[(slice(None), *[None] * (3 - axis))]
        above = np.minimum(below + 1, length - 1)
        x = x.take(below, axis) * (1 - share) + x.take(above, axis) * share
    return x


def _spatial_transform(x: Array, matrix: Array) -> Array:
    """Sample a map as `SpatialTransform` defines; outside the map, the areas of the clipped neighbours vanish."""
    _, rows, columns, _ = x.shape
    across, down = np.meshgrid(
        np.linspace(-1, 1, columns, dtype=np.float32), np.linspace(-1, 1, rows, dtype=np.float32)
    )
    grid = np.stack([across.ravel(), down.ravel(), np.ones(rows * columns, np.float32)])
    places = matrix.reshape(-1, 2, 3) @ grid
    horizontal = np.float32(0.5) * (places[:, 0] + 1) * np.float32(columns)
    vertical = np.float32(0.5) * (places[:, 1] + 1) * np.float32(rows)
    left, top = np.floor(horizontal), np.floor(vertical)
    left, right = np.clip(left, 0, columns - 1), np.clip(left + 1, 0, columns - 1)
    top, bottom = np.clip(top, 0, rows - 1), np.clip(top + 1, 0, rows - 1)
    pixels = x.reshape(len(x), rows * columns, -1)

    def corner(row: Array, column: Array, area: Array) -> Array:
        index = (row * columns + column).astype(np.int64)
        return np.take_along_axis(pixels, index[:, :, None], axis=1) * area[:, :, None]

    total = (
        corner(top, left, (right - horizontal) * (bottom - vertical))
        + corner(bottom, left, (right - horizontal) * (vertical - top))
        + corner(top, right, (horizontal - left) * (bottom - vertical))
        + corner(bottom, right, (horizontal - left) * (vertical - top))
    )
    return np.asarray(total.reshape(x.shape), np.float32)


def _windows(
    x: Array,
    size: tuple[int, int],
    strides: tuple[int, int],
    pads: Pads,
    fill: float,
    dilation: tuple[int, int] = (1, 1),
) -> Array:
    """(N, rows, columns, height, width, channels): every window of (N, H, W, C)."""
    padded = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    spans = tuple((length - 1) * step + 1 for length, step in zip(size, dilation, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=(1, 2))
    strided = windows[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    return np.asarray(strided.transpose(0, 1, 2, 4, 5, 3))


def _recurrent(node: Recurrent, x: Array, show: Observer) -> Array:
    outputs = []
    for direction, cell in node.cells:
        values = _values(cell, x, reverse=direction == "backward")
        for name, value in values.items():
            show(f"{node.name}/{direction}/{name}", value)
        outputs.append(values["hidden"])
    if node.merge == "concat":
        return np.concatenate(outputs, axis=-1)
    if len(outputs) == 1:
        return outputs[0]
    first, second = outputs
    return {"sum": first + second, "average": (first + second) / 2, "product": first * second}[node.merge]


def _values(cell: Cell, x: Array, reverse: bool) -> dict[str, Array]:
    """All values of a cell over (N, T, in), by name, each (N, T, ·) in the order of the input's steps."""
    product = x @ cell.kernel + cell.bias
    match cell:
        case LstmCell():
            step = partial(_lstm, cell)
            inputs = {"projection": product}
        case GruCell():
            ends = 2 * cell.units
            step = partial(_gru, cell)
            inputs = {"projection": product[..., :ends], "proposal": product[..., ends:]}
    zeros = np.zeros((len(x), cell.units), np.float32)
    shown: dict[str, Array] = {"hidden": zeros, "state": zeros}
    values: dict[str, list[Array]] = {}
    steps = range(x.shape[1])
    for now in reversed(steps) if reverse else steps:
        shown = step({name: value[:, now] for name, value in inputs.items()}, shown)
        for name, value in shown.items():
            values.setdefault(name, []).append(value)
    return inputs | {name: np.stack(by_step[::-1] if reverse else by_step, axis=1) for name, by_step in values.items()}


def _lstm(cell: LstmCell, now: dict[str, Array], before: dict[str, Array]) -> dict[str, Array]:
    """Compute one step of an LSTM from `projection`, which is x W + b.

    `feedback` h R, `gates` their sum, `input`, `forget`, `candidate` and `output` after their functions, `kept` f c,
    `written` i g, `state` c, `squashed` tanh c, `hidden` h.
    """
    sigmoid = partial(gate, cell.recurrent_activation)
    feedback = before["hidden"] @ cell.recurrent
    gates = now["projection"] + feedback
    i, f, g, o = np.split(gates, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    kept, written = f * before["state"], i * g
    state = kept + written
    squashed = np.tanh(state)
    return {
        "feedback": feedback, "gates": gates, "input": i, "forget": f, "candidate": g, "output": o,
        "kept": kept, "written": written, "state": state, "squashed": squashed, "hidden": o * squashed,
    }  # fmt: skip


def _gru(cell: GruCell, now: dict[str, Array], before: dict[str, Array]) -> dict[str, Array]:
    """Compute one step of a GRU from `projection` and `proposal`, which are x W + b of the gates z and r, and of the
    candidate.

    `feedback` h R, `gates` the sum with the projection, `update` z and `reset` r after their function; `memory`, what
    the candidate takes of h, `recalled`, r times what it is applied to, `proposed` and `candidate` before and after
    tanh; `change` from h to the candidate, `withheld` z times that, `hidden` the candidate without it: the new h.
    """
    hidden = before["hidden"]
    (gate_weights, weights) = np.split(cell.recurrent, [2 * cell.units], axis=1)
    feedback = hidden @ gate_weights
    gates = now["projection"] + feedback
    z, r = np.split(gate(cell.recurrent_activation, gates), 2, axis=1)
    if cell.inner_bias is None:
        recalled = r * hidden
        memory = recalled @ weights
        proposed = now["proposal"] + memory
    else:
        memory = np.asarray(hidden @ weights + cell.inner_bias)
        recalled = r * memory
        proposed = now["proposal"] + recalled
    candidate = np.tanh(proposed)
    change = candidate - hidden
    withheld = z * change
    return {
        "feedback": feedback, "gates": gates, "update": z, "reset": r, "memory": memory, "recalled": recalled,
        "proposed": proposed, "candidate": candidate, "change": change, "withheld": withheld,
        "hidden": candidate - withheld,
    }  # fmt: skip
