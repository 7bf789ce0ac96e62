"""Reads the parts of a job with processes on this machine, each with an engine of its own.

A process that dies, such as one that the kernel kills for its memory, is replaced; see `tasks`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import cast

from ..errors import without_traceback
from ..processes import end_with_parent, interrupts_ignored
from .parts import Part
from .tasks import Outcome, Progress, Task, Tasks
from .work import Workplace, read_part


@dataclass(frozen=True)
class _Ready:
    """The message of a process that has opened its reader."""


@dataclass
class _Worker:
    """A process, and the task that it works on."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection
    task: Task
    is_ready: bool = False
    progress: Progress = field(default_factory=Progress)


def read_parts(
    workplace: Workplace, parts: Iterable[tuple[int, Part]], workers: int, advance: Callable[[int], None]
) -> Generator[Outcome, None, None]:
    """Read parts and yield their outcomes as they are ready.

    Args:
        workplace: the job, and the way to open a reader.
        parts: numbers and parts, which are taken as processes become free.
        workers: number of processes.
        advance: called with the number of images that have been read since the last call; negative if a process has
            died whose images are read again.

    Raises:
        BackendError: processes die before they can read.
        EdgeCrnnError: see `read_part` and `Workplace.reader`.
    """
    pool = _Pool(workplace, Tasks(parts), advance)
    try:
        yield from pool.run(workers)
    finally:
        pool.close()


class _Pool:
    def __init__(self, workplace: Workplace, tasks: Tasks, advance: Callable[[int], None]) -> None:
        self._workplace = workplace
        self._tasks = tasks
        self._advance = advance
        self._workers: list[_Worker] = []

    def run(self, count: int) -> Iterator[Outcome]:
        while True:
            while len(self._workers) < count and (task := self._tasks.next()) is not None:
                self._workers.append(_start(self._workplace, task))
            if not self._workers:
                return
            workers = {worker.pipe: worker for worker in self._workers}
            for pipe in wait(list(workers)):
                worker = workers[cast(Connection, pipe)]
                try:
                    message = worker.pipe.recv()
                except (EOFError, ConnectionError):
                    outcome = self._bury(worker)
                else:
                    outcome = self._take(worker, message)
                if outcome is not None:
                    yield outcome

    def close(self) -> None:
        """End the processes. This loses no result, because shards are written completely or not at all."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            _end(worker)

    def _take(self, worker: _Worker, message: object) -> Outcome | None:
        """Act on a message of a worker; return the outcome of its task if it has ended."""
        if isinstance(message, Exception):
            raise message
        if isinstance(message, Outcome):
            self._go_on(worker)
            return message
        if isinstance(message, _Ready):
            worker.is_ready = True
            self._tasks.begun()
        else:
            self._advance(worker.progress.add(message))  # type: ignore[arg-type]  # an event
        return None

    def _go_on(self, worker: _Worker) -> None:
        """Give the next task to a worker that is free, or end it if there is none."""
        task = self._tasks.next()
        if task is None:
            self._workers.remove(worker)
            _end(worker)
            return
        worker.task = task
        worker.progress = Progress()
        with contextlib.suppress(ConnectionError):  # it has died, which the next `recv` reports
            worker.pipe.send(task)

    def _bury(self, worker: _Worker) -> Outcome | None:
        """Remove a worker that has died, and have its task done again; return its outcome if it is given up."""
        self._workers.remove(worker)
        _end(worker)
        self._advance(-worker.progress.images)
        end = f"exit code {worker.process.exitcode}"
        if worker.is_ready:
            return self._tasks.died(worker.task, worker.progress.place, end)
        advice = "check that there is enough memory, or use fewer --workers"
        self._tasks.not_begun(worker.task, "processes", end, advice)
        return None


def _start(workplace: Workplace, task: Task) -> _Worker:
    context = multiprocessing.get_context("spawn")  # a forked copy of a process with threads may hang
    pipe, child_pipe = context.Pipe()
    process = context.Process(target=_serve, args=(child_pipe, workplace), name="edge-crnn-reader", daemon=True)
    with interrupts_ignored(), _one_thread_each():
        process.start()
    child_pipe.close()
    with contextlib.suppress(ConnectionError):  # it has died, which the next `recv` reports
        pipe.send(task)
    return _Worker(process, pipe, task)


def _end(worker: _Worker) -> None:
    worker.pipe.close()  # at which the process ends, if it has not
    worker.process.join()


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Start processes in this context whose NumPy does not start a thread for every core of the machine."""
    name = "OPENBLAS_NUM_THREADS"  # read when NumPy is imported
    if name in os.environ:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]


def _serve(pipe: Connection, workplace: Workplace) -> None:
    """Do the tasks that come through the pipe until it is closed."""
    end_with_parent()
    try:
        with workplace.reader() as reader:
            pipe.send(_Ready())
            while (task := _received(pipe)) is not None:
                for event in read_part(workplace, task, reader):
                    pipe.send(event)
    except Exception as error:  # the driver raises it
        with contextlib.suppress(ConnectionError):
            pipe.send(without_traceback(error))


def _received(pipe: Connection) -> Task | None:
    """Return the next task; None if the driver has closed the pipe."""
    try:
        return cast(Task, pipe.recv())
    except (EOFError, ConnectionError):
        return None
