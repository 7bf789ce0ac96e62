from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from edge_crnn.errors import OutputError
from edge_crnn.watch.event import Event
from edge_crnn.watch.protocols import CLOSE_S
from edge_crnn.watch.sinks.group import HURRY_S, Group
from edge_crnn.watch.sinks.lines import Lines
from edge_crnn.watch.sinks.queued import Queued
from tests.edge_crnn.watch.sinks.events import an_event, numbered


class Away:
    """A sink whose place is away."""

    def __init__(self, said: list[str]) -> None:
        self.queue: Queued[Event] = Queued("away", self._deliver, say=said.append)

    def put(self, event: Event) -> None:
        self.queue.put(event, 1)

    def close(self, within_s: float = CLOSE_S) -> None:
        self.queue.close(within_s)

    def _deliver(self, event: Event) -> None:
        raise OutputError(None, "away")


class Broken:
    """A sink that cannot be closed."""

    def put(self, event: Event) -> None:
        """Take an event."""

    def close(self, within_s: float = CLOSE_S) -> None:
        raise OutputError(None, "cannot be closed")


def test_every_sink_gets_every_event(tmp_path: Path) -> None:
    with Group() as group:
        for name in ("a.jsonl", "b.jsonl"):
            group.add(Lines(tmp_path / name))
        assert len(list(group)) == 2
        for event in numbered(3):
            group.put(event)
    for name in ("a.jsonl", "b.jsonl"):
        assert len((tmp_path / name).read_text("utf-8").splitlines()) == 3


def test_sinks_are_closed_side_by_side_within_one_deadline() -> None:
    said: list[str] = []
    group = Group()
    for _ in range(4):
        group.add(Away(said))
    group.put(an_event())
    begin = time.monotonic()
    group.close(0.7)
    assert time.monotonic() - begin < 2.5  # one after the other, they would take 2.8
    assert sum("1 not delivered" in line for line in said) == 4


def test_a_sink_that_hangs_is_left() -> None:
    group = Group()
    hanging = threading.Event()

    class Hanging(Broken):
        def close(self, within_s: float = CLOSE_S) -> None:
            hanging.wait(60)

    group.add(Hanging())
    begin = time.monotonic()
    group.close(0.1)
    assert time.monotonic() - begin < 5
    hanging.set()


def test_an_error_comes_after_all_have_been_closed(tmp_path: Path) -> None:
    group = Group()
    group.add(Broken())
    group.add(Lines(tmp_path / "events.jsonl"))
    group.put(an_event())
    with pytest.raises(OutputError, match="cannot be closed"):
        group.close()
    Lines(tmp_path / "events.jsonl").close()  # is no longer locked


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends a process there")
@pytest.mark.parametrize("moment", ["in the block", "while closing"])
def test_an_interruption_shortens_the_wait_and_loses_no_line(moment: str, tmp_path: Path) -> None:
    said: list[str] = []
    begin = time.monotonic()
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), Group() as group:  # noqa: PT012
        group.add(Away(said))
        group.add(Lines(tmp_path / "events.jsonl"))
        for event in numbered(3):
            group.put(event)
        if moment == "in the block":
            raise KeyboardInterrupt
        timer.start()
    assert time.monotonic() - begin < HURRY_S + 2.5
    assert ["3 not delivered" in line for line in said[1:]] == [True]
    assert len((tmp_path / "events.jsonl").read_text("utf-8").splitlines()) == 3
