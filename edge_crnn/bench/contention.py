"""How much of the machine other programs took during a measurement.

The load average does not tell: one busy program leaves a single-threaded engine a core of its own and halves what two
threads get, which flatters whichever engine waits most cheaply for its own threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

QUIET = 0.1
"""Most cores that other programs may keep busy, on average, in a measurement that is worth quoting."""

_TICKS = os.sysconf("SC_CLK_TCK")


class Contention:
    """Counts from its making until `cores`; `pids` are the processes under measurement."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = tuple(pids)
        self._started, self._busy, self._own = time.monotonic(), _busy_s(), self._own_s()

    def cores(self) -> float:
        """Cores that all other programs together kept busy, on average."""
        elapsed = max(time.monotonic() - self._started, 1e-9)
        return max(0.0, (_busy_s() - self._busy - (self._own_s() - self._own)) / elapsed)

    def _own_s(self) -> float:
        return sum(_process_s(pid) for pid in self._pids)


def _busy_s() -> float:
    """Seconds that all cores together have worked, or waited for the hypervisor, since the start; proc(5)."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, _stat("/proc/stat").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _process_s(pid: int) -> float:
    """Seconds that a process has worked, with its children that have ended.

    Fields 14 to 17, counted behind the name, which may hold blanks; proc(5).
    """
    fields = _stat(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def _stat(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")
