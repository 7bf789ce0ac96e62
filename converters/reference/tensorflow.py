"""The base of all references of verification: TensorFlow runs a function in batches of one fixed size."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_crnn.backends.base import BackendFacts, Probabilities, check_batch
from edge_crnn.errors import BackendError, BackendUnavailable
from edge_crnn.tensorflow_settings import set_environment

from ..graph.graph import Graph


class TensorFlowReference:
    """A trained model that TensorFlow runs as one compiled function, so that every image is computed alike."""

    facts: BackendFacts

    def __init__(
        self,
        tensorflow: Any,
        call: Callable[[Any], Any],
        graph: Graph,
        batch: int,
        *,
        name: str,
        version: str,
        precision: str,
    ) -> None:
        """Compile `call`, which maps float32 (N, *graph.input_shape) to probabilities (N, steps, classes)."""
        self.facts = BackendFacts(
            name=name,
            version=version,
            precision=precision,
            input_shape=(graph.input_shape[0], graph.input_shape[1], graph.input_shape[2]),
            input_dtype="float32",
            max_batch=batch,
        )
        self._batch = batch
        self._steps_classes = graph.output_shape
        self._tensorflow = tensorflow
        signature = [tensorflow.TensorSpec((batch, *graph.input_shape), tensorflow.float32)]
        self._call = tensorflow.function(call, input_signature=signature, autograph=False).get_concrete_function()

    def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
        """See `edge_crnn.backends.base.Backend.infer`."""
        check_batch(batch, self.facts)
        if self._call is None:
            raise BackendError(f"{self.facts.name}: used after close(); open the model again")
        parts = [np.zeros((0, *self._steps_classes), np.float32)]
        for start in range(0, len(batch), self._batch):
            images = batch[start : start + self._batch]
            padded = np.zeros((self._batch, *self.facts.input_shape), np.float32)
            padded[: len(images)] = images
            try:
                parts.append(self._call(self._tensorflow.constant(padded)).numpy()[: len(images)])
            except self._tensorflow.errors.OpError as error:
                raise BackendError(f"{self.facts.name}: inference failed ({error.message})") from error
        return np.concatenate(parts)

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        self._call = None


def import_tensorflow(*modules: str) -> list[Any]:
    """Import TensorFlow, and then these modules, without their log output.

    Raises:
        BackendUnavailable: a module is not installed.
    """
    set_environment()
    try:
        with contextlib.nullcontext() if "tensorflow" in sys.modules else _silent_stderr():
            return [importlib.import_module(name) for name in ("tensorflow", *modules)]
    except ImportError as error:
        raise BackendUnavailable(
            f"running the trained model needs {error.name}: pip install 'edge-crnn[convert]'"
        ) from error


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Silence file descriptor 2, where TensorFlow's libraries print before a log level takes effect."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
