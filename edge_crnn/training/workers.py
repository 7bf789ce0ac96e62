"""Worker processes: spawned, single-threaded, ignoring Ctrl-C, and ending with the process that started them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ..errors import BackendError
from ..processes import end_with_parent, interrupts_ignored


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
        with interrupts_ignored():
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
    end_with_parent()
    if begin is not None:
        begin(*arguments)
