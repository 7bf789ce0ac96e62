"""Watches a folder for images and returns each image once it is complete.

The folder is polled, so no event is missed and any file system works, also one on a network. A file is complete if two
consecutive polls see the same size and time. Hidden and temporary names are ignored, so an image that is written under
such a name and then renamed is returned after two polls.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..folders import Skipped, Walk

AT_ONCE = 1024
"""Largest number of new files per poll, and of files to try again. Of a longer queue, the oldest are returned, which
limits memory."""

TRIES = 3
"""Attempts to read an unchanged file that is not an image; the number of polls between attempts doubles."""

_DOUBLINGS = 5
LONGEST_WAIT = 2**_DOUBLINGS
"""Largest number of polls between two attempts to read a file that is not available."""

_TEMPORARY = frozenset({"tmp", "temp", "part", "partial", "crdownload", "filepart"})


@dataclass(frozen=True, order=True)
class Arrival:
    """A file at a moment; the same name, size and modification time mean the same image."""

    mtime_ns: int
    name: str
    """The path from the folder, with slashes."""
    size: int

    @classmethod
    def of(cls, folder: Path, name: str) -> Arrival | None:
        """Return a file of a folder as it is now, or None if there is no such file or it is not available."""
        path = folder / name
        try:
            return cls._of(name, path.stat()) if path.is_file() else None
        except OSError:
            return None

    @classmethod
    def _of(cls, name: str, status: os.stat_result) -> Arrival:
        return cls(status.st_mtime_ns, name, status.st_size)


@dataclass
class _Waiting:
    arrival: Arrival
    ctime_ns: int
    looks: int = 1
    """Polls to wait before the file is returned."""
    tries: int = 0
    reason: str | None = None
    """The reason why the file was not available at the last attempt; None if it was."""


class Arrivals:
    """The images of a folder that are still to be read.

    Args:
        folder: the folder.
        is_known: tells which images have been read.
        recursive: also watch subfolders, including those that are created later.
    """

    def __init__(self, folder: Path, is_known: Callable[[Arrival], bool], recursive: bool = False) -> None:
        self.folder = folder
        self._is_known = is_known
        self._walk = Walk(folder, recursive, self._cannot_be_looked_at, _is_hidden)
        self._waiting: dict[str, _Waiting] = {}
        self._unreachable: dict[str, str] = {}

    @property
    def waiting(self) -> int:
        """Number of files of the last poll that wait to be read, or to be read again soon."""
        return sum(waiting.reason is None or waiting.tries < TRIES for waiting in self._waiting.values())

    @property
    def unavailable(self) -> dict[str, str]:
        """Path of a file or subfolder that cannot be read at the moment → the reason."""
        files = {name: waiting.reason for name, waiting in self._waiting.items() if waiting.reason is not None}
        return {**files, **self._unreachable}

    @property
    def skipped(self) -> Skipped:
        """The files and subfolders that the last poll skipped."""
        return self._walk.skipped

    def look(self) -> list[Arrival]:
        """Poll the folder and return the images that are complete, oldest first.

        Raises:
            OSError: the folder cannot be listed; the files that wait are kept.
        """
        tried: dict[str, _Waiting] = {}
        new = heapq.nsmallest(AT_ONCE, self._new(tried), key=lambda waiting: waiting.arrival)
        complete = [waiting.arrival for waiting in new if waiting.looks == 0]
        due = [waiting.arrival for waiting in tried.values() if waiting.looks == 0]
        # Files that are gone, known, or new and beyond the oldest are forgotten here.
        self._waiting = {**tried, **{waiting.arrival.name: waiting for waiting in new}}
        return sorted(complete + heapq.nsmallest(AT_ONCE, due))

    def done(self, arrival: Arrival) -> None:
        """Record that an arrival has been read."""
        self._waiting.pop(arrival.name, None)

    def failed(self, arrival: Arrival) -> bool:
        """Record that an arrival is not an image; return whether `look` will return it again."""
        waiting = self._waiting[arrival.name]
        waiting.reason = None
        waiting.tries += 1
        waiting.looks = 2**waiting.tries
        return waiting.tries < TRIES

    def postpone(self, arrival: Arrival, reason: str) -> None:
        """Record that an arrival is not available; `look` returns it after a change, or ever more rarely."""
        waiting = self._waiting[arrival.name]
        waiting.reason = reason
        waiting.tries += 1
        waiting.looks = 2 ** min(waiting.tries, _DOUBLINGS)

    def _new(self, tried: dict[str, _Waiting]) -> Iterator[_Waiting]:
        """Yield all files that are not known and have not been tried; put those that have into `tried`.

        This way a file that was tried in vain never takes the place of a new one.
        """
        self._unreachable = {}
        for arrival, ctime_ns in self._unknown():
            waiting = self._next(arrival, ctime_ns)
            if waiting.tries:
                tried[arrival.name] = waiting
            else:
                yield waiting

    def _next(self, arrival: Arrival, ctime_ns: int) -> _Waiting:
        waiting = self._waiting.get(arrival.name)
        if waiting is None or waiting.arrival != arrival:
            return _Waiting(arrival, ctime_ns)
        if waiting.tries and waiting.ctime_ns != ctime_ns:  # for example because its permissions changed
            return _Waiting(arrival, ctime_ns)
        waiting.looks = max(waiting.looks - 1, 0)
        return waiting

    def _unknown(self) -> Iterator[tuple[Arrival, int]]:
        """Yield every image that is not known, and the time of its last change of any kind."""
        for name, entry in self._walk:
            try:
                status = entry.stat()
            except FileNotFoundError:  # it has gone
                continue
            except OSError as error:
                self._cannot_be_looked_at(name, error)
                continue
            arrival = Arrival._of(name, status)
            if not self._is_known(arrival):
                yield arrival, status.st_ctime_ns

    def _cannot_be_looked_at(self, name: str, error: OSError) -> None:
        self._unreachable[name] = error.strerror or str(error)


def _is_hidden(name: str) -> bool:
    """Return whether a name is that of a hidden or temporary file or folder."""
    return name[0] in ".~#" or not _TEMPORARY.isdisjoint(name.lower().split(".")[1:])
