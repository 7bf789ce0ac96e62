"""A job whose driver or readers are killed at random moments, and that is started again, reads every image once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.edge_crnn.scale.stub import rows

ROOT = Path(__file__).parents[3]
IMAGES = 400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(IMAGES):
        (folder / f"{number:04d}.png").write_bytes(b"broken" if number % 50 == 7 else f"text {number}".encode())
    return folder


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def check(output: Path) -> None:
    found = rows(output)
    assert [row["image"].rpartition("/")[2] for row in found] == [f"{number:04d}.png" for number in range(IMAGES)]
    for number, row in enumerate(found):
        is_broken = number % 50 == 7
        assert row["text"] == (None if is_broken else f"text {number}")
        assert (row["error"] is not None) == is_broken


def start(folder: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.edge_crnn.scale.stub", str(folder), str(output), "2", "0.002"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the children of a process are listed in /proc")
@pytest.mark.parametrize("victim", ["driver", "reader"])
def test_every_image_is_read_once(folder: Path, tmp_path: Path, victim: str) -> None:
    output = tmp_path / "out"
    chance = random.Random(victim)
    kills = 0
    for _ in range(40):
        process = start(folder, output)
        while process.poll() is None and kills < 5:
            time.sleep(chance.uniform(0, 0.6))
            target = [process.pid] if victim == "driver" else children(process.pid)
            if target and process.poll() is None:
                os.kill(chance.choice(target), signal.SIGKILL)
                kills += 1
        _, errors = process.communicate(timeout=300)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL or b"ended before they could read" in errors, errors.decode()
    else:
        pytest.fail("the job is never done")
    assert kills
    check(output)
    assert not [path for path in output.iterdir() if path.name.endswith(".partial")]


@pytest.mark.thorough
def test_readers_end_with_their_driver(folder: Path, tmp_path: Path) -> None:
    process = start(folder, tmp_path / "out")
    deadline = time.monotonic() + 60
    while not (readers := children(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert readers
    while any(Path(f"/proc/{reader}").exists() for reader in readers) and time.monotonic() < deadline + 60:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{reader}").exists() for reader in readers)
