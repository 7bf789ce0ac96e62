"""Lowers recurrent nodes to LSTM and GRU layers, in a `Bidirectional` if both directions are alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..graph.cells import Array, Cell, GruCell, LstmCell
from ..graph.nodes import Merge, Recurrent
from .place import Place, Tensor

_MERGES: Mapping[Merge, str] = {"concat": "concat", "sum": "sum", "average": "ave", "product": "mul"}
_LAYERS: Mapping[Merge, str] = {"concat": "Concatenate", "sum": "Add", "average": "Average", "product": "Multiply"}


def recurrent(place: Place, node: Recurrent, x: Tensor) -> Tensor:
    """Map (N, steps, in) to (N, steps, out)."""
    forward, backward = node.forward, node.backward
    if backward is None:
        assert forward is not None, node.name
        return _forward(place, forward, x, "")
    if forward is None:
        return _backward(place, backward, x, "")
    kind, settings = _kind(forward), _settings(forward)
    if (kind, settings) == (_kind(backward), _settings(backward)):
        layer = getattr(place.keras.layers, kind)(name=kind.lower(), dtype="float32", **settings)
        weights = [*_weights(forward), *_weights(backward)]
        return place.layer("Bidirectional", x, weights, layer=layer, merge_mode=_MERGES[node.merge])
    values = [_forward(place, forward, x, "forward"), _backward(place, backward, x, "backward")]
    return place.layer(_LAYERS[node.merge], values)


def _forward(place: Place, cell: Cell, x: Tensor, part: str) -> Tensor:
    return place.layer(_kind(cell), x, _weights(cell), part=part, **_settings(cell))


def _backward(place: Place, cell: Cell, x: Tensor, part: str) -> Tensor:
    """Run a cell backwards, and turn its results round into the order of the input's steps."""
    last_first = place.layer(
        _kind(cell), x, _weights(cell), part=f"{part}_last_first".lstrip("_"), go_backwards=True, **_settings(cell)
    )
    return place.operation("flip", last_first, axis=1, part=part)


def _kind(cell: Cell) -> str:
    return "LSTM" if isinstance(cell, LstmCell) else "GRU"


def _settings(cell: Cell) -> dict[str, Any]:
    """Return the settings of a cell's layer. The seed is that of its dropout, of which there is none."""
    settings = {
        "units": cell.units,
        "recurrent_activation": "sigmoid" if cell.recurrent_activation == "sigmoid" else "hard_sigmoid",
        "return_sequences": True,
        "seed": 0,
    }
    return settings | ({"reset_after": cell.inner_bias is not None} if isinstance(cell, GruCell) else {})


def _weights(cell: Cell) -> list[Array]:
    """Return kernel, recurrent kernel and bias.

    Keras 3's hard_sigmoid of 1.2 x is the one of Keras 2 of x, so the gates' weights are multiplied; the candidate is
    no gate.
    """
    factor = 1.0 if cell.recurrent_activation == "sigmoid" else 1.2
    gates = [factor, factor, 1, factor] if isinstance(cell, LstmCell) else [factor, factor, 1]
    factors = np.repeat(np.array(gates, np.float32), cell.units)
    bias = cell.bias
    if isinstance(cell, GruCell) and cell.inner_bias is not None:
        inner = np.concatenate([np.zeros(2 * cell.units, np.float32), cell.inner_bias])
        bias = np.stack([bias, inner])
    return [array * factors for array in (cell.kernel, cell.recurrent, bias)]
