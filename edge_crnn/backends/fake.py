"""A backend without an engine, for tests of code that uses a backend."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import BackendError, InputError
from .base import BackendFacts, Probabilities, check_batch


class FakeBackend:
    """Returns scripted probabilities: the i-th image gets row i, in a cycle.

    Args:
        probabilities: (M, T, C) float32, M at least 1.
        input_shape: shape of one image; see `ModelSpec.input.shape`.
        input_dtype: dtype of an image; see `ModelSpec.input.dtype`.

    Raises:
        InputError: `probabilities` has another shape.
    """

    def __init__(
        self, probabilities: Probabilities, input_shape: tuple[int, int, int], input_dtype: str = "float32"
    ) -> None:
        self._script = np.array(probabilities, np.float32)
        if self._script.ndim != 3 or not len(self._script):
            raise InputError(f"fake: found a script {self._script.shape}, expected (M, T, C) with M at least 1")
        self._seen = 0
        self._closed = False
        self.facts = BackendFacts("fake", "1", "float32", input_shape, input_dtype, None)

    def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
        """Return the next rows of the script; see `Backend.infer`."""
        if self._closed:
            raise BackendError("fake: used after close(); open the model again")
        check_batch(batch, self.facts)
        rows = (self._seen + np.arange(len(batch))) % len(self._script)
        self._seen += len(batch)
        return self._script[rows]

    def close(self) -> None:
        """Reject further calls."""
        self._closed = True
