"""Watches a folder for images, and yields each image once it is complete.

The folder is polled, so no event is missed and any file system works, also one on a network. A file is complete once
two consecutive polls see the same size and time. Hidden and temporary names are ignored, so an image that is written
under such a name and renamed is taken after two polls.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..images import SUFFIXES

AT_ONCE = 1024
"""Largest number of files per poll, the oldest of a longer queue, which limits memory for a large folder."""

TRIES = 3
"""Attempts to read an unchanged file that is no image; the number of polls between attempts doubles."""

_TEMPORARY = frozenset({".tmp", ".temp", ".part", ".partial", ".crdownload", ".filepart"})


@dataclass(frozen=True, order=True)
class Arrival:
    """A file at one time; the same name, size and modification time mean the same image."""

    mtime_ns: int
    name: str
    size: int

    @classmethod
    def of(cls, path: Path) -> Arrival | None:
        """Return the file as it is now; None: it is gone, or is no file."""
        try:
            return cls._of(path.name, path.stat()) if path.is_file() else None
        except OSError:
            return None

    @classmethod
    def _of(cls, name: str, status: os.stat_result) -> Arrival:
        return cls(status.st_mtime_ns, name, status.st_size)


@dataclass
class _Waiting:
    arrival: Arrival
    looks: int
    """Polls to wait before the file is returned."""
    tries: int = 0


class Arrivals:
    """The images of `folder` for which `is_known` is false."""

    def __init__(self, folder: Path, is_known: Callable[[Arrival], bool]) -> None:
        self.folder = folder
        self._is_known = is_known
        self._waiting: dict[str, _Waiting] = {}

    @property
    def waiting(self) -> int:
        """Number of files of the last poll that are still waiting or will be tried again."""
        return len(self._waiting)

    def look(self) -> list[Arrival]:
        """Poll the folder, and return the images that are complete, oldest first.

        Raises:
            OSError: the folder cannot be looked at; what was waiting waits on.
        """
        oldest = heapq.nsmallest(AT_ONCE, self._unknown())
        # What is gone, known, or beyond the oldest is forgotten here.
        self._waiting = {arrival.name: self._next(arrival) for arrival in oldest}
        return [arrival for arrival in oldest if self._waiting[arrival.name].looks == 0]

    def done(self, arrival: Arrival) -> None:
        """Record that an arrival has been read."""
        self._waiting.pop(arrival.name, None)

    def failed(self, arrival: Arrival) -> bool:
        """Record that an arrival is no image; return whether `look` will return it again later."""
        waiting = self._waiting[arrival.name]
        waiting.tries += 1
        waiting.looks = 2**waiting.tries
        return waiting.tries < TRIES

    def _next(self, arrival: Arrival) -> _Waiting:
        waiting = self._waiting.get(arrival.name)
        if waiting is None or waiting.arrival != arrival:
            return _Waiting(arrival, looks=1)
        waiting.looks = max(waiting.looks - 1, 0)
        return waiting

    def _unknown(self) -> Iterator[Arrival]:
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if not is_image_name(entry.name):
                    continue
                try:
                    arrival = Arrival._of(entry.name, entry.stat()) if entry.is_file() else None
                except OSError:  # gone since, or a link that leads nowhere
                    continue
                if arrival is not None and not self._is_known(arrival):
                    yield arrival


def is_image_name(name: str) -> bool:
    """Whether this is the name of an image that is neither hidden nor temporary."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    return bool(suffixes) and suffixes[-1] in SUFFIXES and name[0] not in ".~#" and _TEMPORARY.isdisjoint(suffixes)
