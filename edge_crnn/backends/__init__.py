"""Inference engines: one module per engine, imported when it opens a file."""

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
"""Suffix → engines for such a file; the first is the default."""

ENGINES = tuple(_ENGINES)


def open_backend(model: Path | Artifact, threads: int = 1, engine: str | None = None) -> Backend:
    """Open a converted model.

    Args:
        model: an artifact or its path.
        threads: number of threads of an engine on the CPU.
        engine: one of `ENGINES`; None: the default for the kind of file. With "tensorrt", TensorRT builds an engine
            from an `.onnx` once and runs it: see `edge_crnn.backends.tensorrt.cache`.

    Raises:
        ArtifactError: the file is missing, damaged, or not of a supported kind.
        ModelSpecError: the file has no spec.
        InputError: `engine` does not run this kind of file.
        BackendUnavailable: the engine is not installed.
        BackendError: the engine does not accept the file, or an `.engine` does not match the `.onnx` of its name.
        OutputError: the TensorRT engine cannot be stored.
    """
    path = model if isinstance(model, Path) else model.path
    if path.suffix not in _TAKEN_BY:
        raise ArtifactError(f"{path}: no engine for {path.suffix or 'no suffix'!r}, expected {', '.join(_TAKEN_BY)}")
    engines = _TAKEN_BY[path.suffix]
    engine = engines[0] if engine is None else engine
    if engine not in engines:
        raise InputError(f"{path}: found engine {engine!r}, expected one for {path.suffix}: {', '.join(engines)}")
    module, name, extra = _ENGINES[engine]
    artifact = load(model) if isinstance(model, Path) else model
    try:
        opens = getattr(import_module(f"{__name__}.{module}"), name)
    except ImportError as error:
        raise BackendUnavailable(
            f"{path.name}: its engine is not installed, or does not start ({error}); pip install 'edge-crnn[{extra}]'"
        ) from error
    if engine == "tensorrt":
        from .tensorrt.cache import cached_engine, refuse_stale, require

        if path.suffix == ".onnx":
            artifact = cached_engine(artifact)
        else:
            refuse_stale(artifact)
            require(path.name)
    return cast(Backend, opens(artifact, threads))
