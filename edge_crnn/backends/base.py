"""The interface of every engine to the rest of the runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Probabilities = npt.NDArray[np.float32]
"""(N, T, C) float32; each row over C sums to 1."""


@dataclass(frozen=True)
class BackendFacts:
    """What an open engine says about itself."""

    name: str
    """The engine: litert, onnxrt, tensorrt, fake."""
    version: str
    precision: str
    input_shape: tuple[int, int, int]
    """Shape of one image, without the batch axis."""
    input_dtype: str
    max_batch: int | None
    """Largest batch for one call of the engine; larger batches are split. None: no limit."""
    device: Literal["cpu", "gpu"] = "cpu"
    """Device: every CPU core has an engine of its own, a GPU serves all with one."""
    notes: tuple[str, ...] = ()
    """What else `info` should show, such as the delegate that took the graph."""


class Backend(Protocol):
    """An open model."""

    @property
    def facts(self) -> BackendFacts:
        """What this engine says about itself."""
        ...

    def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
        """Probabilities (N, T, C) float32 of a batch (N, *input_shape); any N, N = 0 too. The result is the caller's.

        Raises:
            InputError: wrong shape or dtype, or a value that is not finite.
            BackendError: the engine failed, or is closed.
        """
        ...

    def close(self) -> None:
        """Free the engine; a second call does nothing."""
        ...


def check_batch(batch: npt.NDArray[np.generic], facts: BackendFacts) -> None:
    """Reject a batch that the engine would misread.

    Raises:
        InputError: wrong shape or dtype, or a value that is not finite.
    """
    expected = f"(N, {', '.join(map(str, facts.input_shape))}) {facts.input_dtype}"
    if not isinstance(batch, np.ndarray):
        raise InputError(f"{facts.name}: found {type(batch).__name__}, expected an array {expected}")
    first, second, channels = facts.input_shape
    if batch.shape[1:] != facts.input_shape:
        hint = ""
        if batch.shape[1:] == (second, first, channels):
            hint = ": axes 1 and 2 look swapped"
        elif batch.shape == facts.input_shape:
            hint = ": the batch axis is missing"
        raise InputError(f"{facts.name}: found shape {batch.shape}, expected {expected}{hint}")
    if batch.dtype != facts.input_dtype:
        raise InputError(f"{facts.name}: found dtype {batch.dtype}, expected {expected}; use edge_crnn.preprocess")
    if batch.dtype.kind == "f" and not np.isfinite(batch).all():
        raise InputError(f"{facts.name}: {np.sum(~np.isfinite(batch))} values are not finite; check the preprocessing")
