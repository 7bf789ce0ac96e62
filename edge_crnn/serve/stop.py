"""Turns SIGTERM and SIGINT into a flag that a loop checks, and that ends its sleep."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Context manager for the main thread: the first signal sets `asked`, a second one ends the process as usual."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`, or until asked to stop."""
        if not self.asked:
            select.select([self._wake], [], [], seconds)

    def __enter__(self) -> Stop:
        # A pipe also wakes a sleep that begins just after the signal, between the check of `asked` and `select`.
        self._wake, self._waker = os.pipe()
        self._before = {signal_number: signal.signal(signal_number, self._ask) for signal_number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        os.close(self._wake)
        os.close(self._waker)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        self._restore()
        with contextlib.suppress(OSError):
            os.write(self._waker, b"\0")

    def _restore(self) -> None:
        for signal_number, before in self._before.items():
            signal.signal(signal_number, before)
