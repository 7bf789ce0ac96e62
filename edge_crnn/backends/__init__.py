"""Inference engines: one module per engine, imported when a file of its kind is opened."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from ..errors import ArtifactError, BackendUnavailable, InputError
from ..model.artifact import Artifact, load
from .base import Backend, BackendFacts, Probabilities, check_batch
from .fake import FakeBackend

__all__ = ["ENGINES", "Backend", "BackendFacts", "FakeBackend", "Probabilities", "check_batch", "open_backend"]

_ENGINES = {
    "litert": ("litert", "LiteRtBackend", "litert"),
    "onnxrt": ("onnxrt", "OnnxRuntimeBackend", "onnxruntime"),
    "tensorrt": ("tensorrt.engine", "TrtBackend", "tensorrt"),
}
"""Engine → module, class, extra that installs it."""

_TAKEN_BY = {".tflite": ("litert",), ".onnx": ("onnxrt", "tensorrt"), ".engine": ("tensorrt",)}
"""Suffix → engines for such a file; the first unless another is asked for."""

ENGINES = tuple(_ENGINES)


def open_backend(model: Path | Artifact, threads: int = 1, engine: str | None = None) -> Backend:
    """Open a converted model.

    Args:
        model: an artifact or its path.
        threads: of an engine on the CPU.
        engine: one of `ENGINES`; None: the usual one for its kind of file. With "tensorrt", an `.onnx` runs as the
            engine that TensorRT builds of it, once: see `edge_crnn.backends.tensorrt.cache`.

    Raises:
        ArtifactError: no file of a known kind, or damaged.
        ModelSpecError: it carries no spec.
        InputError: `engine` is not for its kind of file.
        BackendUnavailable: its engine is not installed.
        BackendError: the engine does not take it, or an `.engine` is older than the `.onnx` of its name.
        OutputError: TensorRT's engine of it cannot be kept.
    """
    path = model if isinstance(model, Path) else model.path
    if path.suffix not in _TAKEN_BY:
        raise ArtifactError(f"{path}: no engine for {path.suffix or 'no suffix'!r}; known are {', '.join(_TAKEN_BY)}")
    known = _TAKEN_BY[path.suffix]
    engine = known[0] if engine is None else engine
    if engine not in known:
        raise InputError(f"{path}: found engine {engine!r}, expected one for {path.suffix}: {', '.join(known)}")
    module, name, extra = _ENGINES[engine]
    artifact = load(model) if isinstance(model, Path) else model
    try:
        opens = getattr(import_module(f"{__name__}.{module}"), name)
    except ImportError as error:
        raise BackendUnavailable(
            f"{path.name}: its engine is not there, or does not start ({error}); pip install 'edge-crnn[{extra}]'"
        ) from error
    if engine == "tensorrt":
        from .tensorrt.cache import cached_engine, refuse_stale, require

        if path.suffix == ".onnx":
            artifact = cached_engine(artifact)
        else:
            refuse_stale(artifact)
            require(path.name)
    return cast(Backend, opens(artifact, threads))
