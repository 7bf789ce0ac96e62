"""Several sinks as one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import Final

from ..event import Event
from ..protocols import CLOSE_S, Sink

HURRY_S: Final = 0.5
"""Seconds for closing after an interruption: enough for a disk, and too short for a server that does not answer."""
_GRACE_S: Final = 1.0
"""Seconds that a sink may take longer than it should."""


class Group:
    """Passes every event on to several sinks, and closes them side by side.

    It is a context manager. If the block is interrupted, or if closing is, the sinks have half a second; a line that is
    being written is completed.
    """

    def __init__(self) -> None:
        self._sinks: list[Sink] = []

    def __iter__(self) -> Iterator[Sink]:
        return iter(self._sinks)

    def add(self, sink: Sink) -> None:
        """Add a sink, which is closed with the group."""
        self._sinks.append(sink)

    def put(self, event: Event) -> None:
        """Pass an event on."""
        for sink in self._sinks:
            sink.put(event)

    def close(self, within_s: float = CLOSE_S) -> None:
        """Close all sinks, and wait at most a second longer than `within_s`. A sink that is not ready then is left.

        Raises:
            Exception: the first error of a sink, after all have been closed.
        """
        try:
            self._close(within_s)
        except KeyboardInterrupt:
            self._close(min(within_s, HURRY_S))
            raise

    def __enter__(self) -> Group:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(HURRY_S if isinstance(error, KeyboardInterrupt) else CLOSE_S)

    def _close(self, within_s: float) -> None:
        errors: list[Exception] = []
        deadline = time.monotonic() + within_s + _GRACE_S
        threads = [
            threading.Thread(target=partial(_close, sink, within_s, errors), name="closing", daemon=True)
            for sink in self._sinks
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if errors:
            raise errors[0]


def _close(sink: Sink, within_s: float, errors: list[Exception]) -> None:
    try:
        sink.close(within_s)
    except Exception as error:  # goes to the thread that waits
        errors.append(error)
