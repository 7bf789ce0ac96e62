"""Lowers recurrent nodes to one `LSTM` or `GRU` operation, with both directions if they are alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph.cells import Array, Cell, GruCell, LstmCell
from ..graph.nodes import Recurrent
from .writer import Place

_GATE_ORDER = (0, 3, 1, 2)  # Keras' i, f, g, o → ONNX' i, o, f, c
_GATE_FUNCTIONS = {"sigmoid": "Sigmoid", "hard_sigmoid_keras2": "HardSigmoid"}  # whose defaults are 0.2 and 0.5
_MERGES = {"average": "ReduceMean", "product": "ReduceProd"}


def recurrent(place: Place, node: Recurrent, x: str) -> str:
    """Map (N, T, in) to (N, T, out)."""
    by_step = place.add("Transpose", x, perm=(1, 0, 2))
    groups = [node.cells] if len({_form(cell) for _, cell in node.cells}) == 1 else [(pair,) for pair in node.cells]
    outputs = [_operation(place, by_step, cells) for cells in groups]  # (T, directions, N, units)
    if len({cell.units for _, cell in node.cells}) > 1:
        squeezed = [place.add("Squeeze", hidden, place.integers("axes", 1)) for hidden in outputs]
        return place.add("Transpose", place.add("Concat", *squeezed, axis=-1), perm=(1, 0, 2))
    hidden = outputs[0] if len(outputs) == 1 else place.add("Concat", *outputs, axis=1)
    if len(node.cells) == 1 or node.merge == "concat":
        stacked = place.add("Transpose", hidden, perm=(2, 0, 1, 3))
        width = sum(cell.units for _, cell in node.cells)
        return place.add("Reshape", stacked, place.integers("shape", 0, 0, width))
    if node.merge == "sum":  # the only reduction whose axes are an input in this opset
        merged = place.add("ReduceSum", hidden, place.integers("axes", 1), keepdims=0)
    else:
        merged = place.add(_MERGES[node.merge], hidden, axes=[1], keepdims=0)
    return place.add("Transpose", merged, perm=(1, 0, 2))


def _form(cell: Cell) -> tuple[object, ...]:
    """Return the properties that the directions of an operation must share.

    ONNX requires the same kind and width, TensorRT the same functions too.
    """
    return type(cell), cell.units, isinstance(cell, GruCell) and cell.inner_bias is None, cell.recurrent_activation


def _operation(place: Place, x: str, cells: Sequence[tuple[str, Cell]]) -> str:
    """Map (T, N, in) to (T, directions, N, units) by cells of one form."""
    first = cells[0][1]
    arrays = [_weights(cell) for _, cell in cells]
    constants = {role: np.stack([of_cell[role] for of_cell in arrays]) for role in arrays[0]}
    settings: dict[str, Any] = {}
    if isinstance(first, GruCell):
        settings["linear_before_reset"] = int(first.inner_bias is not None)
    rest = ["Tanh", "Tanh"] if isinstance(first, LstmCell) else ["Tanh"]
    return place.add(
        "LSTM" if isinstance(first, LstmCell) else "GRU",
        x,
        *(place.weight(role, value) for role, value in constants.items()),
        hidden_size=first.units,
        direction="bidirectional" if len(cells) == 2 else {"forward": "forward", "backward": "reverse"}[cells[0][0]],
        activations=[name for _, cell in cells for name in (_GATE_FUNCTIONS[cell.recurrent_activation], *rest)],
        **settings,
    )


def _weights(cell: Cell) -> dict[str, Array]:
    """Return a direction's constants in the layout of ONNX: rows are outputs, the bias is that of x W, then of h R."""
    match cell:
        case LstmCell():
            kernel, recurrent, bias = (_gates(array) for array in cell.weights)
            inner = np.zeros_like(bias)
        case GruCell():  # whose order z, r, h is that of ONNX
            kernel, recurrent, bias = cell.kernel, cell.recurrent, cell.bias
            inner = np.zeros_like(bias)
            if cell.inner_bias is not None:
                inner[2 * cell.units :] = cell.inner_bias
    return {"kernel": kernel.T, "recurrent": recurrent.T, "bias": np.concatenate([bias, inner])}


def _gates(weights: Array) -> Array:
    parts = np.split(weights, 4, axis=-1)
    return np.concatenate([parts[part] for part in _GATE_ORDER], axis=-1)
