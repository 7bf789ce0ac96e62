"""The plan of a training run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .architectures import Rnn
from .optimisers import Optimiser

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


@dataclass(frozen=True)
class Plan:
    """All settings of a run; a run can be resumed only with the same plan."""

    architecture: str
    epochs: int
    steps: int
    """Batches per epoch."""
    batch: int = 32
    width: float = 1.0
    rnn: Rnn = "lstm"
    optimiser: Optimiser = "adamw"
    learning_rate: float | None = None
    """None for the optimiser's own; see `optimisers`."""
    precision: Precision = "float32"
    """mixed: layers compute in 16 bits, variables and loss stay float32 (Micikevicius et al. 2018)."""
    patience: int | None = None
    """Epochs without a better model after which training ends; None: never."""
    seed: int = 0
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Description of the images, for the record and for the comparison on resuming."""
