"""Images that come into a folder, each given once it is whole.

A folder is looked at again and again: no event is missed, and any file system will do, such as one on a network. A file
is whole once two looks in a row find it with the same size and time; hidden and temporary names are never looked at, so
that who writes under one and renames has an image taken at its first two looks.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..images import SUFFIXES

AT_ONCE = 1024
"""Files at most that one look gives, the oldest of a longer queue: what bounds the memory of a large folder."""

TRIES = 3
"""Times that a file which is no image is tried while it stays as it is; after each, twice as many looks go by."""

_TEMPORARY = frozenset({".tmp", ".temp", ".part", ".partial", ".crdownload", ".filepart"})


@dataclass(frozen=True, order=True)
class Arrival:
    """A file as it is at one time: of the same name, size and time of last change, it is the same image."""

    mtime_ns: int
    name: str
    size: int

    @classmethod
    def of(cls, path: Path) -> Arrival | None:
        """The file as it is now; None: it is gone, or is no file."""
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
    """To go by before it is given."""
    tries: int = 0


class Arrivals:
    """The images of `folder` that `is_known` does not know."""

    def __init__(self, folder: Path, is_known: Callable[[Arrival], bool]) -> None:
        self.folder = folder
        self._is_known = is_known
        self._waiting: dict[str, _Waiting] = {}

    @property
    def waiting(self) -> int:
        """Files of the last look that were not given, or were and are to be tried again."""
        return len(self._waiting)

    def look(self) -> list[Arrival]:
        """What is whole now, oldest first.

        Raises:
            OSError: the folder cannot be looked at; what was waiting waits on.
        """
        found = heapq.nsmallest(AT_ONCE, self._unknown())
        # What is gone, known, or beyond the oldest is forgotten here.
        self._waiting = {arrival.name: self._next(arrival) for arrival in found}
        return [each for each in found if self._waiting[each.name].looks == 0]

    def done(self, arrival: Arrival) -> None:
        """It is known from now on."""
        self._waiting.pop(arrival.name, None)

    def failed(self, arrival: Arrival) -> bool:
        """It is no image: whether it is to be tried again, which `look` will say when."""
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
    """Whether a file of this name is meant to be looked at: an image's, neither hidden nor temporary."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    return bool(suffixes) and suffixes[-1] in SUFFIXES and name[0] not in ".~#" and _TEMPORARY.isdisjoint(suffixes)
