"""Turns SIGTERM and SIGINT into a flag that a loop checks, and that ends its sleep."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Context manager for the main thread: the first signal sets `asked`.

    Args:
        interrupts: what a second signal does. False: it ends the process as usual. True: it raises KeyboardInterrupt,
            whichever of the two it is, so that whatever is open can be closed; later signals are ignored meanwhile.
    """

    def __init__(self, *, interrupts: bool = False) -> None:
        self.asked = False
        self._interrupts = interrupts
        self._actions: list[Callable[[], None]] = []
        self._before: dict[signal.Signals, Any] = {}

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`, or until asked to stop."""
        if not self.asked:
            select.select([self._wake], [], [], seconds)

    def then(self, action: Callable[[], None]) -> None:
        """Call `action` when asked to stop, in the main thread; at once if that was before."""
        self._actions.append(action)
        if self.asked:
            action()

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
        if self.asked:
            for signal_number in _SIGNALS:
                signal.signal(signal_number, signal.SIG_IGN)
            raise KeyboardInterrupt
        self.asked = True
        if not self._interrupts:
            self._restore()
        with contextlib.suppress(OSError):
            os.write(self._waker, b"\0")
        for action in self._actions:
            action()

    def _restore(self) -> None:
        for signal_number, before in self._before.items():
            signal.signal(signal_number, before)
