"""Which files are too old, or too many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOM: Final = 0.95
"""Share of the largest total that is left after a removal, so that not every new file needs a removal."""


@dataclass(frozen=True, order=True)
class Kept:
    """A file that is kept for a time."""

    time: float
    """The age counts from here: seconds since the epoch."""
    path: Path
    size: int
    """In bytes."""


def expired(files: Iterable[Kept], now: float, keep_s: float | None, most_bytes: int | None) -> Iterator[Kept]:
    """Yield the files to remove, oldest first.

    Args:
        files: all files.
        now: seconds since the epoch.
        keep_s: the largest age in seconds; None: any.
        most_bytes: the largest total size; None: any. If it is exceeded, the oldest files go until 95 % of it are left.
    """
    oldest_first = sorted(files)
    total = sum(file.size for file in oldest_first)
    target = total
    if most_bytes is not None and total > most_bytes:
        target = int(_ROOM * most_bytes)
    for file in oldest_first:
        is_old = keep_s is not None and now - file.time > keep_s
        if not is_old and total <= target:
            return
        total -= file.size
        yield file
