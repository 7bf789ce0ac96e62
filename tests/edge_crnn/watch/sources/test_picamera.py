"""picamera2 is fake: it needs a Raspberry Pi."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edge_crnn.errors import BackendUnavailable, SourceError
from edge_crnn.watch.sources import picamera
from edge_crnn.watch.sources.picamera import PicameraSource


class FakePicamera2:
    made = 0

    def __init__(self, number: int) -> None:
        if number > 0:
            raise IndexError("list index out of range")
        type(self).made += 1
        self.is_started = False
        self.is_silent = False

    def create_video_configuration(self, **arguments: Any) -> dict[str, Any]:
        return arguments

    def configure(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration

    def start(self) -> None:
        self.is_started = True

    def stop(self) -> None:
        self.is_started = False

    def capture_array(self, name: str, wait: bool, signal_function: Callable[[object], None]) -> None:
        assert self.is_started
        assert not wait
        if not self.is_silent:
            signal_function("job")

    def wait(self, job: object) -> Any:
        width, height = self.configuration["main"]["size"]
        return np.zeros((height, width, 3), np.uint8)


@pytest.fixture(autouse=True)
def fake_picamera2(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("picamera2")
    module.Picamera2 = FakePicamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setattr(picamera, "_cameras", {})
    FakePicamera2.made = 0


def test_the_camera_is_made_once() -> None:
    for size in ((640, 480), (1280, 720)):
        source = PicameraSource(0, size=size, rate=10)
        for _ in range(3):
            source.open()
            content = source.read()
            assert content is not None
            assert content[0].shape == (size[1], size[0], 3)
            source.close()
    assert FakePicamera2.made == 1
    camera = picamera._cameras[0]
    assert not camera.is_started
    assert camera.configuration["main"]["format"] == "RGB888"
    assert camera.configuration["controls"] == {"FrameRate": 10}


def test_a_camera_that_gives_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picamera, "READ_S", 0.05)
    source = PicameraSource()
    source.open()
    picamera._cameras[0].is_silent = True
    with pytest.raises(SourceError, match="no frame"):
        source.read()


def test_no_camera() -> None:
    with pytest.raises(SourceError, match="picamera://3"):
        PicameraSource(3).open()


def test_without_picamera2_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(BackendUnavailable, match="python3-picamera2"):
        PicameraSource().open()
