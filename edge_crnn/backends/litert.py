"""LiteRT (TensorFlow Lite): `.tflite` on the CPU, through XNNPACK."""

from __future__ import annotations

import threading
from importlib import import_module
from types import ModuleType

import numpy as np
import numpy.typing as npt

from ..errors import ArtifactError, BackendError
from ..model.artifact import Artifact
from .base import BackendFacts, Probabilities, check_batch

_INTERPRETERS = (
    ("ai_edge_litert", "interpreter"),
    ("tflite_runtime", "interpreter"),
    ("tensorflow", "lite.python.interpreter"),
)
"""Package and module, in order of preference: the first that is installed is used."""


def _import_interpreter() -> tuple[ModuleType, str]:
    for package, module in _INTERPRETERS:
        try:
            return import_module(f"{package}.{module}"), f"{package} {import_module(package).__version__}"
        except ModuleNotFoundError:
            continue
    names = ", ".join(package for package, _ in _INTERPRETERS)
    raise ModuleNotFoundError(f"none of {names} is installed")


_LITERT, _ENGINE = _import_interpreter()


class LiteRtBackend:
    """An interpreter of an artifact. Threads may share it and take turns.

    Raises:
        BackendError: the interpreter rejects the file, or XNNPACK rejects the graph: without it, the same file runs up
            to six times slower and returns numbers that were not verified.
        ArtifactError: the tensors differ from those in the spec.
    """

    def __init__(self, artifact: Artifact, threads: int = 1) -> None:
        spec = artifact.spec
        name = artifact.path.name
        assert spec.artifact is not None  # `artifact.load` and `save` see to it
        self._name = name
        try:
            self._interpreter = _LITERT.Interpreter(model_content=artifact.payload, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"{name}: {_ENGINE} rejects it ({_first_line(error)}); convert it again") from error
        batch = spec.artifact.batch
        self._quantisation = spec.output.quantisation
        self._no_images = np.zeros((0, spec.output.steps, spec.output.classes), np.float32)
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        actual = [
            [(*map(int, tensor["shape"]), np.dtype(tensor["dtype"]).name) for tensor in tensors]
            for tensors in (inputs, outputs)
        ]
        expected = [
            [(batch, *spec.input.shape, spec.input.dtype)],
            [(batch, *self._no_images.shape[1:], "float32" if self._quantisation is None else "int8")],
        ]
        if actual != expected:
            raise ArtifactError(
                f"{name}: takes {actual[0]} and gives {actual[1]}, but its spec says {expected[0]} and {expected[1]};"
                " convert the model again"
            )
        self._image = inputs[0]["index"]
        self._probabilities = outputs[0]["index"]
        delegated = [op["op_name"] for op in self._interpreter._get_ops_details()].count("DELEGATE")
        if not delegated:
            raise BackendError(
                f"{name}: XNNPACK did not take the graph on this machine; without it, {_ENGINE} returns numbers that"
                " were not verified. Is /sys mounted, and is this a 64-bit system?"
            )
        self._batch = np.zeros((batch, *spec.input.shape), spec.input.dtype)
        self._lock = threading.Lock()
        self._closed = False
        self.facts = BackendFacts(
            name="litert",
            version=_ENGINE,
            precision=spec.artifact.recipe,
            input_shape=spec.input.shape,
            input_dtype=spec.input.dtype,
            max_batch=batch,
            notes=(f"XNNPACK took the graph in {delegated} parts", f"{threads} thread{'s' * (threads > 1)}"),
        )

    def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
        """Return probabilities (N, T, C) float32; see `Backend.infer`."""
        check_batch(batch, self.facts)
        with self._lock:
            if self._closed:
                raise BackendError(f"{self._name}: used after close(); open the model again")
            size = len(self._batch)
            rows = [self._invoke(batch[first : first + size]) for first in range(0, len(batch), size)]
        return rows[0] if len(rows) == 1 else np.concatenate([self._no_images, *rows])

    def close(self) -> None:
        """Free the interpreter."""
        with self._lock:
            self._closed = True
            self._interpreter = None

    def _invoke(self, images: npt.NDArray[np.generic]) -> Probabilities:
        if len(images) < len(self._batch):
            self._batch[: len(images)] = images
            filled: npt.NDArray[np.generic] = self._batch
        else:
            filled = images
        try:
            self._interpreter.set_tensor(self._image, filled)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"{self._name}: inference failed ({_first_line(error)})") from error
        output = self._interpreter.get_tensor(self._probabilities)[: len(images)]  # a copy, not a view of the arena
        if self._quantisation is None:
            return np.asarray(output, np.float32)
        # The scale cancels out. In steps of 1/256, many small probabilities may not sum to 1, by several hundredths.
        real = output.astype(np.float32) - np.float32(self._quantisation.zero_point)
        return np.asarray(real / np.maximum(real.sum(axis=-1, keepdims=True), 1), np.float32)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
