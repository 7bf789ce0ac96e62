"""LiteRT (TensorFlow Lite): `.tflite` on the CPU, through XNNPACK."""

from __future__ import annotations

import threading
from importlib import import_module, metadata
from types import ModuleType

import numpy as np
import numpy.typing as npt

from ..artifact import Artifact
from ..errors import ArtifactError, BackendError
from .base import BackendFacts, Probabilities, check_batch

_INTERPRETERS = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("tensorflow.lite", "tensorflow"),
)
"""In the order of preference: the first that is installed is used."""


def _import_interpreter() -> tuple[ModuleType, str, str]:
    for module, package in _INTERPRETERS:
        try:
            return import_module(module), package, metadata.version(package)
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError("no LiteRT interpreter", name="ai-edge-litert")


_ENGINE, _PACKAGE, _VERSION = _import_interpreter()


class LiteRtBackend:
    """One interpreter over one artifact; safe to share between threads, which then take turns.

    Raises:
        BackendError: the interpreter does not take the file, or XNNPACK does not take the graph: without it the same
            file runs up to six times slower and gives other numbers than those that were verified.
        ArtifactError: its tensors are not those that its spec describes.
    """

    def __init__(self, artifact: Artifact, threads: int = 1) -> None:
        spec, name = artifact.spec, artifact.path.name
        assert spec.artifact is not None  # `artifact.load` and `save` see to it
        self._name = name
        try:
            self._interpreter = _ENGINE.Interpreter(model_content=artifact.payload, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise BackendError(
                f"{name}: {_PACKAGE} {_VERSION} refuses it ({_first_line(error)}); convert it again"
            ) from error
        (image,), (probabilities,) = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        self._image, self._probabilities = image["index"], probabilities["index"]
        self._quantisation = spec.output.quantisation
        batch = spec.artifact.batch
        output = (
            "float32" if self._quantisation is None else "int8",
            (batch, spec.output.steps, spec.output.classes),
        )
        for tensor, dtype, shape in (
            (image, spec.input.dtype, (batch, *spec.input.shape)),
            (probabilities, *output),
        ):
            if np.dtype(tensor["dtype"]) != dtype or tuple(tensor["shape"]) != shape:
                raise ArtifactError(
                    f"{name}: tensor {tensor['name']!r} is {tuple(tensor['shape'])} {np.dtype(tensor['dtype'])},"
                    f" its spec says {shape} {dtype}; convert the model again"
                )
        delegated = [op["op_name"] for op in self._interpreter._get_ops_details()].count("DELEGATE")
        if not delegated:
            raise BackendError(
                f"{name}: XNNPACK did not take the graph on this machine; {_PACKAGE} {_VERSION} without it gives other"
                " numbers than those verified. Is /sys mounted, and is this a 64-bit system?"
            )
        self._batch = np.zeros((batch, *spec.input.shape), spec.input.dtype)
        self._lock = threading.Lock()
        self._closed = False
        self.facts = BackendFacts(
            name="litert",
            version=f"{_PACKAGE} {_VERSION}",
            precision=spec.artifact.recipe,
            input_shape=spec.input.shape,
            input_dtype=spec.input.dtype,
            max_batch=batch,
            notes=(f"XNNPACK took the graph in {delegated} parts", f"{threads} thread{'s' * (threads > 1)}"),
        )

    def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
        """Probabilities (N, T, C) float32; see `Backend.infer`."""
        check_batch(batch, self.facts)
        with self._lock:
            if self._closed:
                raise BackendError(f"{self._name}: used after close(); open the model again")
            rows = [
                self._invoke(batch[first : first + len(self._batch)])
                for first in range(0, len(batch), len(self._batch))
            ]
        if not rows:
            shape = self._interpreter.get_output_details()[0]["shape"][1:]
            return np.zeros((0, *shape), np.float32)
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

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
        given = self._interpreter.get_tensor(self._probabilities)[: len(images)]  # a copy, never a view of the arena
        if self._quantisation is None:
            return np.asarray(given, np.float32)
        real = given.astype(np.float32) - np.float32(self._quantisation.zero_point)
        return np.asarray(real * np.float32(self._quantisation.scale), np.float32)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
