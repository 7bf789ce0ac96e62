"""The engines of a reader: workers, threads, cameras, failures, closing, and forks."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_crnn import (
    BackendError,
    FakeBackend,
    Reader,
    Reading,
    open_reader,
)
from edge_crnn.backends import Backend
from edge_crnn.board import limits
from edge_crnn.model.artifact import load
from tests.edge_crnn.reader.test_reader import ABC, BLACK, SPEC, reader_of


class Counting:
    """A factory that counts the fake engines it opens. Every engine waits until `together` of them are at work."""

    def __init__(self, together: int = 1) -> None:
        self.opened: list[FakeBackend] = []
        self.barrier = threading.Barrier(together, timeout=30)

    def __call__(self) -> Backend:
        engine = FakeBackend(ABC, SPEC.input.shape)
        self.opened.append(engine)
        infer = engine.infer

        def together(batch: np.ndarray) -> np.ndarray:
            self.barrier.wait()
            return infer(batch)

        engine.infer = together  # type: ignore[method-assign]
        return engine


def test_engines_are_opened_only_as_work_needs_them() -> None:
    factory = Counting()
    reader = Reader(SPEC, factory, workers=4)
    assert len(factory.opened) == 1
    for _ in range(5):
        reader.read(BLACK)
    assert len(factory.opened) == 1
    factory.barrier = threading.Barrier(4, timeout=30)  # four at once, or none
    assert len(list(reader.read_each([BLACK] * 32 * 8))) == 32 * 8
    assert len(factory.opened) == 4
    with ThreadPoolExecutor(12) as pool:
        assert len(list(pool.map(reader.read, [BLACK] * 48))) == 48
    assert len(factory.opened) == 4
    reader.close()
    for engine in factory.opened:
        with pytest.raises(BackendError):
            FakeBackend.infer(engine, np.zeros((1, 2, 2, 1), np.float32))


@pytest.mark.parametrize(("device", "workers"), [("cpu", limits.usable_workers()), ("gpu", 1)])
def test_default_is_one_engine_per_core_or_one_for_a_gpu(device: Any, workers: int) -> None:
    assert _reader_on(device, None).workers == workers


def test_batches_have_the_size_that_the_engine_accepts() -> None:
    reader = _reader_on("gpu", 100)
    sizes = []
    infer = reader._engines[0].infer

    def counted(batch: np.ndarray) -> np.ndarray:
        sizes.append(len(batch))
        return infer(batch)

    reader._engines[0].infer = counted  # type: ignore[method-assign]
    assert len(list(reader.read_each([BLACK] * 230))) == 230
    assert sizes == [100, 100, 30]


def _reader_on(device: Any, max_batch: int | None) -> Reader:
    def open_engine() -> Backend:
        engine = FakeBackend(ABC, SPEC.input.shape)
        engine.facts = replace(engine.facts, device=device, max_batch=max_batch)
        return engine

    return Reader(SPEC, open_engine, workers=None)


@pytest.mark.parametrize(("device", "max_batch", "workers"), [("cpu", 1, 1), ("cpu", 1, 4), ("gpu", 64, 1)])
def test_a_frame_of_a_camera_is_read_before_the_next_arrives(device: Any, max_batch: int, workers: int) -> None:
    """Readings were up to 4 × workers frames behind, or as many as a batch holds (rknn-cpp-Multithreading#23)."""
    seen = threading.Semaphore(0)
    read = 0

    def camera() -> Iterator[np.ndarray]:
        for number in range(12):
            assert number == read, "a frame arrives before the last one is read"
            yield BLACK
            assert seen.acquire(timeout=30)

    def open_engine() -> Backend:
        engine = FakeBackend(ABC, SPEC.input.shape)
        engine.facts = replace(engine.facts, device=device, max_batch=max_batch)
        return engine

    for reading in Reader(SPEC, open_engine, workers=workers).read_each(camera()):
        assert isinstance(reading, Reading)
        read += 1
        seen.release()
    assert read == 12


@pytest.mark.parametrize("workers", [1, 3])
def test_frames_before_a_camera_fails_are_read(workers: int) -> None:
    """The readings that waited in the queue were lost with the error (the kind of rknn-cpp-Multithreading#23)."""

    def camera() -> Iterator[np.ndarray]:
        yield from [BLACK] * 41
        raise OSError("the camera is gone")

    readings: list[object] = []
    with pytest.raises(OSError, match="the camera is gone"):
        readings.extend(reader_of(ABC, workers=workers).read_each(camera()))
    assert len(readings) == 41


@pytest.mark.parametrize(("usable", "workers"), [(1, 1), (3, 3), (1000, 256)])
def test_cores_and_memory_that_are_usable_decide_without_a_number(
    tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch, usable: int, workers: int
) -> None:
    """A container's quota was ignored: ollama#17916, PaddleOCR#5712."""
    sizes = []

    def usable_workers(model_bytes: int) -> int:
        sizes.append(model_bytes)
        return usable

    monkeypatch.setattr(limits, "usable_workers", usable_workers)
    with open_reader(tiny_artifact) as reader:
        assert reader.workers == workers
    assert sizes == [len(load(tiny_artifact).payload)]


def test_an_engine_that_cannot_be_opened_is_an_error_each_time() -> None:
    engines: Iterator[Backend] = iter([Counting(1)()])

    def open_engine() -> Backend:
        for engine in engines:
            return engine
        raise BackendError("no memory for a second engine")

    reader = Reader(SPEC, open_engine, workers=2)
    with reader._engine():
        for _ in range(2):
            with pytest.raises(BackendError, match="no memory"):
                reader.read(BLACK)
    assert reader.read(BLACK).label == "abc"


@pytest.mark.parametrize("workers", [1, 2])
def test_an_engines_failure_comes_through_and_the_engine_goes_back(workers: int) -> None:
    fails = threading.Event()

    class Failing(FakeBackend):
        def infer(self, batch: np.ndarray) -> np.ndarray:
            if fails.is_set():
                raise BackendError("the engine failed")
            return super().infer(batch)

    reader = Reader(SPEC, lambda: Failing(ABC, SPEC.input.shape), workers=workers)
    fails.set()
    for _ in range(2 * workers):
        with pytest.raises(BackendError, match="the engine failed"):
            reader.read(BLACK)
        with pytest.raises(BackendError, match="the engine failed"):
            list(reader.read_each([BLACK] * 99))
    fails.clear()
    assert [reading.label for reading in reader.read_batch([BLACK] * 3)] == ["abc"] * 3


@pytest.mark.parametrize("workers", [1, 2])
def test_an_iterator_that_fails_comes_through(workers: int) -> None:
    def images() -> Iterator[np.ndarray]:
        for _ in range(100):
            yield BLACK
        raise OSError("the camera is gone")

    reader = reader_of(ABC, workers=workers)
    with pytest.raises(OSError, match="the camera is gone"):
        list(reader.read_each(images()))
    assert reader.read(BLACK).label == "abc"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("use", [Reader.read_batch, lambda reader, images: list(reader.read_each(list(images)))])
def test_an_iterator_that_is_bound_to_its_thread(workers: int, use: Callable[[Reader, Any], list[Reading]]) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as database, reader_of(ABC, workers=workers) as reader:
        database.execute("CREATE TABLE pictures (picture BLOB)")
        picture = cv2.imencode(".png", BLACK)[1].tobytes()
        database.executemany("INSERT INTO pictures VALUES (?)", [(picture,)] * 100)
        rows = database.execute("SELECT picture FROM pictures")
        assert [reading.label for reading in use(reader, (picture for (picture,) in rows))] == ["abc"] * 100


@pytest.mark.parametrize("workers", [1, 2])
def test_stopping_early_does_not_wait_for_the_rest(workers: int) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield BLACK

    with reader_of(ABC, workers=workers) as reader:
        results = reader.read_each(endless())
        assert isinstance(next(results), Reading)
        results.close()  # type: ignore[attr-defined]
        assert taken <= 32 * 4 * workers
        assert reader.read(BLACK).label == "abc"
        next(reader.read_each(endless()))  # left to the garbage collector
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("edge-crnn")]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_closed_reader_refuses(tiny_artifact: Path, tiny_pictures: list[np.ndarray], workers: int) -> None:
    with open_reader(tiny_artifact, workers=workers) as reader:
        reader.read_batch(tiny_pictures)
    reader.close()
    for use in (
        reader.read,
        lambda image: reader.read_batch([image]),
        lambda image: list(reader.read_each([image] * 9)),
    ):
        with pytest.raises(BackendError, match=r"used after close\(\)"):
            use(tiny_pictures[0])


def in_fork(work: Callable[[], str]) -> str:
    """Return the text that `work` returns in a forked process."""
    source, sink = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later: threads do not survive a fork
        process = os.fork()
    if process == 0:  # do not return into pytest
        try:
            os.write(sink, work().encode())
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        output = pipe.read().decode()
    os.waitpid(process, 0)
    return output


@pytest.mark.parametrize("workers", [1, 2])
def test_carried_over_a_fork_it_refuses(
    tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str], workers: int
) -> None:
    reader = open_reader(tiny_artifact, workers=workers)
    reader.read_batch(tiny_pictures)

    def refused() -> str:
        messages = []
        for use in (reader.read, lambda image: list(reader.read_each([image] * 9))):
            try:
                use(tiny_pictures[0])
            except BackendError as error:
                messages.append(str(error))
        reader.close()
        return "\n".join(messages)

    expected = f"this reader was opened in process {os.getpid()} and carried over a fork; open one in each process"
    assert in_fork(refused) == f"{expected}\n{expected}"
    assert reader.read(tiny_pictures[0]).label == tiny_labels[0]
    assert in_fork(lambda: open_reader(tiny_artifact).read(tiny_pictures[1]).label) == tiny_labels[1]
