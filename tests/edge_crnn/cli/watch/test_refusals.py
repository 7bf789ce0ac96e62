"""A command that is refused leaves everything as it was, whatever it is refused for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_crnn.cli.main import main
from edge_crnn.cli.sinks import WEBHOOK_TOKEN
from edge_crnn.watch.sinks.lines import LineFile
from tests.edge_crnn.watch.sources.videos import write_video

WRITTEN = ["--hash-key", "key", "--lines", "events.jsonl", "--snapshots", "some/shots"]
WRITTEN_WITH_PAGE = ["--page", "--port", "0", "--token-file", "token", "--lines", "e.jsonl", "--snapshots", "shots"]

USAGE = [
    (["--region", "gate"], "region"),
    (["--region", "gate: 0,0 2,2 1,1"], "region"),
    (["--line", "0,0"], "line"),
    (["--mqtt", "http://broker"], "mqtt"),
    (["--frigate", "mqtt://me:secret@broker"], "credentials"),
    (["--webhook", "ftp://server"], "http"),
    (["--leave-after", "30"], "duration"),
    (["--config", "wrong.toml"], "leave-before"),
    (["--region", "a: 0,0 1,0 1,1", "--region", "a: 0,0 1,0 1,1"], "regions"),
]
FAILURES = [
    (["--allow", "missing.txt"], "missing.txt"),
    (["--block", "text.txt"], "text.txt"),
    (["--detector", "missing.onnx"], "missing.onnx"),
    (["--model", "missing.tflite"], "missing.tflite"),
    (["--mqtt", "mqtt://127.0.0.1:1", "--credentials", "missing.json"], "missing.json"),
    (["--mqtt", "mqtt://127.0.0.1:1", "--credentials", "other.json"], "user"),
    (["--mqtt", "mqtts://127.0.0.1:1", "--credentials", "ca.json"], "certificates"),
    (["--webhook", "http://127.0.0.1:1/"], "token"),
    (["--lines", "missing/events.jsonl"], "missing"),
    (["--lines", "text.txt"], "text.txt"),
    (["--lines", "locked.jsonl"], "locked"),
    (["--snapshots", "text.txt"], "text.txt"),
    (["--snapshots", "text.txt/shots"], "text.txt"),
    (["--config", "missing.toml"], "missing.toml"),
    (["--regions", "text.txt"], "text.txt"),
]
FAILURES_WITH_KEY = [
    (["--hash-key", "text.txt"], "chmod"),
    (["--hash-key", "missing/key"], "missing"),
]
FAILURES_WITH_PAGE = [
    (["--token-file", "text.txt"], "chmod"),
    (["--token-file", "missing/token"], "missing"),
    (["--regions", "missing/regions.json"], "missing"),
    (["--host", "192.0.2.1", "--token-file", "token"], "192.0.2.1"),
]
CASES = [
    *((2, [*WRITTEN, *words], problem) for words, problem in USAGE),
    *((1, [*WRITTEN, *words], problem) for words, problem in (*FAILURES, *FAILURES_WITH_KEY)),
    *((1, [*WRITTEN_WITH_PAGE, *words], problem) for words, problem in FAILURES),
    *((1, [*words, "--page", *WRITTEN[2:]], problem) for words, problem in FAILURES_WITH_PAGE),
    (2, [*WRITTEN, "--page"], "--hash-key"),
    (2, ["--page", "--host", "0.0.0.0", *WRITTEN[2:]], "token"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with files that are not what the options expect."""
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "gate.mp4", 3)
    (tmp_path / "text.txt").write_text("no plate, no key, and no JSON\n")
    (tmp_path / "text.txt").chmod(0o644)
    for name, content in (("ca.json", '{"ca": "missing.pem"}'), ("other.json", '{"user": "gate"}')):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "wrong.toml").write_text('leave-before = "30s"\n')
    (tmp_path / "locked.jsonl").touch()
    monkeypatch.setenv(WEBHOOK_TOKEN, "two words")
    return tmp_path


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return all files, with their content, and all folders."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(("status", "options", "problem"), CASES)
def test_a_refused_command_writes_nothing(
    status: int, options: list[str], problem: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(folder)
    other = LineFile(folder / "locked.jsonl", rotate_bytes=None, rotate_daily=False, keep_s=None)
    assert main(["watch", "gate.mp4", *options]) == status
    other.close()
    error = capsys.readouterr().err
    assert problem in error
    assert "secret" not in error
    assert len(error.removesuffix("See edge-crnn watch --help.\n").splitlines()) == 1
    assert tree(folder) == before


def test_a_recording_that_cannot_be_read_leaves_no_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for source in ("missing.mp4", "text.txt", "$NOTHING", "ftp://camera", ""):
        before = tree(folder)
        assert main(["watch", source, *WRITTEN]) == 1
        assert source in capsys.readouterr().err
        assert tree(folder) == before


def test_a_missing_package_leaves_no_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    before = tree(folder)
    assert main(["watch", "picamera://0", *WRITTEN]) == 1
    assert "picamera2" in capsys.readouterr().err
    assert main(["watch", "gate.mp4", "--mqtt", "mqtt://127.0.0.1:1", *WRITTEN]) == 1
    assert "paho-mqtt" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["watch", "gate.mp4", *WRITTEN_WITH_PAGE]) == 1
    assert "uvicorn" in capsys.readouterr().err
    assert tree(folder) == before


def test_a_source_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch"]) == 2
    assert "SOURCE" in capsys.readouterr().err
