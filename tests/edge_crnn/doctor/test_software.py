from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_crnn import __version__
from edge_crnn.board.board import board
from edge_crnn.doctor import software
from edge_crnn.doctor.check import Check
from edge_crnn.doctor.trials import READING, SAMPLE, Trial
from edge_crnn.reader import DEFAULT_MODEL
from tests.edge_crnn.board.trees import BARE, plant

HERE = {
    "numpy": Trial("works", {"version": "2.4.6"}),
    "cv2": Trial("works", {"version": "4.12.0", "gui": "NONE", "gstreamer": "NO"}),
    "litert": Trial("works", {"engine": "ai_edge_litert 2.3.0"}),
    "onnxruntime": Trial("works", {"version": "1.32.0", "providers": []}),
    "tensorrt": Trial("works", {"module": "tensorrt", "version": "10.3.0"}),
    "pycuda": Trial("works", {"version": "2026.1"}),
    "gpu": Trial("works", {"name": "Orin", "compute_capability": "8.7", "driver": "12.6"}),
    "watch": Trial("works", {"version": "18.1.0", "missing": []}),
    READING: Trial(
        "works",
        {
            "engine": "ai_edge_litert 2.3.0",
            "precision": "int8",
            "notes": ["XNNPACK took the graph in 4 parts"],
            "label": SAMPLE.stem,
            "text": "부산 77 아 9304",
            "finite": True,
            "ms": 9.876,
        },
    ),
}
ABSENT = Trial("absent", reason="No module named 'x'")
BROKEN = Trial("broken", reason="it does not start")


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Check a board by its name, with the outcomes of trials that are passed, and those of `HERE` for the others."""

    def run(
        name: str = "VM", model: Path = DEFAULT_MODEL, facts: dict[str, Any] | None = None, **trials: Trial
    ) -> dict[str, Check]:
        went = {**HERE, **trials}
        monkeypatch.setattr(software, "attempt_all", lambda names, model: {name: went[name] for name in names})
        root = plant(BARE[name], tmp_path / name)
        machine = replace(board(root), **{"python_bits": 64, "python": "CPython 3.11.2", **(facts or {})})
        results = software.checks(machine, model, root)
        return {check.name: check for check in results}

    return run


def test_all_is_there(examine: Any) -> None:
    by_name = examine()
    assert {name: check.found for name, check in by_name.items()} == {
        "edge-crnn": f"{__version__} in {Path(software.__file__).parents[1]}",
        "python": f"CPython 3.11.2 in {sys.prefix}",
        "numpy": "2.4.6",
        "litert": "ai_edge_litert 2.3.0",
        "opencv": "4.12.0, headless, without GStreamer",
        "onnxruntime": "1.32.0, on the CPU",
        "tensorrt": "tensorrt 10.3.0",
        "pycuda": "2026.1",
        "gpu": "Orin, compute capability 8.7, CUDA 12.6",
        "watch": "PyAV 18.1.0, MQTT, page",
        "reading": "plates-int8.tflite reads 부산 77 아 9304 correctly, about 9.9 ms; int8,"
        " XNNPACK took the graph in 4 parts",
    }
    assert {(check.status, check.fix) for check in by_name.values()} == {("ok", None)}


NOTHING = dict.fromkeys(("cv2", "litert", "onnxruntime", "tensorrt", "pycuda", "gpu", "watch"), ABSENT)
STATUS = {
    ("VM", "plates.tflite"): "opencv warn, litert fail, reading fail",
    ("VM", "plates.onnx"): "opencv warn, onnxruntime fail, reading fail",
    ("VM", "plates.engine"): "opencv warn, tensorrt fail, pycuda fail, gpu fail, reading fail",
    ("Pi 5", "plates.tflite"): "opencv warn, litert fail, reading fail",
    ("Orin Nano", "plates.tflite"): "opencv warn, litert fail, tensorrt warn, pycuda warn, gpu warn, reading fail",
    ("Orin Nano", "plates.engine"): "opencv warn, tensorrt fail, pycuda fail, gpu fail, reading fail",
    ("Xavier NX", "plates.tflite"): "opencv warn, litert fail, reading fail",
}


@pytest.mark.parametrize(("name", "model"), STATUS)
def test_an_absent_package_is_a_warning_only_where_it_is_useful(name: str, model: str, examine: Any) -> None:
    by_name = examine(name, Path(model), **NOTHING)
    problems = {
        f"{check_name} {check.status}" for check_name, check in by_name.items() if check.status in ("warn", "fail")
    }
    assert problems == set(STATUS[name, model].split(", "))
    assert all(check.fix is None for check in by_name.values() if check.status in ("ok", "absent"))
    assert all(
        check.fix
        for check_name, check in by_name.items()
        if check.status in ("warn", "fail") and check_name not in ("reading", "gpu")
    )


def test_a_slow_trial_does_not_suggest_reinstalling(examine: Any) -> None:
    late = Trial("broken", reason="no answer within 180 s")
    by_name = examine(**dict.fromkeys(HERE, late))
    slow = [check for check in by_name.values() if check.found == late.reason]
    assert len(slow) == len(HERE) - 1  # nothing is read where its engine gave no answer
    assert {check.fix for check in slow} == {"try again when this machine is less busy"}
    assert examine(**{READING: late})["reading"].fix == "try again when this machine is less busy"


def test_a_broken_package_is_a_warning_on_every_board(examine: Any) -> None:
    by_name = examine("VM", Path("plates.onnx"), **dict.fromkeys(NOTHING, BROKEN))
    assert {name: check.status for name, check in by_name.items() if check.status != "ok"} == {
        **dict.fromkeys(("opencv", "litert", "tensorrt", "pycuda", "gpu", "watch"), "warn"),
        **dict.fromkeys(("onnxruntime", "reading"), "fail"),
    }
    assert by_name["litert"].found == "it does not start"
    assert by_name["reading"].found == "plates.onnx needs onnxruntime: see above"


@pytest.mark.parametrize(
    ("facts", "trial", "fix"),
    [
        ({}, ABSENT, "pip install 'edge-crnn[litert]'"),
        ({}, BROKEN, "pip install --force-reinstall ai-edge-litert"),
        ({"python_bits": 32}, ABSENT, "install a 64-bit system"),
        ({"os_id": "alpine"}, ABSENT, "use a system with glibc"),
    ],
)
def test_how_to_install_litert(
    facts: dict[str, Any], trial: Trial, fix: str, examine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/pi/env")  # an environment of its own
    assert examine("Pi 5", facts=facts, litert=trial)["litert"].fix.startswith(fix)


def test_a_system_that_manages_its_python_wants_an_environment(
    examine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEP 668."""
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(software.sysconfig, "get_path", lambda name: str(tmp_path))
    assert examine("Pi 5", litert=ABSENT)["litert"].fix == "pip install 'edge-crnn[litert]'"
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    assert examine("Pi 5", litert=ABSENT)["litert"].fix == (
        "python3 -m venv --system-site-packages env && env/bin/pip install 'edge-crnn[litert]'"
    )


@pytest.mark.parametrize(
    ("cv2", "name", "status", "description", "fix"),
    [
        (ABSENT, "Pi 5", "warn", "not installed: arrays can be read, files cannot", "opencv]"),
        (Trial("broken", reason="libGL.so.1: no"), "VM", "warn", "libGL.so.1: no", "pip uninstall opencv-python && "),
        (Trial("broken", reason="_ARRAY_API"), "VM", "warn", "_ARRAY_API", "-U opencv-python-headless"),
        (
            Trial("works", {"version": "4.8.0", "gui": "GTK3", "gstreamer": "YES (1.20.3)"}),
            *("Orin Nano", "ok", "4.8.0, GTK3, with GStreamer", None),
        ),
        (
            Trial("works", {"version": "5.0.0", "gui": "QT5", "gstreamer": "NO"}),
            *("Orin Nano", "warn", "5.0.0, QT5, without GStreamer", "sudo apt install python3-opencv"),
        ),
        (
            Trial("works", {"version": "5.0.0", "gui": "", "gstreamer": ""}),
            *("Pi 5", "ok", "5.0.0, headless, without GStreamer", None),
        ),
    ],
)
def test_opencv(cv2: Trial, name: str, status: str, description: str, fix: str | None, examine: Any) -> None:
    check = examine(name, cv2=cv2)["opencv"]
    assert (check.status, check.found) == (status, description)
    assert (check.fix is None) if fix is None else (fix in check.fix)


@pytest.mark.parametrize(
    ("pythons", "fix"),
    [
        ((), "sudo apt install python3-libnvinfer"),
        (("3.99",), "JetPack's TensorRT needs another Python: python3.99 -m venv --system-site-packages env"),
        (("3.99", f"3.{sys.version_info.minor}"), "python3 -m venv --system-site-packages env"),
        (("3",), "python3 -m venv --system-site-packages env"),
    ],
)
def test_how_to_get_tensorrt_on_a_jetson(pythons: tuple[str, ...], fix: str, examine: Any, tmp_path: Path) -> None:
    for version in pythons:
        (tmp_path / "Orin Nano" / f"usr/lib/python{version}/dist-packages/tensorrt").mkdir(parents=True)
    check = examine("Orin Nano", tensorrt=ABSENT)["tensorrt"]
    assert (check.status, check.fix) == ("warn", fix)


def test_other_reasons_of_tensorrt(examine: Any) -> None:
    assert "--reinstall python3-libnvinfer" in examine("Thor", tensorrt=BROKEN)["tensorrt"].fix
    assert examine("VM", Path("plates.engine"), tensorrt=ABSENT)["tensorrt"].fix.endswith("pip install tensorrt")


def test_the_driver_s_own_words_on_a_jetson(examine: Any) -> None:
    check = examine(
        "Orin Nano", gpu=Trial("broken", reason="no GPU can be used (CUDA error 100); does tegrastats see one?")
    )["gpu"]
    assert check == Check("gpu", "warn", "no GPU can be used (CUDA error 100)", "does tegrastats see one?")


@pytest.mark.parametrize(("version", "status"), [((3, 9), "warn"), ((3, 10), "ok"), ((3, 13), "ok"), ((3, 14), "warn")])
def test_pythons(version: tuple[int, int], status: str, examine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Version(tuple[int, int]):
        major, minor = version

    monkeypatch.setattr(sys, "version_info", Version(version))
    check = examine()["python"]
    assert check.status == status
    assert (check.fix is None) == (status == "ok")


def test_a_python_without_its_lock(examine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software.sysconfig, "get_config_var", lambda name: {"Py_GIL_DISABLED": 1}[name])
    check = examine()["python"]
    assert check.status == "warn"
    assert check.found.endswith(", free-threaded")


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.23.5", "warn"), ("1.24.0", "ok"), ("1.24", "ok"), ("2.0.0rc1", "ok"), ("3.1.dev0", "ok")],
)
def test_numpys(version: str, status: str, examine: Any) -> None:
    assert examine(numpy=Trial("works", {"version": version}))["numpy"].status == status


def reading(**facts: object) -> Trial:
    return Trial("works", {**HERE[READING].facts, **facts})


@pytest.mark.parametrize(
    ("trial", "problem", "fix"),
    [
        (
            reading(label="H77dk9307"),
            "reads H77dk9307 in an image of the plate H77dk9304; ai_edge_litert",
            "another version",
        ),
        (reading(label=""), "reads nothing in an image", "another version"),
        (reading(finite=False), "plates-int8.tflite gives invalid numbers", "convert the model again"),
        (Trial("broken", reason="a: XNNPACK did not; Is /sys mounted?"), "a: XNNPACK did not", "Is /sys mounted?"),
        (Trial("broken", reason="it ends the process (segmentation fault)"), "it ends the process", None),
    ],
)
def test_readings_that_fail(trial: Trial, problem: str, fix: str | None, examine: Any) -> None:
    check = examine(reading=trial)["reading"]
    assert check.status == "fail"
    assert problem in check.found
    assert (check.fix is None) if fix is None else (fix in check.fix)


def test_a_model_of_one_s_own_may_read_anything_in_a_plate(examine: Any) -> None:
    check = examine(model=Path("digits.tflite"), reading=reading(label="7"))["reading"]
    assert (check.status, check.found[:22]) == ("ok", "digits.tflite runs, ab")


@pytest.mark.parametrize(
    ("ms", "description"), [(0.234, "0.2 ms"), (9.94, "9.9 ms"), (163.4, "163 ms"), (20_123.0, "20,123 ms")]
)
def test_the_time_of_a_reading(ms: float, description: str, examine: Any) -> None:
    assert f"correctly, about {description};" in examine(reading=reading(ms=ms))["reading"].found


def test_what_watching_needs(examine: Any) -> None:
    absent = examine(watch=ABSENT)["watch"]
    assert absent.status == "absent"
    assert "edge-crnn[watch]" in absent.found
    assert examine(watch=BROKEN)["watch"] == Check(
        "watch", "warn", BROKEN.reason, software._install("--force-reinstall av")
    )
    partial = examine(watch=Trial("works", {"version": "18.1.0", "missing": ["paho-mqtt"]}))["watch"]
    assert (partial.status, partial.found) == ("warn", "PyAV 18.1.0, without paho-mqtt")


def test_cameras_that_this_user_may_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(software._cameras(tmp_path)) == []
    (tmp_path / "dev").mkdir()
    for name in ("video0", "video1"):
        (tmp_path / "dev" / name).touch()
    assert list(software._cameras(tmp_path)) == [Check("camera", "ok", "/dev/video0, /dev/video1")]
    monkeypatch.setattr(software.os, "access", lambda path, mode: path.name != "video1")
    (check,) = software._cameras(tmp_path)
    assert check.status == "warn"
    assert "/dev/video1" in check.found
    assert "/dev/video0" not in check.found
