from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from edge_crnn.errors import InputError, OutputError
from edge_crnn.watch.sinks.queued import Queued, detached
from tests.edge_crnn.watch.sinks.events import an_event
from tests.edge_crnn.watch.sinks.waiting import until

_FAST = (0.01, 0.02)


def test_items_are_delivered_in_order() -> None:
    got: list[int] = []
    queue = Queued("place", got.append)
    for n in range(100):
        queue.put(n, 1)
    queue.close()
    assert got == list(range(100))
    assert queue.has_ended


def test_an_outage_loses_nothing_and_is_said_once() -> None:
    got: list[int] = []
    said: list[str] = []
    is_away = threading.Event()
    is_away.set()

    def deliver(item: int) -> None:
        if is_away.is_set():
            raise OutputError(None, "place: away")
        got.append(item)

    queue = Queued("place", deliver, pauses=_FAST, say=said.append)
    for n in range(5):
        queue.put(n, 1)
    until(lambda: queue.trouble == "place: away")
    time.sleep(0.1)
    is_away.clear()
    until(lambda: len(got) == 5)
    queue.close()
    assert got == [0, 1, 2, 3, 4]
    assert len([line for line in said if "away" in line]) == 1
    assert said[-1] == "place: works again"


@pytest.mark.parametrize("limit", [{"most_items": 3}, {"most_bytes": 30}])
def test_the_oldest_are_dropped_and_counted(limit: dict[str, int]) -> None:
    got: list[int] = []
    said: list[str] = []
    begun, may_go = threading.Event(), threading.Event()

    def deliver(item: int) -> None:
        begun.set()
        may_go.wait(10)
        got.append(item)

    queue = Queued("place", deliver, say=said.append, **limit)
    queue.put(0, 10)
    assert begun.wait(10)
    for n in range(1, 8):
        queue.put(n, 10)
    may_go.set()
    queue.close()
    assert got == [0, 6, 7], "the one being delivered and the two newest"
    assert queue.dropped == 5
    assert any("dropped the 5 oldest" in line for line in said)


def test_putting_never_waits_for_a_delivery() -> None:
    may_go = threading.Event()
    queue: Queued[int] = Queued("place", lambda _: may_go.wait(10) and None)
    begin = time.perf_counter()
    for n in range(1000):
        queue.put(n, 1)
    assert time.perf_counter() - begin < 10
    may_go.set()
    queue.close()
    assert queue.delivered == 1000


@pytest.mark.parametrize("error", [InputError("place: refuses"), ZeroDivisionError("oops")])
def test_what_can_never_be_delivered_is_given_up(error: Exception) -> None:
    got: list[int] = []
    said: list[str] = []

    def deliver(item: int) -> None:
        if item != 2:
            raise error
        got.append(item)

    queue = Queued("place", deliver, say=said.append)
    for n in range(3):
        queue.put(n, 1)
    queue.close()
    assert got == [2]
    assert queue.refused == 2
    assert len(said) == 1
    assert "given up" in said[0]


def test_closing_ends_in_time_and_says_what_is_left() -> None:
    said: list[str] = []

    def deliver(_: int) -> None:
        raise OutputError(None, "place: away")

    queue = Queued("place", deliver, pauses=(30.0, 30.0), say=said.append)
    queue.put(1, 1)
    until(lambda: queue.trouble is not None)
    begin = time.perf_counter()
    queue.close(0.2)
    queue.close(0.2)
    assert time.perf_counter() - begin < 3
    assert "1 not delivered" in said[-1]
    with pytest.raises(OutputError, match="closed"):
        queue.put(2, 1)


def test_a_second_call_shortens_the_time_to_close_and_what_is_left_is_said_once() -> None:
    said: list[str] = []

    def deliver(_: int) -> None:
        raise OutputError(None, "place: away")

    queue = Queued("place", deliver, pauses=(0.01, 0.01), say=said.append)
    queue.put(1, 1)
    until(lambda: queue.trouble is not None)
    closing = threading.Thread(target=queue.close, args=(60,))
    closing.start()
    until(lambda: queue._deadline is not None)
    queue.close(0.1)
    queue.close(60)
    closing.join(10)
    assert not closing.is_alive()
    assert sum("1 not delivered" in line for line in said) == 1


def test_it_rests_at_the_start_and_while_nothing_comes() -> None:
    rests: list[float] = []
    queue: Queued[int] = Queued("place", lambda _: None, rest=lambda: rests.append(time.monotonic()), rest_s=0.02)
    until(lambda: len(rests) >= 3)
    queue.close()


def test_trouble_while_resting_is_said_once_and_delivery_goes_on() -> None:
    said: list[str] = []
    got: list[int] = []
    tries: list[int] = []

    def rest() -> None:
        tries.append(1)
        raise OutputError(None, "place: cannot tidy")

    queue = Queued("place", got.append, rest=rest, rest_s=0.01, say=said.append)
    until(lambda: len(tries) > 3)
    queue.put(1, 1)
    until(lambda: got == [1])
    queue.close()
    assert len(said) == 1


def test_a_detached_event_does_not_change_with_its_frame() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    event = an_event(crop=frame[10:20, 10:40])
    kept = detached(event)
    frame[:] = 255
    assert kept.crop.base is None
    assert not kept.crop.any()
    assert detached(kept) is kept
