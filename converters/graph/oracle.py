"""The reference: executes a graph in NumPy, float32, layer by layer, and shows every value on the way.

Slow and obvious on purpose. Calibration reads the ranges of its values, each lowering is tested against its result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from .layers import (
    Activation,
    Affine,
    Array,
    Cell,
    Conv,
    Dense,
    Function,
    Gate,
    Graph,
    GruCell,
    Layer,
    LstmCell,
    Observer,
    Permute,
    Pool,
    Recurrent,
    Reshape,
)


def run(graph: Graph, batch: npt.NDArray[np.float32], observe: Observer | None = None) -> Array:
    """Probabilities (N, steps, classes) of a batch (N, *input_shape) float32.

    `observe` is called with "input", with each layer's name, and with the values inside recurrent layers
    (`LAYER/DIRECTION/VALUE`, see `_lstm` and `_gru`).
    """
    show = observe or (lambda _name, _value: None)
    show("input", batch)
    for layer in graph.layers:
        batch = _apply(layer, batch, show)
        show(layer.name, batch)
    return batch


def _apply(layer: Layer, x: Array, show: Observer) -> Array:
    match layer:
        case Conv():
            kernel = layer.kernel.reshape(-1, layer.kernel.shape[3])
            windows = _windows(x, layer.kernel.shape[:2], layer.strides, layer.padding, 0.0)
            return activate(layer.activation, windows.reshape(*windows.shape[:3], -1) @ kernel + layer.bias)
        case Pool(kind="max"):
            return np.asarray(_windows(x, layer.size, layer.strides, layer.padding, -np.inf).max(axis=(3, 4)))
        case Pool():
            windows = _windows(x, layer.size, layer.strides, layer.padding, np.nan)
            return np.asarray(np.nanmean(windows, axis=(3, 4), dtype=np.float32))
        case Affine():
            return x * layer.scale + layer.shift
        case Activation():
            return activate(layer.function, x)
        case Reshape():
            return x.reshape(len(x), *layer.shape)
        case Permute():
            return x.transpose(0, *(axis + 1 for axis in layer.axes))
        case Dense():
            return activate(layer.activation, x @ layer.kernel + layer.bias)
        case Recurrent():
            return _recurrent(layer, x, show)


def _windows(x: Array, size: tuple[int, ...], strides: tuple[int, int], padding: str, fill: float) -> Array:
    """(N, rows, columns, height, width, channels): every window of (N, H, W, C), padded as TensorFlow does."""
    margins = [(0, 0), (0, 0)]
    if padding == "same":
        for axis, (window, stride) in enumerate(zip(size, strides, strict=True)):
            length = x.shape[axis + 1]
            total = max((-(-length // stride) - 1) * stride + window - length, 0)
            margins[axis] = (total // 2, total - total // 2)
    padded = np.pad(x, ((0, 0), *margins, (0, 0)), constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(1, 2))
    strided = windows[:, :: strides[0], :: strides[1]]
    return np.asarray(strided.transpose(0, 1, 2, 4, 5, 3))


def _recurrent(layer: Recurrent, x: Array, show: Observer) -> Array:
    outputs = []
    for direction, cell in layer.cells:
        values = _values(cell, x, reverse=direction == "backward")
        for name, value in values.items():
            show(f"{layer.name}/{direction}/{name}", value)
        outputs.append(values["hidden"])
    if layer.merge == "concat":
        return np.concatenate(outputs, axis=-1)
    if len(outputs) == 1:
        return outputs[0]
    first, second = outputs
    return {"sum": first + second, "average": (first + second) / 2, "product": first * second}[layer.merge]


def _values(cell: Cell, x: Array, reverse: bool) -> dict[str, Array]:
    """All values of a cell over (N, T, in), by name, each (N, T, ·) in the order of the input's steps."""
    product = x @ cell.kernel + cell.bias
    match cell:
        case LstmCell():
            step, inputs = partial(_lstm, cell), {"projection": product}
        case GruCell():
            ends = 2 * cell.units
            step, inputs = partial(_gru, cell), {"projection": product[..., :ends], "proposal": product[..., ends:]}
    zeros = np.zeros((len(x), cell.units), np.float32)
    shown: dict[str, Array] = {"hidden": zeros, "state": zeros}
    values: dict[str, list[Array]] = {}
    steps = range(x.shape[1])
    for now in reversed(steps) if reverse else steps:
        shown = step({name: value[:, now] for name, value in inputs.items()}, shown)
        for name, value in shown.items():
            values.setdefault(name, []).append(value)
    return inputs | {name: np.stack(each[::-1] if reverse else each, axis=1) for name, each in values.items()}


def _lstm(cell: LstmCell, now: dict[str, Array], before: dict[str, Array]) -> dict[str, Array]:
    """One step, of `projection` x W + b.

    `feedback` h R, `gates` their sum, `input`, `forget`, `candidate` and `output` after their functions, `kept` f c,
    `written` i g, `state` c, `squashed` tanh c, `hidden` h.
    """
    sigmoid = _GATES[cell.recurrent_activation]
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
    """One step, of `projection`, x W + b of the gates z and r, and `proposal`, the same of the candidate.

    `feedback` h R, `gates` the sum with the projection, `update` z and `reset` r after their function; `memory`, what
    the candidate takes of h, `recalled`, r times what it is applied to, `proposed` and `candidate` before and after
    tanh; `change` from h to the candidate, `withheld` z times that, `hidden` the candidate without it: the new h.
    """
    hidden, (gate_weights, weights) = before["hidden"], np.split(cell.recurrent, [2 * cell.units], axis=1)
    feedback = hidden @ gate_weights
    gates = now["projection"] + feedback
    z, r = np.split(_GATES[cell.recurrent_activation](gates), 2, axis=1)
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


def activate(function: Function, x: Array) -> Array:
    """The function, float32 in and out."""
    match function:
        case "linear":
            return x
        case "relu":
            return np.maximum(x, 0)
        case "relu6":
            return np.clip(x, 0, 6)
        case "tanh":
            return np.tanh(x)
        case "sigmoid":
            return _sigmoid(x)
        case "softmax":
            powers = np.exp(x - x.max(axis=-1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5, np.float32)  # no overflow at either end


def _hard_sigmoid_keras2(x: Array) -> Array:
    return np.asarray(np.clip(0.2 * x + 0.5, 0, 1), np.float32)


_GATES: dict[Gate, Callable[[Array], Array]] = {
    "sigmoid": _sigmoid,
    "hard_sigmoid_keras2": _hard_sigmoid_keras2,
}
