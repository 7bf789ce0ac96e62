"""The command read-all with a real engine."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.cli.main import main
from tests.edge_crnn.scale.stub import rows

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[3]
COUNT = 80


@pytest.fixture
def folder(tmp_path: Path, tiny_pictures: list[np.ndarray]) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(COUNT):
        cv2.imwrite(str(folder / f"{number:02d}.png"), tiny_pictures[number % 8])
    (folder / "20.png").write_bytes(b"no image")
    return folder


def check(output: Path, labels: list[str]) -> None:
    found = rows(output)
    assert [Path(row["image"]).name for row in found] == [f"{number:02d}.png" for number in range(COUNT)]
    assert [row["text"] for row in found] == [None if n == 20 else labels[n % 8] for n in range(COUNT)]
    assert "20.png" in found[20]["error"]


def test_all_images_are_read_and_a_second_run_reads_none(
    folder: Path, tmp_path: Path, tiny_artifact: Path, tiny_labels: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    words = ["read-all", str(folder), "-o", str(output), "--model", str(tiny_artifact)]
    assert main([*words, "--workers", "2"]) == 0
    check(output, tiny_labels)
    assert "80 images read, 1 of them with an error; 2 of 2 parts" in capsys.readouterr().err
    (output / "part-00000001.jsonl").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in output.glob("part-*")}
    assert main([*words, "--workers", "1"]) == 0
    check(output, tiny_labels)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert "40 images read; 2 of 2 parts" in capsys.readouterr().err
    assert main([*words, "--decoder", "beam"]) == 1
    assert "decoder greedy, now it is beam" in capsys.readouterr().err


def test_a_shard_that_cannot_be_read_is_left(
    folder: Path, tmp_path: Path, tiny_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.tar").write_bytes(b"no tar" * 1000)
    output = tmp_path / "out"
    inputs = [str(folder / "00.png"), str(tmp_path / "bad.tar")]
    words = ["read-all", *inputs, "-o", str(output), "--model", str(tiny_artifact), "--workers", "1"]
    assert main(words) == 1
    errors = capsys.readouterr().err.splitlines()
    assert "1 images read; 1 of 2 parts" in errors[-3]
    assert "bad.tar: is no tar file" in errors[-2]
    assert "1 part is left" in errors[-1]
    assert len(rows(output)) == 1


@pytest.mark.slow
def test_a_cluster_reads_what_processes_read(
    folder: Path, tmp_path: Path, tiny_artifact: Path, tiny_labels: list[str]
) -> None:
    pytest.importorskip("ray", reason="Ray comes with edge-crnn[ray]")
    words = ["read-all", str(folder), "--model", str(tiny_artifact), "--workers", "2"]
    command = [sys.executable, "-m", "edge_crnn", *words, "-o", str(tmp_path / "ray"), "--address", "local"]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=300)
    assert run.returncode == 0, run.stderr.decode()
    assert b"80 images read, 1 of them with an error; 2 of 2 parts" in run.stderr
    check(tmp_path / "ray", tiny_labels)
    assert main([*words, "-o", str(tmp_path / "processes")]) == 0
    assert rows(tmp_path / "ray") == rows(tmp_path / "processes")


@pytest.mark.slow
def test_a_job_that_is_killed_at_any_moment_reads_every_image_once(
    folder: Path, tmp_path: Path, tiny_artifact: Path, tiny_labels: list[str]
) -> None:
    output = tmp_path / "out"
    words = ["read-all", str(folder), "-o", str(output), "--model", str(tiny_artifact), "--workers", "2"]
    chance = random.Random(0)
    for kills in range(20):
        process = subprocess.Popen([sys.executable, "-m", "edge_crnn", *words], stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, 4))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        victims = [process.pid, *map(int, children.read_text().split())] if children.exists() else [process.pid]
        if process.poll() is None:
            os.kill(chance.choice(victims), signal.SIGKILL)
        if kills % 2:
            process.kill()
        process.communicate(timeout=600)
        if process.returncode == 0:
            for shard in list(output.glob("part-*"))[:2]:
                shard.unlink()
    assert main(words) == 0
    check(output, tiny_labels)


@pytest.mark.parametrize(("damaged", "status"), [(("00.png", "01.png"), 1), (("00.png",), 0)])
def test_a_run_that_could_read_no_image_fails(
    damaged: tuple[str, ...], status: int, folder: Path, tmp_path: Path, tiny_artifact: Path
) -> None:
    """The kind of PaddleOCR#17876: work that has no result must not end as if it had."""
    inputs = [folder / "00.png", folder / "01.png"]
    for name in damaged:
        (folder / name).write_bytes(b"no image")
    words = ["read-all", *map(str, inputs), "-o", str(tmp_path / "out"), "--model", str(tiny_artifact)]
    assert main([*words, "--workers", "1"]) == status
    assert len(rows(tmp_path / "out")) == 2
