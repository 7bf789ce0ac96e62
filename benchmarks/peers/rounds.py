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
"""A function from images, (N, *shape), to probabilities, (N, T, C); for most engines N is 1."""
Images: TypeAlias = Callable[[InputSpec], npt.NDArray[Any]]
"""A function that prepares all images for an input, (N, *shape)."""

WARM_UP = 3
"""The untimed calls at the start of a round, which fetch the weights into the caches."""


@dataclass(frozen=True)
class Engine:
    """A model file, and how an inference engine runs it."""

    name: str
    open: Callable[[Path, int], Infer]
    """Opens `path` with a number of threads, in the worker's process. Raises ImportError where it is missing."""
    path: Path
    image: InputSpec
    """The input of the model."""
    file_bytes: int
    ours: bool = False
    note: str = ""
    batch: int = 1
    """The number of images per call."""


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
            raise InputError(
                f"found {len(cores)} cores for {threads} threads, expected one core per thread; ask for fewer threads"
            )
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
        """Milliseconds for importing the engine and opening the file, without and with the first inference."""

    def round(self, calls: int) -> Round:
        """Time `calls` calls after the warm-up, each with the next images."""
        self.run(WARM_UP)
        times, processor = self.run(calls)
        return Round(statistics.median(times), min(times), processor / calls)

    def run(self, calls: int) -> tuple[list[float], float]:
        """Return the milliseconds of each of `calls` calls, and the processor time of all of them."""
        self._pipe.send(calls)
        times, processor = self._receive()
        return times, processor

    def infer_all(self) -> Probabilities:
        """Infer all images one by one, and return the probabilities, (N, T, C)."""
        self._pipe.send(None)
        probabilities: Probabilities = self._receive()
        return probabilities

    @property
    def pid(self) -> int:
        """The ID of the engine's process."""
        assert self._process.pid is not None
        return self._process.pid

    def close(self) -> None:
        """End the process."""
        self._pipe.close()  # the process ends when its pipe closes
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError as error:
            self._process.join(10)
            raise BackendError(
                f"{self.engine.name}: its process ended with {self._process.exitcode}; its messages are on stderr"
            ) from error


def _serve(pipe: Connection, engine: Engine, cores: Sequence[int]) -> None:
    os.sched_setaffinity(0, cores)
    # The only settings of TensorFlow that also hold while a model is loaded.
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
                rows = (infer(images[index : index + 1]).copy() for index in range(len(images)))
                pipe.send(np.concatenate(list(rows)))
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
    """Start a worker for each engine; yield them with the reasons why others are absent, by name."""
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
    """Run `rounds` rounds of the workers, and return them by name.

    A round begins with another engine than the one before, so that no engine always follows the same one.
    """
    rounds_of: dict[str, list[Round]] = {worker.engine.name: [] for worker in opened}
    for number in range(rounds):
        start = number % max(len(opened), 1)
        for worker in (*opened[start:], *opened[:start]):
            rounds_of[worker.engine.name].append(worker.round(calls))
    return rounds_of
