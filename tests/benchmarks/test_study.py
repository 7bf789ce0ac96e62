from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.peers.rounds import Engine, Infer
from benchmarks.study import judge, measure, readings
from edge_crnn.dataset import Dataset, Entry
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec
from edge_crnn.records.engines import REFERENCE

pytestmark = pytest.mark.thorough

_SPEC = ModelSpec(
    name="digits",
    symbols=tuple("0123"),
    blank=4,
    input=InputSpec(width=1, height=1, axes="HWC", scale=1.0, offset=0.0),
    output=OutputSpec(steps=2, classes=5),
)
_IMAGES = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)


def _images(_: InputSpec) -> npt.NDArray[Any]:
    return _IMAGES


def _reads_right(path: Path, threads: int) -> Infer:
    """Image k shows the digit k."""

    def infer(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        rows = np.full((1, 2, 5), 0.02, np.float32)
        rows[0, 0, int(image[0, 0, 0, 0])] = rows[0, 1, _SPEC.blank] = 0.9  # sums to 0.98
        return rows

    return infer


def _reads_zero(path: Path, threads: int) -> Infer:
    right = _reads_right(path, threads)
    return lambda image: right(np.zeros_like(image))


def _is_absent(path: Path, threads: int) -> Infer:
    raise ImportError("No module named 'missing_engine'")


def _plates(tmp_path: Path) -> Dataset:
    entries = []
    for label in "0123":
        path = tmp_path / f"{label}.png"
        path.write_text(label)
        entries.append(Entry(path, label))
    return Dataset(tmp_path, tuple(entries))


def test_coarsely_quantised_probabilities_are_read_too() -> None:
    rows = np.concatenate([_reads_right(Path(), 1)(image[np.newaxis]) for image in _IMAGES])
    read = readings(rows, _SPEC)
    assert read.labels == ("0", "1", "2", "3")
    np.testing.assert_allclose(read.probabilities.sum(axis=-1), 1, rtol=1e-6)


def test_each_engine_is_held_to_the_reference(tmp_path: Path) -> None:
    openers = {REFERENCE: _reads_right, "same": _reads_right, "other": _reads_zero, "absent": _is_absent}
    engines = [Engine(name, opener, tmp_path, _SPEC.input, 1) for name, opener in openers.items()]
    parities = judge(engines, _plates(tmp_path), _images, _SPEC)
    assert {name: parity.sets[0].same_text for name, parity in parities.items()} == {
        REFERENCE: 4,
        "same": 4,
        "other": 1,
    }
    assert parities["other"].verdict == "fail"
    assert judge(engines[1:2], _plates(tmp_path), _images, _SPEC) == {}


def test_a_run_says_who_was_absent_and_how_busy_the_machine_was(tmp_path: Path) -> None:
    engines = [
        Engine(name, opener, tmp_path, _SPEC.input, 7) for name, opener in (("a", _reads_right), ("b", _is_absent))
    ]
    run = measure(engines, {"c": "no quantiser"}, 1, _images, {}, rounds=3, calls=2)
    assert run.absent == {"c": "no quantiser", "b": "No module named 'missing_engine'"}
    (timing,) = run.timings
    assert (timing.engine, timing.file_bytes, timing.parity, len(timing.rounds)) == ("a", 7, None, 3)
    assert len(run.load_before) == len(os.getloadavg())
