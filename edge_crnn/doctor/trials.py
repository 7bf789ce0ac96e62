"""Tries the packages that a reader may use, one after the other; `python -c` runs this in a process of its own.

A library that was built for another processor, or against another version of its neighbour, may not only raise but end
the process. So the process that tries it cannot be the one that reports on it.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..errors import BackendUnavailable, EdgeCrnnError

State: TypeAlias = Literal["works", "absent", "broken"]

SAMPLE = Path(__file__).parents[1] / "data" / "H77dk9304.pgm"
"""A rendered plate, named after its label."""

READING = "reading"
"""Name of the trial that reads the sample."""

_BREAKS = (ImportError, OSError, RuntimeError, AttributeError, ValueError, TypeError, SystemError)
"""The errors that imports of incompatible packages raise, unless they end the process."""


@dataclass(frozen=True)
class Trial:
    """The outcome of one trial."""

    state: State
    facts: dict[str, Any] = field(default_factory=dict)
    """Facts about a package that works."""
    reason: str = ""
    """Reason why a package does not work."""


class _Absent(Exception):  # noqa: N818 - a state, not an error
    """The package that is tried is not installed."""


def attempt(name: str, model: Path) -> Trial:
    """Run one of `TRIALS`; or try to read with `model`, if the name is `READING`."""
    try:
        return Trial("works", _read(model) if name == READING else TRIALS[name]())
    except _Absent as error:
        return Trial("absent", reason=_one_line(error))
    except (EdgeCrnnError, *_BREAKS) as error:
        return Trial("broken", reason=_one_line(error))


def main(model: str, names: Sequence[str]) -> None:
    """Run the trials, and write a line of JSON after each of them; output of the libraries goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    for name in names:
        answers.write(json.dumps([name, asdict(attempt(name, Path(model)))]) + "\n")


def _numpy() -> dict[str, Any]:
    return {"version": _import("numpy").__version__}


def _cv2() -> dict[str, Any]:
    cv2 = _import("cv2")
    build_settings: dict[str, str] = {}
    for line in cv2.getBuildInformation().splitlines():
        name, _, value = line.partition(":")
        build_settings.setdefault(name.strip(), value.strip())
    gui, gstreamer = (build_settings.get(name, "") for name in ("GUI", "GStreamer"))
    return {"version": cv2.__version__, "gui": gui, "gstreamer": gstreamer}


def _litert() -> dict[str, Any]:
    try:
        from ..backends import litert
    except ModuleNotFoundError as error:
        if error.name is None:  # raised by this package, because none of the possible packages is installed
            raise _Absent(error) from error
        raise
    return {"engine": litert._ENGINE}


def _onnxruntime() -> dict[str, Any]:
    onnxruntime = _import("onnxruntime")
    return {"version": onnxruntime.__version__, "providers": onnxruntime.get_available_providers()}


def _tensorrt() -> dict[str, Any]:
    from ..backends.tensorrt.build import import_tensorrt

    try:
        trt = import_tensorrt()
    except BackendUnavailable as error:
        if error.__cause__ is None:
            raise _Absent(error) from error
        raise
    return {"module": trt.__name__, "version": trt.__version__}


def _pycuda() -> dict[str, Any]:
    pycuda = _import("pycuda")
    import_module("pycuda.driver")  # fails without the NVIDIA driver
    return {"version": pycuda.VERSION_TEXT}


def _gpu() -> dict[str, Any]:
    from ..backends.tensorrt.cuda import gpu

    try:
        return asdict(gpu())
    except BackendUnavailable as error:
        if isinstance(error.__cause__, OSError):  # no driver
            raise _Absent(error) from error
        raise


def _watch() -> dict[str, Any]:
    av = _import("av")
    others = {"paho": "paho-mqtt", "starlette": "starlette", "uvicorn": "uvicorn"}
    return {"version": av.__version__, "missing": [other for name, other in others.items() if find_spec(name) is None]}


TRIALS: dict[str, Callable[[], dict[str, Any]]] = {
    "numpy": _numpy,
    "cv2": _cv2,
    "litert": _litert,
    "onnxruntime": _onnxruntime,
    "tensorrt": _tensorrt,
    "pycuda": _pycuda,
    "gpu": _gpu,
    "watch": _watch,
}


def _read(model: Path) -> dict[str, Any]:
    """Read the sample several times, since the engine warms up the first time."""
    import numpy as np

    from ..backends import open_backend
    from ..model.artifact import load
    from ..reader import Reader

    _, size, _, data = SAMPLE.read_bytes().split(b"\n", 3)
    width, height = map(int, size.split())
    pixels = np.frombuffer(data, np.uint8).reshape(height, width)
    artifact = load(model)
    backend = open_backend(artifact)
    times_s: list[float] = []
    with Reader(artifact.spec, lambda: backend) as reader:
        while len(times_s) < 5 and sum(times_s) < 0.5:  # an emulator takes tens of seconds for one reading
            started = time.perf_counter()
            reading = reader.read(pixels)
            times_s.append(time.perf_counter() - started)
    return {
        "engine": backend.facts.version,
        "precision": backend.facts.precision,
        "notes": list(backend.facts.notes),
        "label": reading.label,
        "text": reading.text,
        "finite": math.isfinite(reading.confidence),
        "ms": min(times_s) * 1e3,
    }


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise _Absent(error) from error
        raise


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
