"""Watches and ends serve-folder in a process."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 120


def until(happens: Callable[[], object]) -> None:
    late = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < late, "nothing happened"
        time.sleep(0.005)


Start = Callable[..., "subprocess.Popen[str]"]


def readings(output: Path) -> list[dict[str, object]]:
    data = output.read_bytes() if output.exists() else b""
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def names(output: Path) -> list[str]:
    return [Path(str(reading["image"])).name for reading in readings(output)]


def end(process: subprocess.Popen[str], by: signal.Signals | None = None) -> tuple[int, str]:
    if by is not None:
        process.send_signal(by)
    _, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, errors
