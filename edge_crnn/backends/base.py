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
    """The facts about an open engine."""

    name: str
    """Name of the engine: litert, onnxrt, tensorrt, fake."""
    version: str
    precision: str
    input_shape: tuple[int, int, int]
    """Shape of one image, without the batch axis."""
    input_dtype: str
    max_batch: int | None
    """Largest batch for one call of the engine; larger batches are split. None: no limit."""
    device: Literal["cpu", "gpu"] = "cpu"
    """Device of the engine. On a CPU, every core has its own engine; on a GPU, one engine serves all."""
    notes: tuple[str, ...] = ()
    """Further lines for `info`, such as the delegate that runs the graph."""


class Backend(Protocol):
    """An open model."""

    @property
    def facts(self) -> BackendFacts:
        """The facts about this engine."""
        ...

    def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
        """Return the probabilities (N, T, C) float32 of a batch (N, *input_shape).

        N may be any number, also 0. The caller owns the result.

        Raises:
            InputError: the batch has the wrong shape or dtype, or a value that is not finite.
            BackendError: the engine failed, or is closed.
        """
        ...

    def close(self) -> None:
        """Free the engine; a second call does nothing."""
        ...


def check_batch(batch: npt.NDArray[np.generic], facts: BackendFacts) -> None:
    """Check that the engine can read a batch.

    Raises:
        InputError: the batch has the wrong shape or dtype, or a value that is not finite.
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
