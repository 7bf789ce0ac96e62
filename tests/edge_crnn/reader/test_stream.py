"""Order, promptness, bounds and ends of a stream; the workers and sources wait for events instead of time."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.reader.stream import AHEAD, in_order

_PATIENCE_S = 20
SHAPES = pytest.mark.parametrize(("workers", "size"), [(1, 1), (1, 4), (2, 1), (4, 1), (3, 4)])


def doubled(items: list[int]) -> list[int]:
    return [2 * item for item in items]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edge-crnn")]


class Camera:
    """A source whose frame n comes when the test allows it; it notes the order of frames and results in `events`."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.asked = 0
        self._allowed = threading.Semaphore(0)

    def allow(self, frames: int = 1) -> None:
        self._allowed.release(frames)

    def __iter__(self) -> Iterator[int]:
        for number in range(1_000):
            self.asked += 1
            assert self._allowed.acquire(timeout=_PATIENCE_S)
            self.events.append(("taken", number))
            yield number


@given(
    items=st.lists(st.integers(), max_size=40),
    workers=st.integers(1, 4),
    size=st.integers(1, 5),
    may_block=st.booleans(),
)
def test_results_are_those_of_a_loop(items: list[int], workers: int, size: int, may_block: bool) -> None:
    sizes = []

    def work(part: list[int]) -> list[int]:
        sizes.append(len(part))
        return doubled(part)

    assert list(in_order(iter(items), work, workers=workers, size=size, may_block=may_block)) == doubled(items)
    assert all(1 <= length <= size for length in sizes)
    if not may_block:
        assert sorted(sizes, reverse=True) == [size] * (len(items) // size) + [len(items) % size] * bool(
            len(items) % size
        )
    assert not threads()


@SHAPES
def test_a_result_comes_before_the_next_item_but_one_is_taken(workers: int, size: int) -> None:
    """A reader of a camera was 4 × workers frames behind (rknn-cpp-Multithreading#23)."""
    camera = Camera()
    results = in_order(camera, doubled, workers=workers, size=size)
    for number in range(20):
        camera.allow()  # frame `number`, and none after it: the source blocks
        assert next(results) == 2 * number
        camera.events.append(("read", number))
    assert camera.events == [event for number in range(20) for event in (("taken", number), ("read", number))]
    camera.allow(1_000)
    results.close()  # type: ignore[attr-defined]
    assert not threads()


@pytest.mark.parametrize(("workers", "size"), [(2, 1), (3, 4)])
def test_the_oldest_result_does_not_wait_for_slower_ones_behind_it(workers: int, size: int) -> None:
    """The same delay, with a queue that is full of slow work (rknn-cpp-Multithreading#23)."""
    slow = threading.Event()

    def work(items: list[int]) -> list[int]:
        if 0 not in items:
            assert slow.wait(_PATIENCE_S)
        return doubled(items)

    camera = Camera()
    results = in_order(camera, work, workers=workers, size=size)
    camera.allow(1)
    assert next(results) == 0
    camera.allow(999)
    slow.set()
    assert list(results) == doubled(list(range(1, 1_000)))


@SHAPES
def test_a_burst_is_read_in_order_however_long_each_part_takes(workers: int, size: int) -> None:
    def work(items: list[int]) -> list[int]:
        time.sleep(0.002 * (items[0] % 3 == 0))
        return doubled(items)

    assert list(in_order(iter(range(60)), work, workers=workers, size=size)) == doubled(list(range(60)))


@SHAPES
@pytest.mark.parametrize("may_block", [True, False])
def test_a_slow_caller_bounds_what_is_taken(workers: int, size: int, may_block: bool) -> None:
    taken = []

    def source() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    results = in_order(source(), doubled, workers=workers, size=size, may_block=may_block)
    for number in range(8):
        assert next(results) == 2 * number
        time.sleep(0.01)  # the other threads take as much as they may
        assert len(taken) <= number + 1 + AHEAD * workers * size
    results.close()  # type: ignore[attr-defined]
    assert not threads()


@SHAPES
@pytest.mark.parametrize("error", [OSError("the camera is gone"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("good", [0, 1, 3, 50])
def test_results_before_a_failing_source_come_first(workers: int, size: int, error: BaseException, good: int) -> None:
    def source() -> Iterator[int]:
        yield from range(good)
        raise error

    results = in_order(source(), doubled, workers=workers, size=size)
    assert [next(results) for _ in range(good)] == doubled(list(range(good)))
    with pytest.raises(type(error)):
        next(results)
    assert not threads()


@SHAPES
@pytest.mark.parametrize("may_block", [True, False])
def test_results_before_failing_work_come_first(workers: int, size: int, may_block: bool) -> None:
    def work(items: list[int]) -> list[int]:
        if max(items) >= 40:
            raise RuntimeError("no memory")
        return doubled(items)

    results = in_order(range(99), work, workers=workers, size=size, may_block=may_block)
    read: list[int] = []
    with pytest.raises(RuntimeError, match="no memory"):
        read.extend(results)
    assert read == doubled(list(range(len(read))))
    assert 40 - size < len(read) <= 40
    assert not threads()


def test_a_source_that_is_no_iterable_is_an_error_of_the_caller() -> None:
    with pytest.raises(TypeError):
        list(in_order(7, doubled, workers=2, size=1))  # type: ignore[arg-type]
    assert not threads()


@SHAPES
@pytest.mark.parametrize("is_closed", [True, False])
@pytest.mark.parametrize("may_block", [True, False])
def test_leaving_early_ends_all_threads_and_the_source(
    workers: int, size: int, is_closed: bool, may_block: bool
) -> None:
    ended = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.set()

    results = in_order(endless(), doubled, workers=workers, size=size, may_block=may_block)
    assert next(results) == 2
    if is_closed:
        results.close()  # type: ignore[attr-defined]
    del results
    gc.collect()
    assert ended.wait(_PATIENCE_S)
    assert not threads()


def test_leaving_while_the_source_blocks_does_not_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_crnn.reader.stream._PATIENCE_S", 0.01)
    camera = Camera()
    results = in_order(camera, doubled, workers=2, size=1)
    camera.allow()
    assert next(results) == 0
    while camera.asked < 2:
        time.sleep(0.001)
    results.close()  # type: ignore[attr-defined]
    assert threads() == ["edge-crnn-source"]
    (left,) = (thread for thread in threading.enumerate() if thread.name == "edge-crnn-source")
    assert left.daemon
    camera.allow()
    left.join(_PATIENCE_S)
    assert not threads()
    assert camera.events == [("taken", 0), ("taken", 1)]


@SHAPES
def test_a_source_that_does_not_block_is_taken_in_the_thread_of_the_caller(workers: int, size: int) -> None:
    names = []

    def source() -> Iterator[int]:
        for number in range(30):
            names.append(threading.current_thread())
            yield number

    assert list(in_order(source(), doubled, workers=workers, size=size, may_block=False)) == doubled(list(range(30)))
    assert set(names) == {threading.current_thread()}


def test_frames_that_arrive_during_work_are_worked_on_together() -> None:
    at_work = threading.Event()
    may_end = threading.Event()
    sizes = []

    def work(items: list[int]) -> list[int]:
        sizes.append(len(items))
        at_work.set()
        assert may_end.wait(_PATIENCE_S)
        return doubled(items)

    camera = Camera()
    results = in_order(camera, work, workers=1, size=4)
    camera.allow(1)
    first = threading.Thread(target=next, args=(results,))
    first.start()
    assert at_work.wait(_PATIENCE_S)
    camera.allow(6)
    while len(camera.events) < 7:
        time.sleep(0.001)
    may_end.set()
    first.join()
    assert [next(results) for _ in range(6)] == [2, 4, 6, 8, 10, 12]
    camera.allow(1_000)
    results.close()  # type: ignore[attr-defined]
    assert sizes[:2] == [1, 4]
