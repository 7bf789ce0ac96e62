"""Cells of recurrent layers: the weights of one direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float32]
Gate: TypeAlias = Literal["sigmoid", "hard_sigmoid_keras2"]
"""Functions of the gates. `hard_sigmoid_keras2` is 0.2 x + 0.5 clipped to 0..1, the default before Keras 2.3."""


@dataclass(frozen=True, eq=False)
class LstmCell:
    """The weights of an LSTM in one direction, gates in Keras' order i, f, g, o (Hochreiter 1997; Gers 2000)."""

    kernel: Array
    """Input weights, (in, 4 units)."""
    recurrent: Array
    """Recurrent weights, (units, 4 units)."""
    bias: Array
    """Bias, (4 units,)."""
    recurrent_activation: Gate = "sigmoid"

    @property
    def units(self) -> int:
        """Width of the state."""
        return int(self.recurrent.shape[0])

    @property
    def weights(self) -> tuple[Array, ...]:
        """All weight arrays."""
        return (self.kernel, self.recurrent, self.bias)


@dataclass(frozen=True, eq=False)
class GruCell:
    """The weights of a GRU in one direction, gates in Keras' order z, r, h (Cho 2014).

    The new state is `hidden = z hidden + (1 - z) h`.
    """

    kernel: Array
    """Input weights, (in, 3 units)."""
    recurrent: Array
    """Recurrent weights, (units, 3 units)."""
    bias: Array
    """Bias, (3 units,)."""
    inner_bias: Array | None = None
    """Inner bias of the candidate, (units,), or None.

    With it, the candidate h is tanh(x W + b + r (hidden R + inner_bias)), as in Keras with `reset_after`; without it,
    tanh(x W + b + (r hidden) R), as first published."""
    recurrent_activation: Gate = "sigmoid"

    @property
    def units(self) -> int:
        """Width of the state."""
        return int(self.recurrent.shape[0])

    @property
    def weights(self) -> tuple[Array, ...]:
        """All weight arrays."""
        inner = () if self.inner_bias is None else (self.inner_bias,)
        return (self.kernel, self.recurrent, self.bias, *inner)


Cell: TypeAlias = LstmCell | GruCell
