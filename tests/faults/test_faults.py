"""Every write, fsync, rename, lock, open and read of a command fails in turn: nothing is lost or left half-written.

`make faults` tries all of them, which takes 40 minutes. Otherwise a random sample is tried. What a command does
alike with each of many images fails for the first, the second, the middle and the last of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.model.artifact import sidecar
from tests.fake_tensorrt import save_onnx
from tests.faults.shim import is_available, restart_with_shim

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_available(), reason="needs Linux and a C compiler, cc"),
]

MOST = int(os.environ.get("FAULTS_MOST", "40"))
"""Largest number of trials of a scenario."""

Prepare = Callable[[int], list[np.ndarray]]
TryAll = Callable[[str], dict[str, int]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that a scenario begins with."""
    folder = tmp_path / "template"
    folder.mkdir()
    return folder


@pytest.fixture
def try_all(folder: Path, tmp_path: Path) -> TryAll:
    """`try_all(SCENARIO)` lets operations fail, asserts that nothing went wrong, and returns how many there are."""

    def try_all(name: str) -> dict[str, int]:
        output = tmp_path / "output.jsonl"
        status = restart_with_shim(tmp_path, ["-m", "tests.faults.trials", name, str(folder), str(MOST), str(output)])
        assert status == 0
        *problems, counts = map(json.loads, output.read_text(encoding="utf-8").splitlines())
        summary = f"{name}: {counts['tried']} trials, {counts['problems']} problems; operations: {counts['operations']}"
        print(summary)  # noqa: T201
        assert not problems, "\n\n".join("{operation} {path}, {fate}: {problem}".format(**line) for line in problems)
        operations: dict[str, int] = counts["operations"]
        return operations

    return try_all


def noisy(pictures: list[np.ndarray], count: int) -> list[np.ndarray]:
    """The images in turn, with ever more noise."""
    random = np.random.default_rng(5)
    return [
        np.clip(pictures[index % 8] + random.normal(0, 40 * index / count, pictures[0].shape), 0, 255).astype(np.uint8)
        for index in range(count)
    ]


def save(folder: Path, pictures: list[np.ndarray]) -> list[str]:
    """Write images as 000.png and so on, and return their names."""
    folder.mkdir()
    names = [f"{index:03d}.png" for index in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        (folder / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return names


def run_once(scenario: str, folder: Path) -> None:
    """Run a scenario's command in a process of its own, without faults."""
    code = f"import sys; from tests.faults.scenarios import SCENARIOS; sys.exit(SCENARIOS[{scenario!r}].run())"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=True)


def test_convert(
    folder: Path, tiny_keras: Path, tiny_artifact: Path, tiny_pictures: list[np.ndarray], try_all: TryAll
) -> None:
    for path in (tiny_keras, sidecar(tiny_keras)):
        shutil.copy(path, folder)
    save(folder / "images", noisy(tiny_pictures, 6))
    # It leaves the trained model's readings in the cache, so that TensorFlow, which must not be forked, is not needed.
    run_once("convert", folder)
    shutil.copy(tiny_artifact, folder / "tiny.tflite")
    operations = try_all("convert")
    assert {"open", "read", "write", "fsync", "rename"} <= set(operations)


def test_calibrate(
    folder: Path,
    tiny_artifact: Path,
    tiny_pictures: list[np.ndarray],
    tiny_labels: list[str],
    try_all: TryAll,
) -> None:
    shutil.copy(tiny_artifact, folder / "tiny.tflite")
    names = save(folder / "labelled", noisy(tiny_pictures, 100))
    rows = [f"{name},{tiny_labels[index % 8]}" for index, name in enumerate(names)]
    (folder / "labelled" / "labels.csv").write_text("\n".join(["image,label", *rows]), encoding="utf-8")
    operations = try_all("calibrate")
    assert {"open", "read", "write", "fsync", "rename"} <= set(operations)


def test_serve_folder(
    folder: Path,
    tiny_artifact: Path,
    tiny_pictures: list[np.ndarray],
    tiny_labels: list[str],
    try_all: TryAll,
) -> None:
    shutil.copy(tiny_artifact, folder / "tiny.tflite")
    names = save(folder / "incoming", tiny_pictures)
    texts = dict(zip(names, tiny_labels, strict=True))
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    run_once("serve-folder", folder)
    journal = folder / "readings.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:3]) + lines[3][:40])  # as if it had been killed
    operations = try_all("serve-folder")
    assert {"open", "read", "write", "fsync", "lock", "truncate"} <= set(operations)


def test_engine_cache(folder: Path, stub: Callable[..., None], tmp_path: Path, try_all: TryAll) -> None:
    save_onnx(folder / "tiny.onnx")
    stub()
    shutil.copytree(tmp_path / "site", folder / "site")
    operations = try_all("engines")
    assert {"open", "read", "write", "fsync", "rename", "lock"} <= set(operations)


@pytest.mark.usefixtures("folder")
def test_cache_of_readings(try_all: TryAll) -> None:
    operations = try_all("readings")
    assert {"open", "write", "fsync", "rename"} <= set(operations)
