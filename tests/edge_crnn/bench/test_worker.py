from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from edge_crnn.bench import worker as module
from edge_crnn.bench.session import WARM_UP
from edge_crnn.bench.worker import Worker
from edge_crnn.errors import ArtifactError, BackendError, ImageError
from edge_crnn.reader import DEFAULT_MODEL
from edge_crnn.records.bench import Scenario

pytestmark = pytest.mark.thorough

_PLATE = Path(__file__).parents[3] / "samples" / "plates" / "J23dk4123.jpg"


def test_the_shipped_model_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_LOOK_S", 0.0)
    worker = Worker(DEFAULT_MODEL, [_PLATE], control=True)
    looks: list[int] = []
    try:
        opened = worker.opened
        played = worker.play(Scenario("single", 1, 2), lambda: looks.append(worker.pid))
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(BackendError, match=r"plates-int8\.tflite: the process .* ended with exit code -9"):
            worker.play(Scenario("single", 1, 2), lambda: None)
    finally:
        worker.close()
    assert opened.control
    assert opened.load_ns > 0
    assert len(opened.warm_up_ns) == WARM_UP
    assert opened.rss_before_bytes is not None
    assert opened.rss_bytes is not None
    assert opened.rss_bytes > opened.rss_before_bytes + opened.file_bytes
    assert {stage: len(times) for stage, times in played.stages.items()} == dict.fromkeys(
        ("load", "preprocess", "infer", "decode"), 2
    )
    assert all(min(times) > 0 for times in played.stages.values())
    assert looks
    assert worker.pid != os.getpid()
    assert not worker._process.is_alive()


def test_errors_of_the_process_are_raised_here(tmp_path: Path) -> None:
    shutil.copy(DEFAULT_MODEL, tmp_path / "changed.tflite")
    with (tmp_path / "changed.tflite").open("r+b") as file:
        file.seek(5000)
        file.write(b"changed")
    with pytest.raises(ArtifactError, match="damaged or was changed"):
        Worker(tmp_path / "changed.tflite", [_PLATE])


def test_an_image_that_vanishes_is_an_error(tmp_path: Path) -> None:
    plate = shutil.copy(_PLATE, tmp_path / "plate.jpg")
    worker = Worker(DEFAULT_MODEL, [plate])
    plate.unlink()
    with pytest.raises(ImageError, match=r"plate\.jpg: cannot be read"):
        worker.play(Scenario("single", 1, 2), lambda: None)
    worker.close()
    assert not worker._process.is_alive()
