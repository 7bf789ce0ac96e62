"""Memory, files and threads of a process stay as they are, however much it reads.

`make soak` takes more than an hour: a million readings, ten thousand openings, and a day of a service at ten images a
second, in an hour. Otherwise a hundredth of that is run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

SCALE = 1.0 if os.environ.get("SOAK") == "full" else 0.01
READINGS = int(1_000_000 * SCALE)
OPENINGS = int(10_000 * SCALE)
DAY_OF_IMAGES = int(864_000 * SCALE)
HOUR_S = 3600 * SCALE

ALLOWED_GROWTH_KB = 3 << 10
"""Noise of the allocator; a leak of 8 bytes a reading would be 8 MB in a whole run."""
JOURNAL_BYTES_PER_LINE = 8
"""The digest by which a service recognises an image that it has read."""

USE_READER = """
import sys
from itertools import cycle
from pathlib import Path

from edge_crnn import open_reader

model, folder, times, report_every = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
images = cycle(sorted(folder.iterdir()))
reader = open_reader(model)
for number in range(1, times + 1):
    if {reopens}:
        reader.close()
        reader = open_reader(model)
    reader.read(next(images))
    if number % report_every == 0:
        print(number, flush=True)
        sys.stdin.readline()
"""


@dataclass(frozen=True)
class Use:
    """The memory, files and threads of a process at one time."""

    memory_kb: int
    files: int
    threads: int


def use_of(process: int) -> Use:
    """Read the memory, files and threads of a process from /proc."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    files = len(list(Path(f"/proc/{process}/fd").iterdir()))
    return Use(int(fields["VmRSS"].split()[0]), files, int(fields["Threads"]))


def check_flat(uses: list[Use], allowed_kb: int = ALLOWED_GROWTH_KB) -> None:
    """Assert that a process uses no more at the end than after its first tenth."""
    start = uses[len(uses) // 10]
    end = uses[-1]
    print(f"{len(uses)} looks; after a tenth {start}; at the end {end}")  # noqa: T201
    assert end.memory_kb - start.memory_kb <= allowed_kb, uses
    assert end.files <= start.files, uses
    assert end.threads <= start.threads, uses


@pytest.fixture
def pictures(tiny_pictures: list[np.ndarray], tmp_path: Path) -> Path:
    """A folder of eight images."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, picture in enumerate(tiny_pictures):
        (folder / f"{index}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return folder


@pytest.mark.parametrize(("times", "reopens"), [(READINGS, False), (OPENINGS, True)], ids=["readings", "openings"])
def test_reader(times: int, reopens: bool, tiny_artifact: Path, pictures: Path) -> None:
    looks = 50
    code = USE_READER.format(reopens=reopens)
    command = [sys.executable, "-c", code, str(tiny_artifact), str(pictures), str(times), str(times // looks)]
    uses = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in process.stdout:
            uses.append(use_of(process.pid))
            process.stdin.write("\n")
    assert process.returncode == 0
    assert len(uses) == looks
    check_flat(uses)


def test_service(tiny_artifact: Path, pictures: Path, tmp_path: Path, tiny_labels: list[str]) -> None:
    """Images arrive all day, each for as long as it is not read; some are damaged."""
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    journal = tmp_path / "readings.jsonl"
    files = [path.read_bytes() for path in sorted(pictures.iterdir())]
    damaged = files[0][:-20]
    command = [
        *(sys.executable, "-m", "edge_crnn", "serve-folder", str(incoming), "-o", str(journal)),
        "--workers",
        "1",
    ]
    command += ["--interval", "0.2", "--model", str(tiny_artifact)]
    begun = time.monotonic()
    uses = []
    sent = 0
    lines = count()
    part = ""
    read: dict[str, str | None] = {}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, _wait_for(journal).open() as output:
        while len(read) < DAY_OF_IMAGES:
            due = min(int((time.monotonic() - begun) / HOUR_S * DAY_OF_IMAGES), DAY_OF_IMAGES)
            for number in range(sent, min(due, sent + 500, len(read) + 2000)):
                sent = number + 1
                hidden = incoming / f".{number}"
                hidden.write_bytes(damaged if number % 1000 == 999 else files[number % 8])
                hidden.rename(incoming / f"{number}.png")
            part += output.read()
            *complete, part = part.split("\n")
            for line in complete:
                record = json.loads(line)
                name = Path(record["image"]).name
                assert name not in read
                read[name] = record.get("label")
                (incoming / name).unlink()
                if next(lines) % (DAY_OF_IMAGES // 100) == 0:
                    uses.append(use_of(process.pid))
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    wrong = [
        name
        for name, label in read.items()
        if label != (None if int(name[:-4]) % 1000 == 999 else tiny_labels[int(name[:-4]) % 8])
    ]
    assert wrong == []
    check_flat(uses, ALLOWED_GROWTH_KB + JOURNAL_BYTES_PER_LINE * DAY_OF_IMAGES // 1024)


def _wait_for(path: Path) -> Path:
    ends_at = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < ends_at, f"{path} is not there"
        time.sleep(0.05)
    return path
