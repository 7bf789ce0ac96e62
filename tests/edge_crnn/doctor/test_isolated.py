from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_crnn.doctor.isolated import attempt_all
from edge_crnn.doctor.trials import READING, SAMPLE, TRIALS, Trial, attempt
from edge_crnn.reader import DEFAULT_MODEL
from tests.edge_crnn.doctor.stubs import ABSENT, stub

pytestmark = pytest.mark.thorough

NAMES = ["numpy", "cv2", "onnxruntime"]


def test_what_is_here() -> None:
    pytest.importorskip("ai_edge_litert")
    trials = attempt_all([*TRIALS, READING], DEFAULT_MODEL)
    assert list(trials) == [*TRIALS, READING]
    assert trials["numpy"].state == trials["litert"].state == trials[READING].state == "works"
    assert trials["numpy"].facts["version"][0].isdigit()
    assert trials["litert"].facts["engine"].startswith("ai_edge_litert ")
    reading = trials[READING].facts
    assert reading["label"] == SAMPLE.stem
    assert reading["finite"]
    assert reading["ms"] > 0
    assert any("XNNPACK took the graph" in note for note in reading["notes"])


def test_the_sample_is_a_plate_of_the_samples() -> None:
    """The sample is grey, so that it can be read without OpenCV."""
    from edge_crnn.images import load_image
    from edge_crnn.preprocess import to_grey

    pytest.importorskip("cv2")
    pixels = to_grey(load_image(Path(__file__).parents[3] / "samples" / "plates" / f"{SAMPLE.stem}.jpg"))
    height, width = pixels.shape
    assert SAMPLE.read_bytes() == f"P5\n{width} {height}\n255\n".encode() + pixels.tobytes()


def test_build_settings_of_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    facts = attempt("cv2", DEFAULT_MODEL).facts
    assert facts["version"] == cv2.__version__
    assert facts["gui"]
    assert facts["gstreamer"].split()[0] in ("YES", "NO")


ENDS = {
    "another processor": ("import os; os.kill(os.getpid(), 4)", "illegal instruction: it was built for another"),
    "a crash": ("import os; os.kill(os.getpid(), 11)", "segmentation fault"),
    "out of memory": ("import os; os.kill(os.getpid(), 9)", "killed, perhaps because memory ran out"),
    "another signal": ("import os; os.kill(os.getpid(), 1)", "it ends the process (SIGHUP)"),
    "an end with a word": (
        "import os; os.write(2, b'no  licence\\n\\n'); os._exit(3)",
        "ends the process (no  licence)",
    ),
    "an end without": ("import os; os._exit(3)", "it ends the process (exit status 3)"),
    "an unusual error": ("raise KeyError('ABI')", "KeyError: 'ABI'"),
    "a usual error": ("raise ImportError('libGL.so.1: no such file')", "libGL.so.1: no such file"),
    "half of it": ("import no_such_part", "No module named 'no_such_part'"),
    "another one's error": ("raise ValueError('numpy.dtype size\\n changed')", "numpy.dtype size changed"),
}


@pytest.mark.parametrize(("code", "reason"), ENDS.values(), ids=ENDS)
def test_a_trial_that_ends_its_process_ends_nothing_else(
    code: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(tmp_path, "cv2", code)
    stub(tmp_path, "onnxruntime", "__version__ = '1'\ndef get_available_providers(): return []")
    monkeypatch.syspath_prepend(tmp_path)
    trials = attempt_all(NAMES, DEFAULT_MODEL)
    assert [trials[name].state for name in NAMES] == ["works", "broken", "works"]
    assert reason in trials["cv2"].reason


def test_a_trial_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(tmp_path, "cv2", "import time; time.sleep(600)")
    monkeypatch.syspath_prepend(tmp_path)
    assert attempt_all(["cv2"], DEFAULT_MODEL, patience_s=0.1) == {"cv2": Trial("broken", {}, "no answer within 0 s")}


def test_chatter_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(tmp_path, "cv2", "import os; print('hello', flush=True); os.write(1, b'hello'); raise ImportError('x')")
    monkeypatch.syspath_prepend(tmp_path)
    assert attempt_all(["cv2"], DEFAULT_MODEL) == {"cv2": Trial("broken", {}, "x")}


def test_trials_run_here_if_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    trials = attempt_all(["numpy"], DEFAULT_MODEL)
    assert trials["numpy"].state == "works"


@pytest.mark.parametrize("name", ["cv2", "litert", "onnxruntime", "tensorrt", "pycuda"])
def test_a_package_that_is_not_installed_is_absent(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ABSENT:
        stub(tmp_path, package)
    monkeypatch.syspath_prepend(tmp_path)
    assert attempt_all([name], DEFAULT_MODEL)[name].state == "absent"


def test_an_engine_that_is_not_installed_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ABSENT:
        stub(tmp_path, package)
    monkeypatch.syspath_prepend(tmp_path)
    trial = attempt_all([READING], DEFAULT_MODEL)[READING]
    assert trial.state == "broken"
    assert "none of ai_edge_litert, tflite_runtime, tensorflow is installed" in trial.reason


def test_tensorrt_that_is_there_and_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(tmp_path, "tensorrt", "raise ImportError('libnvinfer.so.10: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    trial = attempt_all(["tensorrt"], DEFAULT_MODEL)["tensorrt"]
    assert trial.state == "broken"
    assert "libnvinfer.so.10" in trial.reason


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    trial = attempt_all([READING], tmp_path / "none.tflite")[READING]
    assert trial.state == "broken"
    assert "none.tflite: cannot be read (No such file or directory); name a converted model" in trial.reason
