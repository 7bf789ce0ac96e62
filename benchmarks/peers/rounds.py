"""Interleaved rounds: each engine in a process of its own, on the same cores, one after the other, again and again.

A slow minute of the machine then falls on all engines alike, and no engine's threads disturb another's. Linux only.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_crnn.backends import Probabilities
from edge_crnn.errors import BackendError, InputError
from edge_crnn.model.spec import InputSpec
from edge_crnn.records.engines import Round

Infer: TypeAlias = Callable[[npt.NDArray[Any]], Probabilities]
"""Images (N, *shape) → (N, T, C); most engines are given one."""
Images: TypeAlias = Callable[[InputSpec], npt.NDArray[Any]]
"""All images (N, *shape) as an engine takes them."""

WARM_UP = 3
"""Calls at the start of each round that are not timed: they fetch the weights back into the caches."""


@dataclass(frozen=True)
class Engine:
    """One file, and how an inference engine runs it."""

    name: str
    open: Callable[[Path, int], Infer]
    """Opens `path` with a number of threads, in the worker's process. Raises ImportError where it is not installed."""
    path: Path
    image: InputSpec
    """What it takes."""
    file_bytes: int
    ours: bool = False
    note: str = ""
    batch: int = 1
    """Images of a call."""


class Worker:
    """An engine in its own process, on as many cores as it has threads.

    Raises:
        ImportError: the engine is not installed; the message is the engine's.
        InputError: there are fewer cores than threads.
    """

    def __init__(self, engine: Engine, threads: int, images: npt.NDArray[Any]) -> None:
        self.engine = engine
        self._count = len(images)
        cores = sorted(os.sched_getaffinity(0))[:threads]
        if len(cores) < threads:
            raise InputError(f"{threads} threads need as many cores, this process has {len(cores)}; ask for fewer")
        context = multiprocessing.get_context("spawn")  # a fork would inherit this process' thread pools
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, engine, cores), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.send(images)
        first = self._receive()
        if isinstance(first, str):
            self.close()
            raise ImportError(first)
        self.load_ms, self.first_ms = first
        """Opening the file, with the import of the engine; and that with the first inference."""

    def round(self, calls: int) -> Round:
        """So many timed calls after the warm-up; each gets the next images."""
        self.run(WARM_UP)
        times, processor = self.run(calls)
        return Round(statistics.median(times), min(times), processor / calls)

    def run(self, calls: int) -> tuple[list[float], float]:
        """Milliseconds of each of so many calls, and of processor time for all of them."""
        self._pipe.send(calls)
        times, processor = self._receive()
        return times, processor

    def infer_all(self) -> Probabilities:
        """What the engine gives for all images, one by one: (N, T, C)."""
        self._pipe.send(None)
        probabilities: Probabilities = self._receive()
        return probabilities

    @property
    def pid(self) -> int:
        """Of the engine's process."""
        assert self._process.pid is not None
        return self._process.pid

    def close(self) -> None:
        """End the process."""
        self._pipe.close()  # which the process takes as the end
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError as error:
            self._process.join(10)
            raise BackendError(
                f"{self.engine.name}: its process ended with {self._process.exitcode}; what it says is on stderr"
            ) from error


def _serve(pipe: Connection, engine: Engine, cores: Sequence[int]) -> None:
    os.sched_setaffinity(0, cores)
    # TensorFlow has no other setting that also holds once a model is being loaded.
    os.environ.update(TF_NUM_INTRAOP_THREADS=str(len(cores)), TF_NUM_INTEROP_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")
    images: npt.NDArray[Any] = pipe.recv()
    started = time.perf_counter_ns()
    try:
        infer = engine.open(engine.path, len(cores))
    except ImportError as error:
        pipe.send(str(error))
        return
    opened = time.perf_counter_ns()
    infer(images[: engine.batch])
    pipe.send(((opened - started) / 1e6, (time.perf_counter_ns() - started) / 1e6))
    position = 0
    with contextlib.suppress(EOFError):
        while True:
            calls: int | None = pipe.recv()
            if calls is None:
                each = (infer(images[index : index + 1]).copy() for index in range(len(images)))
                pipe.send(np.concatenate(list(each)))
                continue
            times = []
            used = time.process_time_ns()
            for _ in range(calls):
                batch = images[position : position + engine.batch]
                started = time.perf_counter_ns()
                infer(batch)
                times.append((time.perf_counter_ns() - started) / 1e6)
                position = position + engine.batch if position + 2 * engine.batch <= len(images) else 0
            pipe.send((times, (time.process_time_ns() - used) / 1e6))


@contextlib.contextmanager
def workers(engines: Sequence[Engine], threads: int, images: Images) -> Iterator[tuple[list[Worker], dict[str, str]]]:
    """A running worker for each engine, and why the others are absent, by name."""
    opened: list[Worker] = []
    absent: dict[str, str] = {}
    try:
        for engine in engines:
            try:
                opened.append(Worker(engine, threads, images(engine.image)))
            except ImportError as error:
                absent[engine.name] = str(error)
        yield opened, absent
    finally:
        for worker in opened:
            worker.close()


def interleave(opened: Sequence[Worker], rounds: int, calls: int) -> dict[str, list[Round]]:
    """So many rounds of each, by name; every round begins with another engine, so that none always follows the same."""
    found: dict[str, list[Round]] = {worker.engine.name: [] for worker in opened}
    for number in range(rounds):
        start = number % max(len(opened), 1)
        for worker in (*opened[start:], *opened[:start]):
            found[worker.engine.name].append(worker.round(calls))
    return found
