"""The fixtures of a real serve-folder process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.edge_crnn.cli.serve_folder.running import Start


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "readings.jsonl"


@pytest.fixture(scope="session")
def files(tiny_pictures: list[np.ndarray]) -> list[bytes]:
    return [cv2.imencode(".png", picture)[1].tobytes() for picture in tiny_pictures]


@pytest.fixture
def start(folder: Path, output: Path, tiny_artifact: Path) -> Iterator[Start]:
    """`start(*words, **environment)` starts serve-folder, which is killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: object, limit: int | None = None, **environment: str) -> subprocess.Popen[str]:
        words = ("-o", output, "--model", tiny_artifact, "--interval", "0.02", "--workers", "1", *words)
        command = [sys.executable, "-m", "edge_crnn", "serve-folder", str(folder), *map(str, words)]
        if limit is not None:
            command = ["sh", "-c", f'ulimit -f {limit}; exec "$@"', "sh", *command]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
