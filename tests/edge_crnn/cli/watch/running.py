"""Runs `edge-crnn watch` in a process of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

PATIENCE_S = 120


@contextmanager
def watching(*words: object, stdout: int | IO[str] = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """Start it with 4 frames per second, and kill it at the end if it still runs."""
    command = [sys.executable, "-m", "edge_crnn", "watch", "--rate", "4", *map(str, words)]
    with subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], kind: str) -> list[dict[str, Any]]:
    """Read events in the form `jsonl` from standard output, up to the first of a kind."""
    assert process.stdout is not None
    events: list[dict[str, Any]] = []
    while not events or events[-1]["kind"] != kind:
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        events.append(json.loads(line))
    return events


def kinds(path: Path) -> list[str]:
    """Return the kinds of the events in a file of lines, which are all complete."""
    content = path.read_text("utf-8")
    assert content.endswith("\n")
    return [json.loads(line)["kind"] for line in content.splitlines()]


@contextmanager
def silent_server() -> Iterator[str]:
    """Yield the address of a server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
