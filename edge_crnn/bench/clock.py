"""The clock behind every measured time; tests use one of their own."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> int:
        """Return the nanoseconds since a fixed moment."""
        ...

    def processor(self) -> int:
        """Return the processor time of all threads of this process, in nanoseconds."""
        ...

    def sleep(self, nanoseconds: int) -> None:
        """Wait for at least this long."""
        ...


class SystemClock:
    """The clock of this machine with the finest resolution."""

    def now(self) -> int:
        """See `Clock.now`."""
        return time.perf_counter_ns()

    def processor(self) -> int:
        """See `Clock.processor`."""
        return time.process_time_ns()

    def sleep(self, nanoseconds: int) -> None:
        """See `Clock.sleep`."""
        time.sleep(nanoseconds / 1e9)

    def __str__(self) -> str:
        facts = time.get_clock_info("perf_counter")
        return f"{facts.implementation}, resolution {facts.resolution * 1e9:g} ns"
