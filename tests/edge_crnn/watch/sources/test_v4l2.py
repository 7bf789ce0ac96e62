"""The device is fake: PyAV reads a file instead. What PyAV is asked for is real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_crnn.errors import SourceError
from edge_crnn.watch.sources.v4l2 import V4l2Source
from tests.edge_crnn.watch.sources.videos import av, write_video


@pytest.fixture
def fake_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let PyAV read a file instead of a device that has no JPEG; return what it was asked for."""
    video = write_video(tmp_path / "v.mkv", codec="mjpeg")
    asked: list[dict[str, Any]] = []
    really_open = av.open

    def fake_open(file: str, **arguments: Any) -> Any:
        asked.append({"file": file, **arguments})
        if arguments["options"].get("input_format") == "mjpeg":
            raise av.error.ArgumentError(22, "Invalid argument", file)
        return really_open(str(video))

    monkeypatch.setattr(av, "open", fake_open)
    (tmp_path / "video0").touch()
    return asked


def test_jpeg_is_preferred(tmp_path: Path, fake_device: list[dict[str, Any]]) -> None:
    source = V4l2Source(str(tmp_path / "video0"), size=(1280, 720))
    source.open()
    content = source.read()
    assert content is not None
    assert content[0].shape == (48, 64, 3)
    assert content[1] is None
    source.close()
    assert [asked["format"] for asked in fake_device] == ["v4l2", "v4l2"]
    assert [asked["options"].get("input_format") for asked in fake_device] == ["mjpeg", None]
    assert {asked["options"]["video_size"] for asked in fake_device} == {"1280x720"}


def test_a_camera_that_is_unplugged_is_a_failure(tmp_path: Path, fake_device: list[dict[str, Any]]) -> None:
    source = V4l2Source(str(tmp_path / "video0"))
    source.open()
    for _ in range(20):
        source.read()
    with pytest.raises(SourceError, match="ended"):
        source.read()


def test_no_device() -> None:
    with pytest.raises(SourceError, match="no such device"):
        V4l2Source("/dev/video-none").open()


def test_what_is_no_camera_is_refused() -> None:
    with pytest.raises(SourceError, match="/dev/null"):
        V4l2Source("/dev/null").open()
