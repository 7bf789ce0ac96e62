"""A set of 64-bit digests that takes 8 bytes per digest, however long it grows."""

from __future__ import annotations

import mmap
from array import array

import numpy as np
import numpy.typing as npt

_DIGEST_BYTES = 8
_RECENT = 4096
"""Size of the unsorted part, since every growth of the table copies all of it."""


class Digests:
    """The set, which begins with `digests`; the risk of a collision is 1 in 10^12 per digest for 10^7 digests."""

    def __init__(self, digests: array[int]) -> None:
        table = _sorted_table(np.frombuffer(digests, np.uint64))
        repeats = np.flatnonzero(table[1:] == table[:-1])
        self._table = _sorted_table(np.delete(table, repeats)) if len(repeats) else table
        self._recent: set[int] = set()

    def __len__(self) -> int:
        return len(self._table) + len(self._recent)

    def __contains__(self, digest: int) -> bool:
        if digest in self._recent:
            return True
        place = int(np.searchsorted(self._table, np.uint64(digest)))
        return place < len(self._table) and int(self._table[place]) == digest

    def add(self, digest: int) -> None:
        """Add a digest, which may be in the set."""
        if digest in self:
            return
        self._recent.add(digest)
        if len(self._recent) == _RECENT:
            self._table = _sorted_table(self._table, np.fromiter(sorted(self._recent), np.uint64, _RECENT))
            self._recent.clear()


def _sorted_table(*parts: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Merge sorted arrays into a table in memory of its own.

    The system takes this memory back at once. The heap would keep it: a table never fits into the hole that the smaller
    one before it leaves, and the holes add up to twice the table.
    """
    count = sum(map(len, parts))
    if not count:
        return np.empty(0, np.uint64)
    table = np.frombuffer(mmap.mmap(-1, count * _DIGEST_BYTES), np.uint64)
    np.concatenate(parts, out=table)
    table.sort(kind="stable")  # merges what is sorted already, in linear time and almost without memory
    return table
