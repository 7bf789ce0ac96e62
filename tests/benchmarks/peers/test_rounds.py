from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.peers.engines import build
from benchmarks.peers.rounds import WARM_UP, Engine, Infer, Round, Worker, interleave, workers
from edge_crnn.errors import BackendError, InputError
from edge_crnn.model.spec import InputSpec

pytestmark = pytest.mark.thorough

_IMAGE = InputSpec(width=2, height=2, axes="HWC", scale=1.0, offset=0.0)
_IMAGES = np.arange(5, dtype=np.float32).reshape(5, 1, 1, 1) * np.ones((1, 2, 2, 1), np.float32)


def _images(_: InputSpec) -> npt.NDArray[Any]:
    return _IMAGES


def _writes_down(path: Path, threads: int) -> Infer:
    """Return a function that logs each image, and returns the image, its threads and its cores."""

    def infer(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        assert image.shape == (1, 2, 2, 1)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{int(image[0, 0, 0, 0])} ")
        return np.array([[[image[0, 0, 0, 0], threads, len(os.sched_getaffinity(0))]]], np.float32)

    return infer


def _writes_down_two(path: Path, threads: int) -> Infer:
    def infer(images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(str(int(picture[0, 0, 0])) for picture in images) + " ")
        return np.zeros((len(images), 1, 1), np.float32)

    return infer


def _is_absent(path: Path, threads: int) -> Infer:
    raise ImportError("No module named 'missing_engine'")


def _dies(path: Path, threads: int) -> Infer:
    def infer(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        os._exit(3)

    return infer


def _engine(name: str, opener: Callable[[Path, int], Infer], path: Path) -> Engine:
    return Engine(name, opener, path, _IMAGE, file_bytes=1)


def test_every_call_gets_the_next_image_and_reading_starts_at_the_first(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with workers([_engine("a", _writes_down, log)], 1, _images) as ((worker,), absent):
        answers = worker.infer_all()
        log.unlink()
        timed = worker.round(calls=4)
        assert 0 < worker.load_ms < worker.first_ms
    assert absent == {}
    np.testing.assert_array_equal(answers[:, 0, 0], np.arange(5))
    np.testing.assert_array_equal(answers[:, 0, 1:], np.ones((5, 2)))  # one thread, on one core
    assert [int(image) for image in log.read_text().split()] == [call % 5 for call in range(WARM_UP + 4)]
    assert 0 < timed.minimum_ms <= timed.median_ms
    assert timed.processor_ms > 0


def test_a_call_may_be_of_several_images_and_always_of_as_many(tmp_path: Path) -> None:
    engine = Engine("a", _writes_down_two, tmp_path / "log", _IMAGE, 1, batch=2)
    with workers([engine], 1, _images) as ((worker,), _):
        worker.run(calls=4)
    assert (tmp_path / "log").read_text().split() == ["01", "01", "23", "01", "23"]  # the first opens it


def test_an_absent_engine_is_named_and_the_others_are_measured(tmp_path: Path) -> None:
    engines = [_engine("absent", _is_absent, tmp_path / "a"), _engine("present", _writes_down, tmp_path / "b")]
    with workers(engines, 1, _images) as (opened, absent):
        assert absent == {"absent": "No module named 'missing_engine'"}
        rounds_of = interleave(opened, rounds=2, calls=1)
    assert {name: len(rounds) for name, rounds in rounds_of.items()} == {"present": 2}


def test_an_engine_whose_file_cannot_be_made_is_named() -> None:
    def make(_: object) -> Engine:
        raise ImportError("No module named 'missing_quantiser'")

    present = _engine("present", _writes_down, Path())
    makers = {"absent": make, "present": lambda _: present}
    assert build(cast(Any, None), makers) == ([present], {"absent": "No module named 'missing_quantiser'"})


def test_an_engine_that_dies_is_an_error_and_no_absence(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"deadly: its process ended with 3"):
        Worker(_engine("deadly", _dies, tmp_path), 1, _IMAGES)


def test_more_threads_than_cores_are_refused(tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    with pytest.raises(InputError, match=f"{cores} cores for {cores + 1} threads"):
        Worker(_engine("wide", _writes_down, tmp_path), cores + 1, _IMAGES)


def test_every_round_has_all_and_begins_with_another() -> None:
    turns: list[str] = []

    class Stub:
        def __init__(self, name: str) -> None:
            self.engine = _engine(name, _dies, Path())

        def round(self, calls: int) -> Round:
            turns.append(self.engine.name)
            return Round(calls, calls, calls)

    rounds_of = interleave(cast(list[Worker], [Stub("a"), Stub("b"), Stub("c")]), rounds=4, calls=2)
    assert "".join(turns) == "abcbcacababc"
    assert rounds_of == {name: [Round(2, 2, 2)] * 4 for name in "abc"}
