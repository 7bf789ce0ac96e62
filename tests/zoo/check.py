"""Build, save, load and predict every case, one line each: `python -m tests.zoo.check FOLDER [NUMBER ...]`."""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path

import numpy as np

from .case import Case
from .cases import CASES
from .reference import images, predict, probabilities, write


def check(case: Case, folder: Path) -> str:
    """Return the line of one case, or raise."""
    if case.excluded:
        return f"{case.number:4} excluded: {case.excluded}"
    start = time.perf_counter()
    path = write(case, folder)
    built = time.perf_counter()
    pictures = images(case, 4, seed=2)
    first = predict(path, pictures)
    done = time.perf_counter()
    again = predict(path, pictures)
    read = probabilities(case, first)
    assert np.isfinite(first).all(), "not finite"
    assert np.array_equal(first, again), f"not the same twice: {np.abs(first - again).max()}"
    assert read.shape == (4, case.steps, case.classes), f"gives {read.shape}"
    assert np.allclose(read.sum(axis=-1), 1, atol=1e-4), "no probabilities"
    best = read.argmax(axis=-1)
    assert len(np.unique(best, axis=0)) == 4, "images read alike"
    assert sum(len(np.unique(row)) > 1 for row in best) > 2, "steps read alike"
    ties = np.sort(read, axis=-1)
    return (
        f"{case.number:4} {case.file:34} {path.stat().st_size / 1024:7.0f} KiB  build {built - start:5.1f} s  "
        f"load+predict {done - built:4.1f} s  {first.shape!s:16} {len(np.unique(best)):2} classes, "
        f"top {read.max(axis=-1).mean():.2f}, gap < 0.01 at {(ties[..., -1] - ties[..., -2] < 0.01).mean():.1%}"
    )


def main() -> int:
    """Check those that are named, or all."""
    folder, numbers = Path(sys.argv[1]), sys.argv[2:] or list(CASES)
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for number in numbers:
        try:
            line = check(CASES[number], folder)
        except Exception as error:
            failed += 1
            line = f"{number:4} FAILED: {error!r}"
            traceback.print_exc()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return failed


if __name__ == "__main__":
    sys.exit(main())
