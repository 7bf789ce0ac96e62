"""A job whose driver or readers are killed at random moments, and that is started again, reads every image once."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.edge_crnn.scale.killed import check_rows, children, start, write_images

IMAGES = 400
SECONDS = 0.002
"""Time for reading an image."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path / "in", IMAGES)


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the children of a process are listed in /proc")
@pytest.mark.parametrize("victim", ["driver", "reader"])
def test_every_image_is_read_once(folder: Path, tmp_path: Path, victim: str) -> None:
    output = tmp_path / "out"
    chance = random.Random(victim)
    kills = 0
    for _ in range(40):
        process = start(folder, output, SECONDS)
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
    check_rows(output, IMAGES)


@pytest.mark.thorough
def test_readers_end_with_their_driver(folder: Path, tmp_path: Path) -> None:
    process = start(folder, tmp_path / "out", SECONDS)
    deadline = time.monotonic() + 60
    while not (readers := children(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert readers
    while any(Path(f"/proc/{reader}").exists() for reader in readers) and time.monotonic() < deadline + 60:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{reader}").exists() for reader in readers)
