"""The wheel reads the same on an emulated Raspberry Pi as here: `make test-arm`, and in full `make test-arm-full`.

Emulation shows that the wheel installs, starts and computes right. It shows nothing about time, heat or a camera.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.arm.conftest import HERE, OURS, ROOT, Board

IMAGES = sorted((ROOT / "samples" / "plates").glob("*.jpg"))
random.Random(0).shuffle(IMAGES)  # the first ones are then of all kinds

PI_4, PI_5 = "cortex-a72", "cortex-a76"
OF_BOOKWORM = "numpy==1.24.2"
"""The NumPy that bookworm's picamera2 was built for."""

Combination = tuple[str, str, str]
"""Debian, processor and NumPy."""
FEW = {"int8": 8, "stack": 2}
"""The number of images to read, by artifact: an image takes over a second in int8, and twenty in float."""
IN_CI: dict[Combination, dict[str, int]] = {  # the longest first
    ("trixie", PI_5, ""): {**FEW, "int8": 60},
    ("bookworm", PI_5, ""): {**FEW, "dynamic": 8, "float32": 1},
    ("bookworm", PI_4, ""): {**FEW, "float16": 1},
    ("bookworm", PI_4, OF_BOOKWORM): FEW,
    ("trixie", PI_4, ""): FEW,
}
MANY = {"int8": 60, "stack": 60, "dynamic": 60, "int8-full": 8, "float32": 4, "float16": 4}
IN_FULL = {
    combination: {**MANY, "int8": 500} if combination in (("bookworm", PI_4, ""), ("trixie", PI_5, "")) else MANY
    for combination in IN_CI
}
DOCTOR_IN_CI = [("bookworm", PI_4, OF_BOOKWORM), ("trixie", PI_5, "")]

FLOAT_TOLERANCE = 1e-4

Values = Mapping[str, npt.NDArray[Any]]


def combinations(few: Iterable[Combination], all_: Iterable[Combination] = ()) -> list[Any]:
    """Return the parameters of a test, with the marks of `make test-arm` and `make test-arm-full`."""
    return [
        pytest.param(full, combination, id="-".join(filter(None, combination)) + full * "-full", marks=mark)
        for full, mark, some in ((False, pytest.mark.arm, few), (True, pytest.mark.arm_full, all_))
        for combination in some
    ]


@pytest.mark.parametrize(("full", "combination"), combinations(IN_CI, IN_FULL))
def test_it_reads_what_it_reads_here(
    board: Callable[..., Board],
    artifacts: Callable[[str], Path],
    combination: Combination,
    full: bool,
    tmp_path: Path,
    record_property: Callable[[str, str], None],
) -> None:
    counts = (IN_FULL if full else IN_CI)[combination]
    emulated = board(*combination)
    jobs = {name: artifacts(name) for name in counts}
    results = read_emulated(emulated, counts, jobs)
    expected = read_here(counts, jobs, tmp_path / "here.npz")

    assert set(results) == set(expected)
    for name, count in counts.items():
        assert results[f"{name} delegate"] == expected[f"{name} delegate"]
        if name == "stack":
            assert results["stack pixels"].tolist() == expected["stack pixels"].tolist()
            assert results["stack values"].tolist() == expected["stack values"].tolist()
            continue
        assert results[f"{name} texts"].tolist() == expected[f"{name} texts"].tolist()
        distance = np.abs(results[f"{name} probabilities"] - expected[f"{name} probabilities"]).max()
        record_property(
            "arm", f"{', '.join(filter(None, combination))}: {name}, {count} images: max |Δp| {distance:.1e}"
        )
        if name.startswith("float"):
            assert distance < FLOAT_TOLERANCE


@pytest.mark.parametrize(("full", "combination"), combinations(DOCTOR_IN_CI, IN_CI))
def test_the_doctor_says_that_it_reads(board: Callable[..., Board], combination: Combination, full: bool) -> None:
    done = board(*combination).python("-m", "edge_crnn", "doctor", "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    checks = {check["name"]: check["found"] for check in report["checks"]}
    assert report["reads"]
    assert f" in {OURS}/" in checks["edge-crnn"]
    assert combination[1].title() in checks["processor"]
    assert ("no dotprod" in checks["processor"]) == (combination[1] == PI_4)
    assert combination[2].removeprefix("numpy==") in checks["numpy"]
    assert "XNNPACK" in checks["reading"]


@pytest.mark.arm
@pytest.mark.parametrize("place", ["/tmp", "/var/tmp"])  # the root's own /tmp is hidden
def test_the_current_folder_is_seen_wherever_it_is(board: Callable[..., Board], place: str) -> None:
    emulated = board("trixie", PI_5, "")
    with tempfile.TemporaryDirectory(dir=place) as folder:
        (Path(folder) / "here").touch()
        command: list[str | Path] = [
            HERE / "run",
            emulated.root,
            PI_5,
            "python3",
            "-c",
            "import os; print(os.listdir())",
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['here']"


def read_emulated(board: Board, counts: Mapping[str, int], paths: Mapping[str, Path]) -> Values:
    for path in paths.values():
        (board.ours / path.name).write_bytes(path.read_bytes())
    words = [f"{counts[name]}:{OURS}/{path.name}" for name, path in paths.items()]
    images = [path.relative_to(ROOT) for path in IMAGES[: max(counts.values())]]
    done = board.python(HERE / "reads.py", f"{OURS}/results.npz", *words, *images)
    assert done.returncode == 0, done.stderr
    return load(board.ours / "results.npz")


def read_here(counts: Mapping[str, int], paths: Mapping[str, Path], out: Path) -> Values:
    words = [f"{counts[name]}:{path}" for name, path in paths.items()]
    command: list[str | Path] = [sys.executable, HERE / "reads.py", out, *words, *IMAGES[: max(counts.values())]]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return load(out)


def load(path: Path) -> Values:
    with np.load(path) as file:
        return dict(file)
