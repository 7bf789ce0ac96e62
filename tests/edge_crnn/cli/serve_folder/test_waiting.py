"""Files and folders that are not available yet."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.board import limits
from edge_crnn.cli.main import main
from tests.edge_crnn.cli.serve_folder.running import Start, end, names, readings, until

pytestmark = pytest.mark.thorough

REFUSING = """
import os, sys
from pathlib import Path
from edge_crnn.cli.main import entry
number, *sys.argv[1:] = sys.argv[1:]
read_bytes = Path.read_bytes
def refuse(path):
    if path.suffix == ".png" and not path.stat().st_mode & 0o004:
        raise OSError(int(number), os.strerror(int(number))) if int(number) else MemoryError
    return read_bytes(path)
Path.read_bytes = refuse
entry()
"""
"""A service that cannot read a file until others may read it; the number 0 stands for a MemoryError.

Tests may run as root, for whom modes do not count.
"""


@pytest.fixture
def refused(folder: Path, output: Path, tiny_artifact: Path) -> Iterator[Start]:
    """`refused(number, *words)` starts serve-folder, which is killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def run(number: int, *words: str) -> subprocess.Popen[str]:
        options = ["-o", output, "--model", tiny_artifact, "--interval", "0.02", "--workers", "1", *words]
        command = [sys.executable, "-c", REFUSING, str(number), "serve-folder", folder, *options]
        process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ETXTBSY, errno.ENOMEM, 0])
def test_upload_that_is_not_readable_yet_is_read_later(
    folder: Path, output: Path, refused: Start, files: list[bytes], tiny_labels: list[str], number: int
) -> None:
    """watchdog#882, sarracenia#289: after three attempts it had an error line and was never read again."""
    (folder / "a.png").write_bytes(files[0])
    (folder / "a.png").chmod(0o600)
    before = (folder / "a.png").stat().st_mtime_ns
    process = refused(number)
    assert process.stderr is not None
    until(lambda: "cannot be read yet" in process.stderr.readline())  # type: ignore[union-attr]
    (folder / "b.png").write_bytes(files[1])
    until(lambda: names(output) == ["b.png"])
    time.sleep(0.5)  # more polls than three attempts take
    assert names(output) == ["b.png"]
    (folder / "a.png").chmod(0o644)
    assert (folder / "a.png").stat().st_mtime_ns == before
    until(lambda: names(output) == ["b.png", "a.png"])
    status, errors = end(process, signal.SIGTERM)
    assert status == 0
    assert "cannot be read" not in errors  # it was reported only once
    assert [reading["label"] for reading in readings(output)] == [tiny_labels[1], tiny_labels[0]]


def test_once_leaves_unavailable_images_to_the_next_run(
    folder: Path, output: Path, refused: Start, files: list[bytes]
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).write_bytes(files[0])
    for name in ("a.png", "b.png"):
        (folder / name).chmod(0o600)
    status, errors = end(refused(errno.EACCES, "--once"))
    assert status == 1
    assert errors.count("cannot be read yet (Permission denied)") == 1
    assert "(and 1 other)" in errors
    assert errors.endswith("1 images read, 0 damaged, 0 failed, 2 not available and left to the next run\n")
    assert names(output) == ["c.png"]
    for name in ("a.png", "b.png"):
        (folder / name).chmod(0o644)
    assert end(refused(errno.EACCES, "--once"))[0] == 0
    assert sorted(names(output)) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENOTCONN])
def test_folder_that_is_not_mounted_yet_is_awaited__by_a_fake_error(
    folder: Path,
    output: Path,
    files: list[bytes],
    tiny_artifact: Path,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "0.png").write_bytes(files[0])
    looks = 0
    look = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        nonlocal looks
        if path == folder and looks < 3:
            looks += 1
            raise OSError(number, os.strerror(number))
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    words = ["-o", str(output), "--model", str(tiny_artifact), "--interval", "0.01", "--once"]
    assert main(["serve-folder", str(folder), *words]) == 0
    errors = capsys.readouterr().err
    assert errors.count("cannot be listed") == errors.count("is back") == 1
    assert names(output) == ["0.png"]


@pytest.mark.parametrize("most", [33 << 20, None])
def test_picture_that_can_never_fit_into_the_memory_is_not_awaited(
    folder: Path,
    output: Path,
    files: list[bytes],
    tiny_artifact: Path,
    most: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Lack of memory was taken as temporary, and the image was tried again for ever."""
    (folder / "small.png").write_bytes(files[0])
    (folder / "large.png").write_bytes(cv2.imencode(".png", np.zeros((3000, 4000), np.uint8))[1].tobytes())
    monkeypatch.setattr(limits, "largest_memory", lambda: most)
    words = ["-o", str(output), "--model", str(tiny_artifact), "--interval", "0.01", "--once"]
    assert main(["serve-folder", str(folder), *words]) == (0 if most is None else 1)
    errors = {name: reading.get("error") for name, reading in zip(names(output), readings(output), strict=True)}
    assert errors.keys() == {"small.png", "large.png"}
    assert errors["small.png"] is None
    assert (errors["large.png"] is None) is (most is None)
    assert "waiting for it" not in capsys.readouterr().err
