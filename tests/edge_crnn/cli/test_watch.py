from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.watch.scenes import as_video, passage
from edge_crnn.cli.main import main
from edge_crnn.cli.watch import duration, size

pytest.importorskip("av", reason="PyAV comes with edge-crnn[watch]")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a video of one vehicle, and its plate."""
    pytest.importorskip("koreanize_matplotlib", reason="its fonts render the plate")
    path = tmp_path_factory.mktemp("recording") / "gate.mp4"
    scene = passage(3, "day", rate=8, vehicles=1)
    as_video(scene, path)
    return path, scene.vehicles[0].text


@pytest.mark.thorough
def test_a_vehicle_is_reported_once_everywhere(
    recording: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, text = recording
    words = ["watch", str(path), "--format", "jsonl", "--lines", str(tmp_path / "events.jsonl"), "--camera", "gate"]
    assert main([*words, "--snapshots", str(tmp_path / "shots"), "--keep", "24h"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["kind"] for event in printed if event["kind"] != "update"] == ["new", "end"]
    assert {event["text"] for event in printed} == {text}
    assert len({event["identity"] for event in printed}) == 1
    stored = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text("utf-8").splitlines()]
    assert [event["kind"] for event in stored] == [event["kind"] for event in printed]
    assert len(list((tmp_path / "shots").rglob("*.jpg"))) == 1


@pytest.mark.thorough
def test_hashes_leave_no_plate_anywhere(
    recording: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, text = recording
    words = ["watch", str(path), "--lines", str(tmp_path / "events.jsonl"), "--hash-key", str(tmp_path / "key")]
    assert main(words) == 0
    stored = (tmp_path / "events.jsonl").read_text("utf-8")
    assert stored
    assert text not in stored + capsys.readouterr().out


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process there")
def test_sigterm_ends_open_passages(recording: tuple[Path, str], tmp_path: Path) -> None:
    """The camera is a recording that is played slowly: frames in a folder, one per second."""
    import av
    import cv2

    frames = tmp_path / "frames"
    frames.mkdir()
    with av.open(str(recording[0])) as video:
        for number, frame in enumerate(video.decode(video=0)):
            cv2.imwrite(str(frames / f"{number:04d}.jpg"), frame.to_ndarray(format="bgr24"))
    lines = tmp_path / "events.jsonl"
    command = [sys.executable, "-m", "edge_crnn", "watch", str(frames), "--format", "jsonl", "--lines", str(lines)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        rest = [json.loads(line) for line in process.stdout]
        end = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert process.returncode == 0
    assert first["kind"] == "new"
    assert rest[-1]["kind"] == "end"
    assert len(lines.read_text("utf-8").splitlines()) == 1 + len(rest)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--region", "gate"], "region"),
        (["--line", "0,0"], "line"),
        (["--page", "--hash-key", "key"], "--hash-key"),
        (["--mqtt", "http://broker"], "mqtt"),
        (["--webhook", "ftp://server"], "http"),
        (["--allow", "missing.txt"], "missing.txt"),
    ],
)
def test_wrong_options_are_reported_before_anything_is_written(
    options: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["watch", "gate.mp4", *options]) == 1
    error = capsys.readouterr().err
    assert problem in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_empty_variable_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("CAMERA", raising=False)
    assert main(["watch", "$CAMERA"]) == 1
    assert "CAMERA" in capsys.readouterr().err


def test_a_missing_recording_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "missing.mp4"]) == 1
    assert "missing.mp4" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86400), ("7d", 604800)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "0h", "1.5h", "1w"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="duration"):
        duration(text)


def test_sizes() -> None:
    assert (size("500M"), size("2G")) == (500 << 20, 2 << 30)
    with pytest.raises(argparse.ArgumentTypeError, match="size"):
        size("500")
