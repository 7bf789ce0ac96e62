"""However the command ends, what is written is complete."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.edge_crnn.cli.watch.conftest import Recording
from tests.edge_crnn.cli.watch.running import PATIENCE_S, kinds, read_until, silent_server, watching

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process there"),
]


@contextmanager
def delivering(recording: Recording, lines: Path) -> Iterator[tuple[subprocess.Popen[str], list[dict[str, Any]]]]:
    """Yield a command whose recording has ended, but whose webhook does not answer, and the events that it printed."""
    options = ("--format", "jsonl", "--lines", lines)
    with silent_server() as url, watching(recording.path, *options, "--webhook", url) as process:
        printed = read_until(process, "end")
        time.sleep(0.2)
        yield process, printed


def test_sigterm_ends_open_passages(frames: Path, tmp_path: Path) -> None:
    lines = tmp_path / "events.jsonl"
    with watching(frames, "--format", "jsonl", "--lines", lines) as process:
        printed = read_until(process, "new")
        process.send_signal(signal.SIGTERM)
        printed += read_until(process, "end")
        assert process.wait(PATIENCE_S) == 0
    assert kinds(lines) == [event["kind"] for event in printed]


def test_sigterm_after_the_end_of_a_recording_lets_the_sinks_finish(recording: Recording, tmp_path: Path) -> None:
    lines = tmp_path / "events.jsonl"
    with delivering(recording, lines) as (process, printed):
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert kinds(lines) == [event["kind"] for event in printed]
    assert "not delivered" in errors


def test_a_second_signal_gives_up_waiting_and_keeps_every_line(recording: Recording, tmp_path: Path) -> None:
    lines = tmp_path / "events.jsonl"
    with delivering(recording, lines) as (process, printed):
        begin = time.monotonic()
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
            time.sleep(0.1)
        _, errors = process.communicate(timeout=PATIENCE_S)
        seconds = time.monotonic() - begin
    assert process.returncode == 130
    assert "not delivered" in errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert kinds(lines) == [event["kind"] for event in printed]
    assert seconds < 4.5  # without the second signal, it waits for 5


def test_a_closed_pipe_does_not_stop_the_other_sinks(recording: Recording, tmp_path: Path) -> None:
    lines = tmp_path / "events.jsonl"
    with watching(recording.path, "--format", "jsonl", "--lines", lines) as process:
        read_until(process, "new")
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "standard output" in errors
    assert len(errors.splitlines()) == 1
    assert [kinds(lines)[0], kinds(lines)[-1]] == ["new", "end"]


def test_a_closed_pipe_ends_a_command_without_other_sinks(recording: Recording) -> None:
    with watching(recording.path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 141
    assert errors == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output_does_not_stop_the_other_sinks(recording: Recording, tmp_path: Path) -> None:
    lines = tmp_path / "events.jsonl"
    with Path("/dev/full").open("w") as full, watching(recording.path, "--lines", lines, stdout=full) as process:
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "make room" in errors
    assert len(errors.splitlines()) == 1
    assert [kinds(lines)[0], kinds(lines)[-1]] == ["new", "end"]
