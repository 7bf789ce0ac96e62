"""Writes one step of recurrent cells in TFLite; values have the same names as in the oracle.

Cells that compute the same way take a step together: their rows lie one below the other, so that every op but the
products serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ..graph.cells import Array, Cell, Gate, GruCell, LstmCell
from .ops import Ops
from .quantisation import TANH_OUT
from .writer import Tensor

STATES: Mapping[type[Cell], tuple[str, ...]] = {LstmCell: ("hidden", "state"), GruCell: ("hidden",)}
"""Names of the states that a step takes from the step before it."""

Name: TypeAlias = Callable[[str], str]
"""Maps the name of a value to the name of its tensor."""

_GATE_ORDER = (0, 1, 3, 2)  # Keras' i, f, g, o → i, f, o, g: the three sigmoids side by side


def input_products(cell: Cell) -> dict[str, tuple[Array, Array]]:
    """Return kernel and bias of the products that depend on no earlier step, by the name of their value."""
    match cell:
        case LstmCell():
            return {"projection": (_gates(cell.kernel), _gates(cell.bias))}
        case GruCell():
            (kernel, inner_kernel), (bias, inner_bias) = _gru_parts(cell.kernel), _gru_parts(cell.bias)
            return {"projection": (kernel, bias), "proposal": (inner_kernel, inner_bias)}


def alike(cells: Sequence[Cell]) -> bool:
    """Return whether cells can take a step together: same kind, units and functions."""
    return len({(type(cell), cell.units, cell.recurrent_activation, len(cell.weights)) for cell in cells}) == 1


def step_of(
    cells: Sequence[Cell], ops: Ops, name: Name, now: Mapping[str, Tensor], before: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Write a step of cells that are `alike`, and return the states after it by name, each (…, rows, units).

    Args:
        cells: LSTMs or GRUs; each has an equal share of the rows, in order.
        ops: where the step is written.
        name: names the tensors.
        now: this step's `input_products`, each (…, rows, ·).
        before: the states before it, each (…, rows, units); empty stands for zeros, and takes a single cell.
    """
    if isinstance(cells[0], LstmCell):
        return _lstm(cells, ops, name, now["projection"], before)
    return _gru(cells, ops, name, now, before)


def _lstm(
    cells: Sequence[Cell], ops: Ops, name: Name, projection: Tensor, before: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    gates = projection
    if before:
        weights = [_gates(cell.recurrent) for cell in cells]
        feedback = _product(ops, name("feedback"), before["hidden"], weights)
        gates = ops.binary("ADD", name("gates"), projection, feedback)
    i, f, o, g = ops.split(name("gates"), gates, 4)
    gate = cells[0].recurrent_activation
    i, o = _open(ops, gate, name("input"), i), _open(ops, gate, name("output"), o)
    g = ops.tanh(name("candidate"), g)
    state = ops.binary("MUL", name("written"), i, g)
    if before:  # where there is nothing to forget, no gate: LiteRT before 2.1 crashes on a value of no use
        kept = ops.binary("MUL", name("kept"), _open(ops, gate, name("forget"), f), before["state"])
        state = ops.binary("ADD", name("state"), kept, state)
    squashed = ops.tanh(name("squashed"), state)
    return {"hidden": _hidden(ops, "MUL", name, o, squashed), "state": state}


def _gru(
    cells: Sequence[Cell], ops: Ops, name: Name, now: Mapping[str, Tensor], before: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    hidden = before.get("hidden")
    gate_weights, weights = zip(*(_gru_parts(cell.recurrent) for cell in cells), strict=True)
    inner_biases = [cell.inner_bias for cell in cells if isinstance(cell, GruCell) and cell.inner_bias is not None]
    gates, proposed = now["projection"], now["proposal"]
    if hidden is not None:
        feedback = _product(ops, name("feedback"), hidden, gate_weights)
        gates = ops.binary("ADD", name("gates"), gates, feedback)
    z, r = ops.split(name("gates"), _open(ops, cells[0].recurrent_activation, name("gates:open"), gates), 2)
    if inner_biases:
        if hidden is None:
            memory = ops.fixed(name("memory"), inner_biases[0])
        else:
            memory = _product(ops, name("memory"), hidden, weights, inner_biases)
        recalled = ops.binary("MUL", name("recalled"), r, memory)
        proposed = ops.binary("ADD", name("proposed"), proposed, recalled)
    elif hidden is not None:
        recalled = ops.binary("MUL", name("recalled"), r, hidden)
        memory = _product(ops, name("memory"), recalled, weights)
        proposed = ops.binary("ADD", name("proposed"), proposed, memory)
    candidate = ops.tanh(name("candidate"), proposed)
    change = candidate if hidden is None else ops.binary("SUB", name("change"), candidate, hidden)
    withheld = ops.binary("MUL", name("withheld"), z, change)
    return {"hidden": _hidden(ops, "SUB", name, candidate, withheld)}


def _product(ops: Ops, name: str, x: Tensor, kernels: Sequence[Array], biases: Sequence[Array] | None = None) -> Tensor:
    """Multiply the rows of each cell by the cell's own kernel: (…, rows, in) → (…, rows, out)."""
    if len(kernels) == 1:
        return ops.product(name, x, kernels[0], biases[0] if biases else None)
    products = [
        ops.product(f"{name}:{place}", rows, kernel, biases[place] if biases else None)
        for place, (rows, kernel) in enumerate(
            zip(ops.split(f"{name}:rows", x, len(kernels), axis=-2), kernels, strict=True)
        )
    ]
    return ops.concat(name, products, axis=-2)


def _open(ops: Ops, gate: Gate, name: str, x: Tensor) -> Tensor:
    if gate == "sigmoid":
        return ops.sigmoid(name, x)
    return ops.hard_sigmoid(name, x, 0.2)


def _hidden(ops: Ops, code: str, name: Name, a: Tensor, b: Tensor) -> Tensor:
    # |hidden| < 1, and both directions must share a quantisation to be concatenated.
    return ops.binary(code, name("hidden"), a, b, TANH_OUT)


def _gates(weights: Array) -> Array:
    parts = np.split(weights, 4, axis=-1)
    return np.concatenate([parts[part] for part in _GATE_ORDER], axis=-1)


def _gru_parts(weights: Array) -> tuple[Array, Array]:
    """Split a GRU's array into the part of the gates z and r, and that of the candidate."""
    gates, candidate = np.split(weights, [weights.shape[-1] // 3 * 2], axis=-1)
    return gates, candidate
