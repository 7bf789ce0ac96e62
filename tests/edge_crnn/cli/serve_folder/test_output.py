"""The options, output, messages and memory of serve-folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_crnn.cli.main import main
from edge_crnn.cli.serve_folder import add_arguments
from tests.edge_crnn.cli.serve_folder.running import PATIENCE_S, Start, end, names, readings

pytestmark = pytest.mark.thorough


def test_line_is_that_of_read_with_time_and_size(
    folder: Path,
    output: Path,
    files: list[bytes],
    tiny_artifact: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "서울 1.png").write_bytes(files[0])
    words = ["--model", str(tiny_artifact), "--n-best", "3", "--min-confidence", "0.5"]
    assert main(["serve-folder", str(folder), "-o", str(output), "--interval", "0.01", "--once", *words]) == 0
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.endswith("edge-crnn serve-folder: 1 images read, 0 damaged, 0 failed\n")
    assert main(["read", str(folder), "--format", "jsonl", *words]) == 0
    (reading,) = readings(output)
    status = (folder / "서울 1.png").stat()
    assert time.time() - 3600 < np.datetime64(str(reading.pop("time"))[:-6], "ms").astype(int) / 1000 < time.time() + 1
    assert (reading.pop("size"), reading.pop("mtime_ns")) == (status.st_size, status.st_mtime_ns)
    assert reading == json.loads(capsys.readouterr().out)


def test_output_with_the_longest_name_is_written(
    folder: Path, tmp_path: Path, files: list[bytes], tiny_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / ("x" * 250)  # a longer name is not possible
    (folder / "0.png").write_bytes(files[0])
    words = ["-o", str(output), "--model", str(tiny_artifact), "--interval", "0.01", "--once"]
    assert main(["serve-folder", str(folder), *words]) == 0
    assert (
        "cannot be opened (File name too long); an image that ends the process is read again" in capsys.readouterr().err
    )
    assert names(output) == ["0.png"]


def test_missing_folder_is_an_error_at_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "readings.jsonl"
    assert main(["serve-folder", str(tmp_path / "none"), "-o", str(output)]) == 1
    assert "none: is not a folder" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "3601", "soon"])
def test_bad_interval_is_refused(interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve-folder", ".", "--interval", interval]) == 2
    assert "--interval" in capsys.readouterr().err


def test_every_option_of_a_reader_is_accepted() -> None:
    import argparse

    from edge_crnn.cli.reader import add_reader_arguments

    def options(add: Callable[[argparse.ArgumentParser], None]) -> set[str]:
        parser = argparse.ArgumentParser()
        add(parser)
        return set(parser._option_string_actions)

    assert {"--model", "--engine", "--grammar", "--lexicon", "--target-precision"} <= options(add_reader_arguments)
    assert options(add_reader_arguments) <= options(add_arguments)


MEMORY = """
import gc, sys, tracemalloc
from edge_crnn.cli import serve_folder
from edge_crnn.cli.main import main
gc.disable()
run = serve_folder._Service.run
def traced(*words):
    tracemalloc.start()
    run(*words)
    print(tracemalloc.get_traced_memory()[1], file=sys.stderr)
serve_folder._Service.run = traced
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_damaged_images_do_not_stay_in_memory(folder: Path, output: Path, tiny_artifact: Path, workers: int) -> None:
    size = 1 << 20
    for n in range(100):
        (folder / f"{n}.png").write_bytes(bytes(size))
    words = ["-o", output, "--model", tiny_artifact, "--interval", "0.01", "--once", "--workers", workers]
    command = [sys.executable, "-c", MEMORY, "serve-folder", folder, *words]
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert ended.returncode == 1
    assert len(names(output)) == 100
    assert int(ended.stderr.splitlines()[-1]) < 20 * size


def test_full_stderr_does_not_end_the_service(
    folder: Path, output: Path, files: list[bytes], tiny_artifact: Path
) -> None:
    (folder / "a.heic").write_bytes(b"")
    (folder / "0.png").write_bytes(files[0])
    words = ["-o", output, "--model", tiny_artifact, "--interval", "0.01", "--once"]
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "edge_crnn", "serve-folder", folder, *words]
        ended = subprocess.run(list(map(str, command)), stderr=full, check=False, timeout=PATIENCE_S)
    assert ended.returncode == 0
    assert names(output) == ["0.png"]


def test_control_characters_do_not_reach_the_terminal(folder: Path, start: Start, output: Path) -> None:
    (folder / "a\x1b[2J.png").write_bytes(b"no picture")
    (folder / "b.\x1b[2J").write_bytes(b"no picture")
    status, errors = end(start("--once"))
    assert status == 1
    assert "\x1b" not in errors
    assert names(output) == ["a\x1b[2J.png"]
