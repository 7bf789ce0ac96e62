"""ONNX Runtime: `.onnx` on any CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

from ..errors import ArtifactError, BackendError
from ..model.artifact import Artifact
from .base import BackendFacts, Probabilities, check_batch

_TYPES = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}
_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(
        member
        for member in vars(onnxruntime_pybind11_state).values()
        if isinstance(member, type) and issubclass(member, Exception)
    ),
)
"""ONNX Runtime's own exceptions, whose only common base is Exception, among others."""
_QUIET = 4
"""Log level for fatal errors only, because all other errors are also raised."""


class OnnxRuntimeBackend:
    """A session of an artifact. Threads that share it run in parallel.

    The engine gets one image at a time, whatever the batch: otherwise its sums, and possibly a text, would depend on
    the number of images. On a CPU, larger batches gain little; more workers gain more.

    Raises:
        BackendError: the engine rejects the file.
        ArtifactError: the tensors differ from those in the spec.
    """

    def __init__(self, artifact: Artifact, threads: int = 1) -> None:
        spec = artifact.spec
        name = artifact.path.name
        assert spec.artifact is not None  # `artifact.load` and `save` see to it
        engine = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        try:
            session = onnxruntime.InferenceSession(
                artifact.payload,
                options,
                ["CPUExecutionProvider"],
                enable_fallback=0,  # otherwise it tries again and prints a message
            )
            inputs = session.get_inputs()
            actual = [
                [(*tensor.shape[1:], tensor.type) for tensor in tensors] for tensors in (inputs, session.get_outputs())
            ]
            image = inputs[0].name if inputs else ""
        except _ERRORS as error:
            raise BackendError(f"{name}: {engine} rejects it ({_first_line(error)}); convert it again") from error
        steps = (spec.output.steps, spec.output.classes)
        expected = [[(*spec.input.shape, _TYPES[spec.input.dtype])], [(*steps, _TYPES["float32"])]]
        if actual != expected or spec.output.quantisation is not None:
            raise ArtifactError(
                f"{name}: takes {actual[0]} and gives {actual[1]} per image, but its spec says {expected[0]} and"
                f" {expected[1]}; convert the model again"
            )
        self._name = name
        self._image = image
        self._steps = steps
        self._session: Any = session
        notes = ["one image at a time", f"{threads} thread{'s' * (threads > 1)}"]
        if spec.artifact.recipe.startswith("float16"):
            notes.append("float16 is no faster: operations without a float16 kernel run as float32")
        self.facts = BackendFacts(
            name="onnxrt",
            version=engine,
            precision=spec.artifact.recipe,
            input_shape=spec.input.shape,
            input_dtype=spec.input.dtype,
            max_batch=1,
            notes=tuple(notes),
        )

    def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
        """Return probabilities (N, T, C) float32; see `Backend.infer`."""
        check_batch(batch, self.facts)
        session = self._session
        if session is None:
            raise BackendError(f"{self._name}: used after close(); open the model again")
        probabilities = np.empty((len(batch), *self._steps), np.float32)
        for index in range(len(batch)):
            try:
                (probabilities[index : index + 1],) = session.run(None, {self._image: batch[index : index + 1]})
            except _ERRORS as error:
                raise BackendError(f"{self._name}: inference failed ({_first_line(error)})") from error
        return probabilities

    def close(self) -> None:
        """Free the session; calls in progress end first."""
        self._session = None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
