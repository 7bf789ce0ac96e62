"""Measures how many cores other programs kept busy during a measurement.

The load average does not show this: one busy program on two cores leaves a core to a single-threaded engine, but halves
what an engine with two threads gets. So it favours the engine that waits most cheaply for its own threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

QUIET = 0.1
"""The most cores that other programs may keep busy, on average, in a measurement worth quoting."""

_TICKS = os.sysconf("SC_CLK_TCK")


class Contention:
    """Counts the work of other programs from its creation on; `pids` are the processes under measurement."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = tuple(pids)
        self._started = time.monotonic()
        self._busy = _busy_s()
        self._own = self._own_s()

    def cores(self) -> float:
        """Return the number of cores that all other programs together kept busy, on average."""
        elapsed = max(time.monotonic() - self._started, 1e-9)
        return max(0.0, (_busy_s() - self._busy - (self._own_s() - self._own)) / elapsed)

    def _own_s(self) -> float:
        return sum(_process_s(pid) for pid in self._pids)


def _busy_s() -> float:
    """Return the seconds that all cores have worked, or waited for the hypervisor, since the machine started.

    Source: proc(5).
    """
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, _stat("/proc/stat").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _process_s(pid: int) -> float:
    """Return the processor time of a process and of its children that have ended, in seconds.

    These are fields 14 to 17, counted after the name, which may contain blanks. Source: proc(5).
    """
    fields = _stat(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def _stat(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")
