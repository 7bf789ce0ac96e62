"""Kills, signals, full disks and a second process; real processes, which are killed."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.edge_crnn.cli.serve_folder.running import PATIENCE_S, Start, end, names, readings, until

pytestmark = pytest.mark.thorough


def test_after_repeated_kills_every_image_has_one_line(
    folder: Path, output: Path, start: Start, files: list[bytes], tiny_labels: list[str]
) -> None:
    total = 400
    for n in range(total // 2):
        (folder / f"{n:03}.png").write_bytes(files[n % 8])
    for kill in range(3):
        before = len(names(output))
        process = start()
        until(lambda before=before: len(names(output)) > before)  # type: ignore[misc]
        for n in range(total // 2 + kill * 60, total // 2 + kill * 60 + 60):  # while it works
            (folder / f"{n:03}.png").write_bytes(files[n % 8])
        assert end(process, signal.SIGKILL)[0] == -signal.SIGKILL
        os.truncate(output, output.stat().st_size - 40 * kill)  # as after a kill during a write
    for n in range(total // 2 + 180, total):
        (folder / f"{n:03}.png").write_bytes(files[n % 8])
    status, errors = end(start("--once"))
    assert status == 0, errors
    assert sorted(names(output)) == [f"{n:03}.png" for n in range(total)]
    for reading in readings(output):
        assert reading["label"] == tiny_labels[int(Path(str(reading["image"])).stem) % 8]
    before = output.read_bytes()
    assert end(start("--once"))[0] == 0
    assert output.read_bytes() == before


ENDED_BY_A_PICTURE = """
import os, signal, sys
from edge_crnn.cli.main import main
how, *words = sys.argv[1:]
reader = sys.modules['edge_crnn.reader.reader']
load = reader.read_image
def deadly(image, name):
    if "deadly" in str(image) or how == "by any":
        if how == "by an exception":
            raise RuntimeError("of an image")
        os.kill(os.getpid(), signal.SIGKILL)
    return load(image, name)
reader.read_image = deadly
sys.exit(main(words))
"""
"""Stands for a decoder that crashes; no such crash is known today."""


@pytest.fixture
def ended(folder: Path, output: Path, tiny_artifact: Path) -> Callable[[str], int]:
    """`ended(HOW)` runs a serve-folder that certain images end, and returns its exit status."""

    def run(how: str) -> int:
        words = ["serve-folder", folder, "-o", output, "--model", tiny_artifact, "--interval", "0.01", "--once"]
        command = [sys.executable, "-c", ENDED_BY_A_PICTURE, how, *words]
        return subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_S).returncode

    return run


@pytest.mark.parametrize(("how", "status"), [("by a kill", -signal.SIGKILL), ("by an exception", 1)])
def test_image_that_kills_the_process_is_skipped__by_a_fake_decoder(
    folder: Path, output: Path, start: Start, files: list[bytes], ended: Callable[[str], int], how: str, status: int
) -> None:
    for n in range(40):
        (folder / f"{n:02}.png").write_bytes(files[n % 8])
    for name in ("10 deadly.png", "11 deadly.png"):
        (folder / name).write_bytes(files[0])
    (folder / "12 none.png").write_bytes(b"no picture")
    for _ in range(3):  # ends once among others, then the first of the two alone, twice
        assert ended(how) == status
    assert 10 <= len(names(output)) < 42  # an image that is read alone has its line at once
    stopped = start()  # an orderly stop keeps the counts
    until(lambda: "which has" in stopped.stderr.readline())  # type: ignore[union-attr]
    assert end(stopped, signal.SIGTERM)[0] == 0
    while len(names(output)) < 43:
        ended(how)
    assert len(set(names(output))) == 43
    errors = {
        Path(str(reading["image"])).name: str(reading["error"]) for reading in readings(output) if "error" in reading
    }
    assert sorted(errors) in (["10 deadly.png", "12 none.png"], ["10 deadly.png", "11 deadly.png", "12 none.png"])
    assert "the process died 3 times while reading it" in errors["10 deadly.png"]
    assert sorted(path.name for path in output.parent.iterdir()) == ["in", "readings.jsonl"]
    (folder / "10 deadly.png").write_bytes(files[1])  # replaced by a file of another size
    assert end(start("--once"))[0] == 0
    assert names(output)[43:] == ["10 deadly.png"]


def test_no_image_is_skipped_if_every_image_kills__by_a_fake_decoder(
    folder: Path, output: Path, start: Start, files: list[bytes], ended: Callable[[str], int]
) -> None:
    (folder / "0.png").write_bytes(files[0])
    for _ in range(4):
        assert ended("by any") == -signal.SIGKILL
    assert end(start("--once"))[0] == 0
    assert "error" not in readings(output)[0]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_between_two_lines(
    folder: Path, output: Path, start: Start, files: list[bytes], by: signal.Signals
) -> None:
    for n in range(200):
        (folder / f"{n:03}.png").write_bytes(files[n % 8])
    process = start("--interval", "5")
    until(lambda: output.exists() and names(output))
    assert end(process, by)[0] == 0
    assert output.read_bytes().endswith(b"}\n")
    assert len(set(names(output))) == len(names(output))


def test_systemd_is_notified(folder: Path, output: Path, start: Start, files: list[bytes], tmp_path: Path) -> None:
    """It is ready once, and sends signs of life in time although it polls the folder only every hour."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)
        process = start("--interval", "3600", NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000")
        status = "STATUS=0 images read, 0 damaged, 0 failed"
        assert manager.recv(999).decode() == f"READY=1\n{status}"
        assert [manager.recv(999).decode() for _ in range(5)] == [f"WATCHDOG=1\n{status}"] * 5
        process.terminate()
        message = manager.recv(999)
        while message.startswith(b"WATCHDOG=1"):
            message = manager.recv(999)
        assert message == b"STOPPING=1"
        assert end(process)[0] == 0


def test_second_process_on_one_output_is_refused(folder: Path, output: Path, start: Start, files: list[bytes]) -> None:
    (folder / "0.png").write_bytes(files[0])
    first = start()
    until(lambda: names(output))
    status, errors = end(start())
    assert status == 1
    assert errors.count("\n") == 1
    assert f"edge-crnn serve-folder: {output}: is locked by another process" in errors
    assert end(first, signal.SIGTERM)[0] == 0
    assert end(start("--once"))[0] == 0


def test_full_disk_is_reported_and_nothing_is_lost(
    folder: Path, output: Path, start: Start, files: list[bytes], tiny_labels: list[str]
) -> None:
    """A file that must not grow beyond 32 KiB fails in the middle of a line, like a full disk."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    for n in range(100):
        (folder / f"{n:03}.png").write_bytes(files[n % 8])
    status, errors = end(start("--once", limit=64))  # blocks of 512 bytes
    assert status == 1
    assert errors.splitlines()[-1].startswith(f"edge-crnn serve-folder: {output}: cannot be written (File too large)")
    assert "Traceback" not in errors
    assert 0 < len(names(output)) < 100
    assert output.read_bytes().endswith(b"}\n")
    assert end(start("--once"))[0] == 0
    assert sorted(names(output)) == [f"{n:03}.png" for n in range(100)]
