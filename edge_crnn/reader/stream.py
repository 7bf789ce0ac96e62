"""Parallel work on a stream, whose results come in the order of the stream and none later than necessary.

Three parties share the work. A thread takes items from the source, so a source that blocks holds up no result; from a
source that does not block, the caller's thread takes them. A pool of workers turns items into results. The caller's
thread, in the generator, waits for the oldest result and yields it.
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
    from concurrent.futures import Future, ThreadPoolExecutor

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

AHEAD = 2
"""Tasks per worker that are taken from the source ahead of the caller: one in work, and one that waits."""
_PATIENCE_S = 1.0
"""Time that closing waits for a source that blocks."""


def in_order(
    source: Iterable[_Item],
    work: Callable[[list[_Item]], list[_Result]],
    *,
    workers: int,
    size: int,
    may_block: bool = True,
) -> Iterator[_Result]:
    """Yield the result of every item of a source, in their order.

    A result is yielded as soon as it and all results before it are ready, even while the source blocks. At most
    `AHEAD` × `workers` × `size` items are taken from the source whose results have not been yielded, however slow the
    caller is. If the work raises, or a source that may block, all results before that point are yielded first.

    A source that may block may take long for every item, so a task consists of the items that have arrived when a
    worker becomes free, 1 to `size`. From other sources, items are taken and worked on `size` at a time. With 1 worker,
    all is done in the caller's thread, and items are taken after the results of the last ones are yielded; but if the
    source may block, only with 1 item per task.

    Closing the generator drops the items that are waiting, and returns when the work in progress has ended. If the
    source blocks for more than a second then, its thread is left behind: it ends as soon as the source returns, and
    does not keep the process alive.

    Args:
        source: the items.
        work: returns one result for each of at least 1 and at most `size` items; called in several threads.
        workers: calls of `work` at a time, at least 1.
        size: items per call, at least 1.
        may_block: take the items in a thread of their own, which results do not wait for, except as above. If False,
            they are taken in the caller's thread.
    """
    if workers == 1 and (size == 1 or not may_block):  # nothing is gained by threads
        for items in chunked(source, size):
            yield from work(items)
        return
    from concurrent.futures import ThreadPoolExecutor  # imports logging, which a single image does not need

    pool = ThreadPoolExecutor(workers, "edge-crnn-reader")
    if not may_block:
        yield from _taken_here(source, work, pool, size, AHEAD * workers)
        return
    stream = _Stream(work, size, workers)
    taker = threading.Thread(target=stream.take, args=(source, pool.submit), name="edge-crnn-source", daemon=True)
    taker.start()
    try:
        yield from stream.results()
    finally:
        stream.stop()
        pool.shutdown(cancel_futures=True)
        taker.join(_PATIENCE_S)


def _taken_here(
    source: Iterable[_Item],
    work: Callable[[list[_Item]], list[_Result]],
    pool: ThreadPoolExecutor,
    size: int,
    most: int,
) -> Iterator[_Result]:
    """Yield results in order, with at most `most` tasks of `size` items under way; shut the pool down at the end."""
    tasks: deque[Future[list[_Result]]] = deque()
    try:
        for items in chunked(source, size):
            tasks.append(pool.submit(work, items))
            if len(tasks) == most:
                yield from tasks.popleft().result()
        while tasks:
            yield from tasks.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class _Stream(Generic[_Item, _Result]):
    """The items and results that are under way.

    Items wait in `_waiting` for a worker. `_ordered` has the future results of all items that have been taken and not
    yielded, oldest first, and None at the end.
    """

    def __init__(self, work: Callable[[list[_Item]], list[_Result]], size: int, workers: int) -> None:
        self._work = work
        self._size = size
        self._room = threading.Semaphore(AHEAD * workers * size)
        self._waiting: deque[tuple[_Item, Future[_Result]]] = deque()
        self._ordered: SimpleQueue[Future[_Result] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._stopped = False

    def take(self, source: Iterable[_Item], submit: Callable[[Callable[[], None]], object]) -> None:
        """Take all items from the source, and submit a task for every item, until the source ends or raises."""
        from concurrent.futures import Future

        try:
            items = iter(source)
            while self._has_room() and (taken := list(islice(items, 1))) and not self._stopped:
                future: Future[_Result] = Future()
                self._waiting.append((taken[0], future))
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
            yield future.result()
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
        """Work on the items that wait, unless an earlier task has done so."""
        with self._lock:
            items = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._size))]
        if not items:
            return
        try:
            results = self._work([item for item, _ in items])
        except BaseException as error:  # as above
            for _, future in items:
                future.set_exception(error)
        else:
            for (_, future), result in zip(items, results, strict=True):
                future.set_result(result)
