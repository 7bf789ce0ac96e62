"""Worker processes: spawned, single-threaded, ignoring Ctrl-C, and ending with the process that started them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ..errors import BackendError


@contextlib.contextmanager
def workers(count: int, begin: Callable[..., None] | None = None, *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """Start a pool of processes that have called `begin(*arguments)`, and end them with the context.

    Raises:
        BackendError: a process was killed.
    """
    # Forked copies of a process with threads, such as OpenCV's and TensorFlow's, may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, _begin, (begin, arguments))
    try:
        with _interrupts_ignored():  # inherited: Ctrl-C reaches all processes of a terminal, but must end only this one
            for started in [pool.submit(os.getpid) for _ in range(count)]:
                started.result()
        yield pool
    except BrokenProcessPool as error:
        raise BackendError(
            "a process that prepares images was killed, probably because memory ran out; use fewer --workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    import cv2

    cv2.setNumThreads(1)  # the processes share the cores already
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if begin is not None:
        begin(*arguments)


def _leave_with_parent() -> None:
    """End this process when its parent is killed; nothing else reports that."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only the main thread may change it
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
