"""Recurrent layers: LSTM and GRU, in one direction or two, stacked, and in cuDNN's form.

A layer that goes backwards gives its steps in the order in which it computes them. In the graph it is a recurrent node
in the order of the input's steps, and a node that reverses them. Folding joins it with its forward twin where a model
turns it round again; where a model merges it as it comes, the reversal stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np

from ....graph.cells import Array, Cell, Gate, GruCell, LstmCell
from ....graph.nodes import Binary, Concat, Merge, Recurrent, Reshape, Reverse, Shape, Slice
from ..builder import ITSELF, Layer, Value, converts
from ..config import LayerConfig
from ..file import Part

_GATES = {"GRU": 3, "GRUCell": 3, "CuDNNGRU": 3, "LSTM": 4, "LSTMCell": 4, "CuDNNLSTM": 4}
"""Number of gates side by side in a cell's weights, including the candidate."""
_CUDNN = ("CuDNNGRU", "CuDNNLSTM")
_KINDS = ("GRU", "LSTM", "RNN", *_CUDNN)
_MERGES: Mapping[str, Merge] = {"concat": "concat", "sum": "sum", "ave": "average", "mul": "product"}
_CELL = Part("cell")


@converts("GRU", "LSTM", "RNN", "CuDNNGRU", "CuDNNLSTM")
def one_way(layer: Layer) -> Value | tuple[Value, Value]:
    """An LSTM or GRU in one direction, also backwards with its output in that order, or stacked cells."""
    backward = layer.flag("go_backwards")
    cells = _cells(layer, layer, layer.owner, ITSELF if layer.kind in _CUDNN else _CELL)
    value = _stack(layer, [] if backward else cells, cells if backward else [])
    if backward:
        value = layer.put(Reverse("reversed", 0), value)
    return _results(layer, value)


@converts("Bidirectional")
def bidirectional(layer: Layer) -> Value | tuple[Value, ...]:
    """Convert two recurrent layers, one in each direction; the steps of the backward one are reversed."""
    forward, backward = _directions(layer)
    first = _cells(layer, forward, layer.owner, Part("forward_layer/cell", forward.name))
    second = _cells(layer, backward, layer.owner, Part("backward_layer/cell", backward.name))
    mode = layer.get("merge_mode")
    if mode is None:
        return _stack(layer, first, [], "forward"), _stack(layer, [], second, "backward")
    if not isinstance(mode, str) or mode not in _MERGES:
        raise layer.unsupported(f"merge_mode {mode!r}; supported: {', '.join(_MERGES)}, None")
    if forward.flag("return_sequences"):
        return _stack(layer, first, second, merge=_MERGES[mode])
    ends = [
        _step(layer, _stack(layer, first, [], "forward"), "forward:last", -1),
        _step(layer, _stack(layer, [], second, "backward"), "backward:last", 0),
    ]
    match _MERGES[mode]:
        case "concat":
            return layer.put(Concat("", 0), *ends)
        case "sum":
            return layer.put(Binary("", "add"), *ends)
        case "product":
            return layer.put(Binary("", "multiply"), *ends)
        case "average":
            total = layer.put(Binary("sum", "add"), *ends)
            return layer.binary("", "multiply", total, layer.constant("half", np.full(1, 0.5, np.float32)))


def _directions(layer: Layer) -> tuple[LayerConfig, LayerConfig]:
    """Return the wrapped layers, with the names of their weights."""
    forward = layer.wrapped("layer")
    if layer.keras2:  # whose configuration has the names from before they are wrapped
        forward = replace(forward, name=f"forward_{forward.name}")
    if layer.settings.get("backward_layer"):
        backward = layer.wrapped("backward_layer")
        if layer.keras2:
            backward = replace(backward, name=f"backward_{backward.name}")
    else:  # Keras 2 writes it only where it is not the forward one's mirror image
        name = "backward_" + forward.name.removeprefix("forward_")
        backward = replace(forward, name=name, settings={**forward.settings, "go_backwards": True})
    for direction, config in (("forward", forward), ("backward", backward)):
        if config.kind not in _KINDS:
            raise config.unsupported(f"not supported in Bidirectional; supported: {', '.join(_KINDS)}")
        if config.flag("go_backwards") != (direction == "backward"):
            raise config.unsupported(f"go_backwards {config.get('go_backwards')} in the {direction} direction")
    return forward, backward


def _results(layer: Layer, value: Value) -> Value | tuple[Value, Value]:
    """Return the sequence or the last step, and the last hidden state, too, if the layer returns its states."""
    sequence = layer.flag("return_sequences")
    if sequence and not layer.settings.get("return_state"):
        return value
    last = _step(layer, value, "last", -1)
    if layer.settings.get("return_state"):
        return (value if sequence else last), last
    return last


def _step(layer: Layer, value: Value, part: str, place: int) -> Value:
    """Take a step of a sequence, (units,)."""
    steps, units = value.shape
    start = place % steps
    row = layer.put(Slice(f"{part}:row", (start, 0), (start + 1, units), (1, 1)), value)
    return layer.put(Reshape(part, (units,)), row)


def _stack(layer: Layer, forward: list[Cell], backward: list[Cell], part: str = "", merge: Merge = "concat") -> Value:
    """Convert stacked cells, in one direction or both.

    Each direction is a stack of its own until the merge at the top. In the graph, pairs are concatenated on the way
    up, and a cell has weights of 0 for what the other direction gives.
    """
    if forward and backward and len(forward) != len(backward):
        raise layer.error(f"{len(forward)} cells forward and {len(backward)} backward")
    pairs = list(zip_longest(forward, backward))
    value = layer.x
    beside = (0, 0)
    for depth, (first, second) in enumerate(pairs, 1):
        cells = _widened(first, (0, beside[1])), _widened(second, (beside[0], 0))
        top = depth == len(pairs)
        name = part if top else f"{part}/{depth}".lstrip("/")
        value = layer.put(Recurrent(name, *cells, merge if top else "concat"), value)
        beside = first.units if first else 0, second.units if second else 0
    return value


def _widened(cell: Cell | None, rows: tuple[int, int]) -> Cell | None:
    return cell and replace(cell, kernel=np.pad(cell.kernel, (rows, (0, 0))))


def _cells(layer: Layer, config: LayerConfig, owner: str, part: Part) -> list[Cell]:
    """List the cells of a recurrent layer, starting with the one that takes the layer's input.

    `unroll`, `recurrent_dropout` and `implementation` change nothing at inference.
    """
    x = layer.x
    if layer.keywords.get("mask") is not None:
        raise layer.unsupported("is called with a mask; masks are not supported: leave out Masking or mask_zero")
    if len(x.shape) != 2:
        raise layer.error(f"takes {x.shape} per image, expected (steps, channels)")
    config.expect("time_major", False)
    if config.settings.get("stateful"):
        layer.builder.note(f"layer {layer.name!r} is stateful: here its state is reset for each image")
    inner = config.wrapped("cell") if config.kind == "RNN" else config
    if inner.kind != "StackedRNNCells":
        return [_cell(layer, inner, x.shape[-1], owner, part)]
    stack = inner.wrapped_list("cells")
    kinds = [cell.kind for cell in stack]
    cells: list[Cell] = []
    for index, cell in enumerate(stack):
        number = kinds[:index].count(cell.kind)
        container = cell.kind.lower().replace("cell", f"_cell_{number}" if number else "_cell")
        place = Part(f"{part.attributes}/cells/{container}", f"{part.name}/{cell.name}".lstrip("/"))
        cells.append(_cell(layer, cell, cells[-1].units if cells else x.shape[-1], owner, place))
    return cells


def _cell(layer: Layer, config: LayerConfig, width: int, owner: str, part: Part) -> Cell:
    if config.kind not in _GATES:
        raise config.unsupported(f"not supported here; supported: {', '.join(_GATES)}")
    gates = _GATES[config.kind]
    units = config.size("units")
    if config.kind in _CUDNN:
        return _from_cudnn(layer.weights.read(owner, part, _cudnn_shapes(width, units, gates)), gates)
    if (name := config.get("activation")) != "tanh":
        raise config.unsupported(f"activation {name!r}; supported: 'tanh'")
    function, factor = _gate(config)
    reset_after = gates == 3 and bool(config.settings.get("reset_after", False))
    roles: dict[str, Shape] = {"kernel": (width, gates * units), "recurrent_kernel": (units, gates * units)}
    if config.flag("use_bias"):
        roles["bias"] = (2, gates * units) if reset_after else (gates * units,)
    factors = np.repeat(np.array([factor, factor, 1, factor][:gates], np.float32), units)  # the candidate is no gate
    arrays = {role: array * factors for role, array in layer.weights.read(owner, part, roles).items()}
    kernel, recurrent = arrays["kernel"], arrays["recurrent_kernel"]
    bias = arrays.get("bias", np.zeros((2, len(factors)) if reset_after else len(factors), np.float32))
    if gates == 4:
        return LstmCell(kernel, recurrent, bias, function)
    if not reset_after:
        return GruCell(kernel, recurrent, bias, None, function)
    return _reset_after(kernel, recurrent, bias, function)


def _reset_after(kernel: Array, recurrent: Array, bias: Array, function: Gate) -> GruCell:
    outside, inside = bias
    units = recurrent.shape[0]
    outside[: 2 * units] += inside[: 2 * units]  # only the candidate's is multiplied by the reset gate
    return GruCell(kernel, recurrent, outside, inside[2 * units :], function)


def _cudnn_shapes(width: int, units: int, gates: int) -> dict[str, Shape]:
    return {
        "kernel": (width, gates * units),
        "recurrent_kernel": (units, gates * units),
        "bias": (2 * gates * units,),
    }


def _from_cudnn(arrays: Mapping[str, Array], gates: int) -> Cell:
    """Read CuDNN's layout: each gate's kernels are transposed, and there is a bias for either product."""
    kernel = _by_gate(arrays["kernel"], gates, lambda array: array.T.reshape(array.shape, order="F"))
    recurrent = _by_gate(arrays["recurrent_kernel"], gates, np.transpose)
    bias = arrays["bias"].reshape(2, -1)
    if gates == 4:
        return LstmCell(kernel, recurrent, bias.sum(axis=0, dtype=np.float32))
    return _reset_after(kernel, recurrent, bias.copy(), "sigmoid")


def _by_gate(array: Array, gates: int, change: Callable[[Any], Any]) -> Array:
    return np.hstack([change(part) for part in np.hsplit(array, gates)])


def _gate(config: LayerConfig) -> tuple[Gate, float]:
    """Return the gates' function, and a factor for its argument.

    Keras 3's hard_sigmoid, relu6(x + 3) / 6, is the one of Keras 2, clip(0.2 y + 0.5) to 0..1, of y = x / 1.2.
    """
    match config.get("recurrent_activation"):
        case "sigmoid":
            return "sigmoid", 1.0
        case "hard_sigmoid":
            return "hard_sigmoid_keras2", 1.0 if config.keras2 else 1 / 1.2
        case name:
            raise config.unsupported(f"recurrent_activation {name!r}; supported: 'sigmoid', 'hard_sigmoid'")
