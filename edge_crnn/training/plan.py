"""The plan of a training run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import InputError
from .architectures import Rnn
from .optimisers import Optimiser, require_rate

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
MOST_SEED = (1 << 32) - 1
"""The largest seed of NumPy's global generator, which Keras also seeds."""


@dataclass(frozen=True)
class Plan:
    """All settings of a run; a run can be resumed only with the same plan.

    Raises:
        InputError: a setting is out of range.
    """

    architecture: str
    epochs: int
    steps: int
    """Batches per epoch."""
    batch: int = 32
    width: float = 1.0
    rnn: Rnn = "lstm"
    optimiser: Optimiser = "adamw"
    learning_rate: float | None = None
    """Learning rate; None: the default of the optimiser, see `optimisers`."""
    precision: Precision = "float32"
    """mixed: layers compute in 16 bits, variables and loss stay float32 (Micikevicius et al. 2018)."""
    patience: int | None = None
    """Epochs without a better model after which training ends; None: never."""
    seed: int = 0
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Description of the images, for the record and for the comparison on resuming."""

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "batch", "patience"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise InputError(f"{name} {count}: expected at least 1")
        if self.learning_rate is not None:
            require_rate(self.learning_rate)
        if not 0 <= self.seed <= MOST_SEED:
            raise InputError(f"seed {self.seed}: expected a number from 0 to {MOST_SEED}")
        if self.precision not in get_args(Precision):
            raise InputError(f"precision {self.precision!r}: expected one of {', '.join(get_args(Precision))}")
