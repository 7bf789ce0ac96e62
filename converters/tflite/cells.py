"""Writes one step of a recurrent cell in TFLite; values have the same names as in the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from ..graph.cells import Array, Cell, Gate, GruCell, LstmCell
from .ops import Ops
from .quantisation import TANH_OUT
from .writer import Tensor

STATES: Mapping[type[Cell], tuple[str, ...]] = {LstmCell: ("hidden", "state"), GruCell: ("hidden",)}
"""Names of the states that a step takes from the step before it, each (N, units)."""

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


def step_of(
    cell: Cell, ops: Ops, name: Name, now: Mapping[str, Tensor], before: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Write a step, and return the states after it by name, each (N, units).

    Args:
        cell: an LSTM or a GRU.
        ops: where the step is written.
        name: names the tensors.
        now: this step's `input_products`.
        before: the states before it; empty stands for zeros.
    """
    match cell:
        case LstmCell():
            return _lstm(cell, ops, name, now["projection"], before)
        case GruCell():
            return _gru(cell, ops, name, now, before)


def _lstm(cell: LstmCell, ops: Ops, name: Name, projection: Tensor, before: Mapping[str, Tensor]) -> dict[str, Tensor]:
    gates = projection
    if before:
        feedback = ops.product(name("feedback"), before["hidden"], _gates(cell.recurrent), None)
        gates = ops.binary("ADD", name("gates"), projection, feedback)
    i, f, o, g = ops.split(name("gates"), gates, 4)
    gate = cell.recurrent_activation
    i, o = _open(ops, gate, name("input"), i), _open(ops, gate, name("output"), o)
    g = ops.tanh(name("candidate"), g)
    state = ops.binary("MUL", name("written"), i, g)
    if before:  # where there is nothing to forget, no gate: LiteRT before 2.1 crashes on a value of no use
        kept = ops.binary("MUL", name("kept"), _open(ops, gate, name("forget"), f), before["state"])
        state = ops.binary("ADD", name("state"), kept, state)
    squashed = ops.tanh(name("squashed"), state)
    return {"hidden": _hidden(ops, "MUL", name, o, squashed), "state": state}


def _gru(
    cell: GruCell, ops: Ops, name: Name, now: Mapping[str, Tensor], before: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    hidden = before.get("hidden")
    gate_weights, weights = _gru_parts(cell.recurrent)
    gates, proposed = now["projection"], now["proposal"]
    if hidden is not None:
        feedback = ops.product(name("feedback"), hidden, gate_weights, None)
        gates = ops.binary("ADD", name("gates"), gates, feedback)
    z, r = ops.split(name("gates"), _open(ops, cell.recurrent_activation, name("gates:open"), gates), 2)
    if cell.inner_bias is not None:
        if hidden is None:
            memory = ops.fixed(name("memory"), cell.inner_bias)
        else:
            memory = ops.product(name("memory"), hidden, weights, cell.inner_bias)
        recalled = ops.binary("MUL", name("recalled"), r, memory)
        proposed = ops.binary("ADD", name("proposed"), proposed, recalled)
    elif hidden is not None:
        recalled = ops.binary("MUL", name("recalled"), r, hidden)
        memory = ops.product(name("memory"), recalled, weights, None)
        proposed = ops.binary("ADD", name("proposed"), proposed, memory)
    candidate = ops.tanh(name("candidate"), proposed)
    change = candidate if hidden is None else ops.binary("SUB", name("change"), candidate, hidden)
    withheld = ops.binary("MUL", name("withheld"), z, change)
    return {"hidden": _hidden(ops, "SUB", name, candidate, withheld)}


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
