"""Checks of what is installed, and whether it reads."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..board import tree
from ..board.board import Board
from ..reader import DEFAULT_MODEL
from .check import Check, Status
from .isolated import LATE, attempt_all
from .machine import has_tensorrt
from .trials import READING, SAMPLE, TRIALS, Trial

_PYTHONS = ((3, 10), (3, 13))
"""Oldest and newest that are tested."""
_NUMPY = (1, 24)
_NEEDS = {".tflite": ("litert",), ".onnx": ("onnxruntime",), ".engine": ("tensorrt", "pycuda", "gpu")}
"""Suffix of a model → what its engine is made of."""


def checks(board: Board, model: Path = DEFAULT_MODEL, root: Path = tree.ROOT) -> Iterator[Check]:
    """Checks in the order in which they are shown; the last one says whether `model` reads here."""
    for check in _checks(board, model, root):
        late = check.found.startswith(LATE)
        yield replace(check, fix="try again when this machine is less busy") if late else check


def _checks(board: Board, model: Path, root: Path) -> Iterator[Check]:
    yield Check("edge-crnn", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    yield _python(board)
    found = attempt_all(list(TRIALS), model)
    needs = _NEEDS.get(model.suffix, ())
    yield _numpy(found["numpy"])
    yield _litert(found["litert"], board, "litert" in needs)
    yield _cv2(found["cv2"], board)
    yield _onnxruntime(found["onnxruntime"], "onnxruntime" in needs)
    yield _tensorrt(found["tensorrt"], board, root, "tensorrt" in needs)
    yield _pycuda(found["pycuda"], board, "pycuda" in needs)
    yield _gpu(found["gpu"], board, "gpu" in needs)
    lacking = [name for name in needs if found[name].state != "works"]
    if lacking:
        yield Check("reading", "fail", f"{model.name} needs {', '.join(lacking)}: see above")
    else:
        yield _reading(attempt_all([READING], model)[READING], model)


def _python(board: Board) -> Check:
    oldest, newest = _PYTHONS
    found, fix = f"{board.python} in {sys.prefix}", None
    if not oldest <= sys.version_info[:2] <= newest:
        fix = f"use Python {_dotted(oldest)} to {_dotted(newest)}: others are not tested and may lack wheels"
    elif sysconfig.get_config_var("Py_GIL_DISABLED"):
        found += ", free-threaded"
        fix = "use a Python with the global lock: LiteRT has no wheels for free-threaded ones"
    return Check("python", "warn" if fix else "ok", found, fix)


def _numpy(trial: Trial) -> Check:
    if trial.state != "works":
        return Check("numpy", "fail", trial.reason, _install("numpy"))
    version = trial.facts["version"]
    if _numbers(version) < _NUMPY:
        return Check("numpy", "warn", version, _install(f"'numpy>={_dotted(_NUMPY)}'"))
    return Check("numpy", "ok", version)


def _lacking(name: str, trial: Trial, needed: bool, wanted: bool, fix: str) -> Check:
    """Of what does not work: what is there and broken is always worth a look."""
    status: Status = "fail" if needed else "warn" if wanted or trial.state == "broken" else "absent"
    found = "not installed" if trial.state == "absent" else trial.reason
    return Check(name, status, found, None if status == "absent" else fix)


def _litert(trial: Trial, board: Board, needed: bool) -> Check:
    if trial.state == "works":
        return Check("litert", "ok", trial.facts["engine"])
    if board.python_bits == 32:
        fix = "install a 64-bit system: LiteRT has no wheels for 32 bits"
    elif board.os_id == "alpine":
        fix = "use a system with glibc, such as the image python:3.12-slim: LiteRT has no wheels for musl"
    elif trial.state == "absent":
        fix = _install(_extra("litert"))
    else:
        fix = _install("--force-reinstall ai-edge-litert")
    return _lacking("litert", trial, needed, False, fix)


def _cv2(trial: Trial, board: Board) -> Check:
    if trial.state == "absent":
        return Check("opencv", "warn", "not installed: reads arrays, but no files", _install(_extra("opencv")))
    if trial.state == "broken":
        headless = "opencv-python-headless"
        fix = f"pip uninstall opencv-python && {_install(headless)}"
        return Check("opencv", "warn", trial.reason, fix if "libGL" in trial.reason else _install(f"-U {headless}"))
    gui, streams = trial.facts["gui"], trial.facts["gstreamer"]
    has_streams = streams.startswith("YES")
    found = f"{trial.facts['version']}, {'headless' if gui in ('', 'NONE', 'NO') else gui},"
    found += f" {'with' if has_streams else 'without'} GStreamer"
    if board.kind == "jetson" and not has_streams:
        fix = f"for a CSI camera: sudo apt install python3-opencv && {_VENV}"
        return Check("opencv", "warn", found, fix)
    return Check("opencv", "ok", found)


def _onnxruntime(trial: Trial, needed: bool) -> Check:
    if trial.state == "works":
        return Check("onnxruntime", "ok", f"{trial.facts['version']}, on the CPU")
    fix = _extra("onnxruntime") if trial.state == "absent" else "--force-reinstall onnxruntime"
    return _lacking("onnxruntime", trial, needed, False, _install(fix))


def _tensorrt(trial: Trial, board: Board, root: Path, needed: bool) -> Check:
    if trial.state == "works":
        return Check("tensorrt", "ok", f"{trial.facts['module']} {trial.facts['version']}")
    return _lacking("tensorrt", trial, needed, has_tensorrt(board), _tensorrt_fix(trial, board, root))


def _tensorrt_fix(trial: Trial, board: Board, root: Path) -> str:
    """JetPack's is for the Python of the system alone."""
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    theirs = [
        path.parts[-3].removeprefix("python") for path in tree.find(root, "usr/lib/python3*/dist-packages/tensorrt")
    ]
    exact = [version for version in theirs if "." in version]  # python3 is that of all
    if trial.state == "broken":
        return (
            "TensorRT, CUDA and the driver must come from one JetPack: sudo apt install --reinstall python3-libnvinfer"
        )
    if board.kind != "jetson":
        return _install("tensorrt")
    if exact and ours not in exact:
        return f"JetPack's TensorRT needs another Python: python{exact[-1]} -m venv --system-site-packages env"
    if theirs:
        return _VENV
    return "sudo apt install python3-libnvinfer"


def _pycuda(trial: Trial, board: Board, needed: bool) -> Check:
    if trial.state == "works":
        return Check("pycuda", "ok", trial.facts["version"])
    fix = "export PATH=/usr/local/cuda/bin:$PATH CUDA_ROOT=/usr/local/cuda && " + _install(_extra("tensorrt"))
    return _lacking("pycuda", trial, needed, has_tensorrt(board), fix)


def _gpu(trial: Trial, board: Board, needed: bool) -> Check:
    if trial.state == "works":
        name, capability, driver = (trial.facts[each] for each in ("name", "compute_capability", "driver"))
        return Check("gpu", "ok", f"{name}, compute capability {capability}, CUDA {driver}")
    found, _, fix = trial.reason.partition("; ")
    if trial.state == "absent":
        found = "no NVIDIA driver"
    return replace(_lacking("gpu", trial, needed, has_tensorrt(board), fix), found=found)


def _reading(trial: Trial, model: Path) -> Check:
    if trial.state != "works":
        found, _, fix = trial.reason.rpartition("; ")
        return Check("reading", "fail", found or fix, fix if found else None)
    facts: dict[str, Any] = trial.facts
    if not facts["finite"]:
        return Check("reading", "fail", f"{model.name} gives invalid numbers", "convert the model again")
    ms = facts["ms"]
    how = f"about {ms:,.{1 if ms < 10 else 0}f} ms; {', '.join((facts['precision'], *facts['notes']))}"
    if model != DEFAULT_MODEL:  # which may be trained on anything
        return Check("reading", "ok", f"{model.name} runs, {how}")
    if facts["label"] != SAMPLE.stem:
        found = f"{model.name} reads {facts['label'] or 'nothing'} on a plate that says {SAMPLE.stem}"
        return Check("reading", "fail", f"{found}; {facts['engine']}", "install another version of the engine")
    return Check("reading", "ok", f"{model.name} reads {facts['text']} correctly, {how}")


_VENV = "python3 -m venv --system-site-packages env"


def _install(what: str) -> str:
    """How to install here; a system that manages its own Python refuses pip outside an environment (PEP 668)."""
    marked = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists()
    if marked and sys.prefix == sys.base_prefix:
        return f"{_VENV} && env/bin/pip install {what}"
    return f"pip install {what}"


def _extra(name: str) -> str:
    return f"'edge-crnn[{name}]'"


def _numbers(version: str) -> tuple[int, ...]:
    """Its first two numbers."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
