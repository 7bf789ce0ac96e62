"""Cells of recurrent layers: the weights of one direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float32]
Gate: TypeAlias = Literal["sigmoid", "hard_sigmoid_keras2"]
"""hard_sigmoid_keras2 is clip(0.2 x + 0.5) to 0..1, the default of Keras before 2.3."""


@dataclass(frozen=True, eq=False)
class LstmCell:
    """One direction of an LSTM, gates in Keras' order i, f, g, o (Hochreiter 1997; Gers 2000)."""

    kernel: Array
    """(in, 4 units)."""
    recurrent: Array
    """(units, 4 units)."""
    bias: Array
    """(4 units,)."""
    recurrent_activation: Gate = "sigmoid"

    @property
    def units(self) -> int:
        """Width of the state."""
        return int(self.recurrent.shape[0])

    @property
    def weights(self) -> tuple[Array, ...]:
        """All arrays."""
        return (self.kernel, self.recurrent, self.bias)


@dataclass(frozen=True, eq=False)
class GruCell:
    """One direction of a GRU, gates in Keras' order z, r, h, and `hidden = z hidden + (1 - z) h` (Cho 2014)."""

    kernel: Array
    """(in, 3 units)."""
    recurrent: Array
    """(units, 3 units)."""
    bias: Array
    """(3 units,)."""
    inner_bias: Array | None = None
    """(units,). The candidate h is tanh(x W + b + r (hidden R + inner_bias)), Keras' `reset_after`; or, where this is
    None, tanh(x W + b + (r hidden) R), as first published."""
    recurrent_activation: Gate = "sigmoid"

    @property
    def units(self) -> int:
        """Width of the state."""
        return int(self.recurrent.shape[0])

    @property
    def weights(self) -> tuple[Array, ...]:
        """All arrays."""
        inner = () if self.inner_bias is None else (self.inner_bias,)
        return (self.kernel, self.recurrent, self.bias, *inner)


Cell: TypeAlias = LstmCell | GruCell
