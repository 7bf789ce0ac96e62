"""Parallel work on a stream, whose results come in the order of the stream and none later than necessary.

Three parties share the work. A thread takes items from the source, so a source that blocks holds up no result. A pool
of workers turns items into results. The caller's thread, in the generator, waits for the oldest result and yields it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from ..chunks import chunked

if TYPE_CHECKING:
    from concurrent.futures import Future

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

AHEAD = 2
"""Tasks per worker that are taken from the source ahead of the caller: one in work, and one that waits."""
_PATIENCE_S = 1.0
"""Time that closing waits for a source that blocks."""


def in_order(
    source: Iterable[_Item], work: Callable[[list[_Item]], list[_Result]], *, workers: int, size: int
) -> Iterator[_Result]:
    """Yield the result of every item of a source, in their order.

    A result is yielded as soon as it and all results before it are ready, even while the source blocks. At most
    `AHEAD` × `workers` × `size` items are taken from the source whose results have not been yielded, however slow the
    caller is. If the source or the work raises, all results before that point are yielded first.

    Items of a list or a tuple are worked on `size` at a time. Other sources may take long for every item, so a task
    consists of the items that have arrived when a worker becomes free, 1 to `size`. With 1 worker and 1 item per task,
    all is done in the caller's thread, and an item is taken after the result of the last is yielded.

    Closing the generator drops the items that are waiting, and returns when the work in progress has ended. If the
    source blocks for more than a second then, its thread is left behind: it ends as soon as the source returns, and
    does not keep the process alive.

    Args:
        source: taken from in one thread, which is not the caller's, except as above.
        work: returns one result for each of at least 1 and at most `size` items; called in several threads.
        workers: calls of `work` at a time, at least 1.
        size: items per call, at least 1.
    """
    step = size if isinstance(source, list | tuple) else 1
    if workers == 1 and step == size:  # nothing is gained by threads
        for items in chunked(source, size):
            yield from work(items)
        return
    from concurrent.futures import ThreadPoolExecutor  # imports logging, which a single image does not need

    stream = _Stream(work, size, step, workers)
    pool = ThreadPoolExecutor(workers, "edge-crnn-reader")
    taker = threading.Thread(target=stream.take, args=(source, pool.submit), name="edge-crnn-source", daemon=True)
    taker.start()
    try:
        yield from stream.results()
    finally:
        stream.stop()
        pool.shutdown(cancel_futures=True)
        taker.join(_PATIENCE_S)


class _Stream(Generic[_Item, _Result]):
    """The items and results that are under way.

    Items travel in parts of `step` items, which wait in `_waiting` for a worker. `_ordered` has the future results of
    all parts that have been taken and not yielded, oldest first, and None at the end.
    """

    def __init__(self, work: Callable[[list[_Item]], list[_Result]], size: int, step: int, workers: int) -> None:
        self._work = work
        self._step = step
        self._parts = size // step
        self._room = threading.Semaphore(AHEAD * workers * self._parts)
        self._waiting: deque[tuple[list[_Item], Future[list[_Result]]]] = deque()
        self._ordered: SimpleQueue[Future[list[_Result]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._stopped = False

    def take(self, source: Iterable[_Item], submit: Callable[[Callable[[], None]], object]) -> None:
        """Take all items from the source, and submit a task for every part, until the source ends or raises."""
        from concurrent.futures import Future

        try:
            items = iter(source)
            while self._has_room() and (part := list(islice(items, self._step))) and not self._stopped:
                future: Future[list[_Result]] = Future()
                self._waiting.append((part, future))
                self._ordered.put(future)
                submit(self._work_on_next)
        except BaseException as error:  # the caller's thread raises it
            self._failure = error
        self._ordered.put(None)

    def results(self) -> Iterator[_Result]:
        """Yield the results in order.

        Raises:
            BaseException: what the source or the work raised.
        """
        while (future := self._ordered.get()) is not None:
            yield from future.result()
            self._room.release()
        if self._failure is not None:
            try:
                raise self._failure
            finally:
                self._failure = None  # its traceback has this object, and so the items that wait

    def stop(self) -> None:
        """End `take` and drop what waits."""
        self._stopped = True
        with self._lock:
            self._waiting.clear()
        self._room.release()

    def _has_room(self) -> bool:
        self._room.acquire()
        return not self._stopped

    def _work_on_next(self) -> None:
        """Work on the parts that wait, unless an earlier task has done so."""
        with self._lock:
            parts = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._parts))]
        if not parts:
            return
        try:
            results = iter(self._work([item for part, _ in parts for item in part]))
        except BaseException as error:  # as above
            for _, future in parts:
                future.set_exception(error)
        else:
            for part, future in parts:
                future.set_result(list(islice(results, len(part))))
