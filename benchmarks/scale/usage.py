"""The processor time and the memory of a process and its descendants, from /proc. Source: proc(5)."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_EVERY_S = 0.5


def processor_s(root: int) -> float:
    """Return the processor time of a process and its descendants, those that have ended included, in seconds."""
    return sum(sum(map(int, fields[11:15])) for _, fields in _tree(root)) / _TICKS


class Memory:
    """Samples the memory of workers below a process until it is closed.

    Args:
        root: the process.
        is_worker: takes the command line of a process below it.
    """

    def __init__(self, root: int, is_worker: Callable[[bytes], bool]) -> None:
        self._root = root
        self._is_worker = is_worker
        self._most: defaultdict[int, int] = defaultdict(int)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def close(self) -> list[float]:
        """Stop, and return the most memory of every worker, in MiB."""
        self._is_over.set()
        self._thread.join()
        return [size / (1 << 20) for size in self._most.values()]

    def _sample(self) -> None:
        while True:
            for pid, fields in _tree(self._root):
                if self._is_worker(_read(pid, "cmdline")):
                    self._most[pid] = max(self._most[pid], int(fields[21]) * _PAGE)
            if self._is_over.wait(_EVERY_S):
                return


def _tree(root: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield a process and its descendants, with the fields of their `stat` after the name."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    stats = {}
    for place in Path("/proc").glob("[0-9]*"):
        pid = int(place.name)
        fields = _read(pid, "stat").rpartition(b")")[2].split()
        if fields:
            stats[pid] = fields
            children[int(fields[1])].append(pid)
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            yield pid, stats[pid]
        waiting += children[pid]


def _read(pid: int, name: str) -> bytes:
    """Return a file about a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
