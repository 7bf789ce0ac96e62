"""Checks of the installed packages, and of whether a model reads with them."""

from __future__ import annotations

import os
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
"""The oldest and the newest Python that are tested."""
_NUMPY = (1, 24)
_NEEDS = {".tflite": ("litert",), ".onnx": ("onnxruntime",), ".engine": ("tensorrt", "pycuda", "gpu")}
"""Suffix of a model → the trials that its engine depends on."""


def checks(board: Board, model: Path = DEFAULT_MODEL, root: Path = tree.ROOT) -> Iterator[Check]:
    """Yield the checks in the order in which they are shown; the last one is whether `model` reads here."""
    for check in _checks(board, model, root):
        late = check.found.startswith(LATE)
        yield replace(check, fix="try again when this machine is less busy") if late else check


def _checks(board: Board, model: Path, root: Path) -> Iterator[Check]:
    yield Check("edge-crnn", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    yield _python(board)
    trials = attempt_all(list(TRIALS), model)
    needs = _NEEDS.get(model.suffix, ())
    yield _numpy(trials["numpy"])
    yield _litert(trials["litert"], board, "litert" in needs)
    yield _cv2(trials["cv2"], board)
    yield _onnxruntime(trials["onnxruntime"], "onnxruntime" in needs)
    yield _tensorrt(trials["tensorrt"], board, root, "tensorrt" in needs)
    yield _pycuda(trials["pycuda"], board, "pycuda" in needs)
    yield _gpu(trials["gpu"], board, "gpu" in needs)
    yield _watch(trials["watch"])
    yield from _cameras(root)
    lacking = [name for name in needs if trials[name].state != "works"]
    if lacking:
        yield Check("reading", "fail", f"{model.name} needs {', '.join(lacking)}: see above")
    else:
        yield _reading(attempt_all([READING], model)[READING], model)


def _python(board: Board) -> Check:
    oldest, newest = _PYTHONS
    description = f"{board.python} in {sys.prefix}"
    fix = None
    if not oldest <= sys.version_info[:2] <= newest:
        fix = f"use Python {_dotted(oldest)} to {_dotted(newest)}: others are not tested and may lack wheels"
    elif sysconfig.get_config_var("Py_GIL_DISABLED"):
        description += ", free-threaded"
        fix = "use a Python with the global lock: LiteRT has no wheels for free-threaded Python"
    return Check("python", "warn" if fix else "ok", description, fix)


def _numpy(trial: Trial) -> Check:
    if trial.state != "works":
        return Check("numpy", "fail", trial.reason, _install("numpy"))
    version = trial.facts["version"]
    if _numbers(version) < _NUMPY:
        return Check("numpy", "warn", version, _install(f"'numpy>={_dotted(_NUMPY)}'"))
    return Check("numpy", "ok", version)


def _lacking(name: str, trial: Trial, needed: bool, useful: bool, fix: str) -> Check:
    """Return the check of a package that does not work; a broken package is always worth a warning."""
    status: Status = "absent"
    if needed:
        status = "fail"
    elif useful or trial.state == "broken":
        status = "warn"
    description = "not installed" if trial.state == "absent" else trial.reason
    return Check(name, status, description, None if status == "absent" else fix)


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
        return Check("opencv", "warn", "not installed: arrays can be read, files cannot", _install(_extra("opencv")))
    if trial.state == "broken":
        headless = "opencv-python-headless"
        fix = f"pip uninstall opencv-python && {_install(headless)}"
        return Check("opencv", "warn", trial.reason, fix if "libGL" in trial.reason else _install(f"-U {headless}"))
    gui = trial.facts["gui"]
    has_streams = trial.facts["gstreamer"].startswith("YES")
    description = f"{trial.facts['version']}, {'headless' if gui in ('', 'NONE', 'NO') else gui},"
    description += f" {'with' if has_streams else 'without'} GStreamer"
    if board.kind == "jetson" and not has_streams:
        fix = f"for a CSI camera: sudo apt install python3-opencv && {_VENV}"
        return Check("opencv", "warn", description, fix)
    return Check("opencv", "ok", description)


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
    """Return how to get TensorRT; JetPack's module is for the Python of the system alone."""
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    theirs = [
        path.parts[-3].removeprefix("python") for path in tree.find(root, "usr/lib/python3*/dist-packages/tensorrt")
    ]
    exact = [version for version in theirs if "." in version]  # the folder python3 is for any version
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
        name, capability, driver = (trial.facts[fact] for fact in ("name", "compute_capability", "driver"))
        return Check("gpu", "ok", f"{name}, compute capability {capability}, CUDA {driver}")
    problem, _, fix = trial.reason.partition("; ")
    if trial.state == "absent":
        problem = "no NVIDIA driver"
    return replace(_lacking("gpu", trial, needed, has_tensorrt(board), fix), found=problem)


def _watch(trial: Trial) -> Check:
    """Check what only `edge-crnn watch` needs, and OpenCV, which has its own check."""
    if trial.state == "absent":
        return Check("watch", "absent", f"no PyAV; for `edge-crnn watch`: {_install(_extra('watch'))}")
    if trial.state == "broken":
        return Check("watch", "warn", trial.reason, _install("--force-reinstall av"))
    description = f"PyAV {trial.facts['version']}"
    if missing := trial.facts["missing"]:
        return Check("watch", "warn", f"{description}, without {', '.join(missing)}", _install(_extra("watch")))
    return Check("watch", "ok", f"{description}, MQTT, page")


def _cameras(root: Path) -> Iterator[Check]:
    """Check whether this user may open the device files of cameras; nothing if there are none."""
    devices = tree.find(root, "dev/video*")
    closed = [device.name for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if closed:
        fix = "sudo usermod -aG video $USER, then log in again"
        yield Check("camera", "warn", f"this user may not open /dev/{', /dev/'.join(closed)}", fix)
    elif devices:
        yield Check("camera", "ok", ", ".join(f"/dev/{device.name}" for device in devices))


def _reading(trial: Trial, model: Path) -> Check:
    if trial.state != "works":
        problem, _, fix = trial.reason.rpartition("; ")
        return Check("reading", "fail", problem or fix, fix if problem else None)
    facts: dict[str, Any] = trial.facts
    if not facts["finite"]:
        return Check("reading", "fail", f"{model.name} gives invalid numbers", "convert the model again")
    ms = facts["ms"]
    speed = f"about {ms:,.{1 if ms < 10 else 0}f} ms; {', '.join((facts['precision'], *facts['notes']))}"
    if model != DEFAULT_MODEL:  # any other model may be trained on anything
        return Check("reading", "ok", f"{model.name} runs, {speed}")
    if facts["label"] != SAMPLE.stem:
        problem = f"{model.name} reads {facts['label'] or 'nothing'} in an image of the plate {SAMPLE.stem}"
        return Check("reading", "fail", f"{problem}; {facts['engine']}", "install another version of the engine")
    return Check("reading", "ok", f"{model.name} reads {facts['text']} correctly, {speed}")


_VENV = "python3 -m venv --system-site-packages env"


def _install(package: str) -> str:
    """Return the command that installs a package here.

    A system that manages its own Python refuses pip outside an environment (PEP 668).
    """
    marked = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists()
    if marked and sys.prefix == sys.base_prefix:
        return f"{_VENV} && env/bin/pip install {package}"
    return f"pip install {package}"


def _extra(name: str) -> str:
    return f"'edge-crnn[{name}]'"


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
