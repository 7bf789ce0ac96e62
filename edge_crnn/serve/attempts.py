"""Records which images are being read, so that after a crash the next process knows which images may be the cause.

An image can end the process that reads it: by exhausting memory, by crashing a decoder, or by a watchdog's timeout. If
it was read again at every start, it would block all images after it.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ..errors import OutputError
from .arrivals import Arrival

DEADLY = 3
"""Crashes while an image is read before it is skipped: one with others, two alone."""

_MOST = 8 << 20
"""Largest number of bytes read: no process has that many images at once."""
_LAZY = 32
"""Largest number of ended readings in the file, which is not rewritten for every image to save time."""


class Attempts:
    """The file at `path`, with a line per reading that has begun and not ended.

    A process that ends in order removes its lines. The file is written but not synced, because no image causes a power
    cut. Only one process uses it at a time. If it cannot be opened, crashes of earlier processes are not counted.

    Args:
        path: the file, which is created if there is none.
        is_open: tells whether an arrival that the file names still waits to be read.
    """

    trouble: str | None = None
    """The reason why nothing is recorded; None if the file can be used."""

    def __init__(self, path: Path, is_open: Callable[[Arrival], bool]) -> None:
        self._path = path
        self._lock = threading.Lock()  # the reader takes images, which begins them, in a thread of its own
        self._file: int | None = None
        data = b""
        try:
            self._file = _opened(path)
            data = os.pread(self._file, _MOST, 0)
        except OSError as error:
            self.trouble = f"{path}: cannot be opened ({error.strerror}); an image that ends the process is read again"
        begun = Counter(arrival for arrival in map(_arrival, data.split(b"\n")) if arrival is not None)
        self._before = Counter({arrival: count for arrival, count in begun.items() if is_open(arrival)})
        self._begun = self._before.copy()
        self._ended: set[Arrival] = set()
        self._end = 0
        self._write()

    def count(self, arrival: Arrival) -> int:
        """Return how many readings of an arrival began and did not end."""
        return self._begun[arrival]

    def begin(self, arrival: Arrival) -> None:
        """Record that an arrival is being read.

        Raises:
            OutputError: the disk is full.
        """
        with self._lock:
            self._begun[arrival] += 1
            if arrival in self._ended:
                self._write()
            else:
                self._put(_line(arrival))

    def end(self, arrival: Arrival) -> None:
        """Record that the process has survived the reading of an arrival, which may not be an image.

        Raises:
            OutputError: the disk is full.
        """
        with self._lock:
            count = self._begun.pop(arrival, 0)
            self._before.pop(arrival, 0)
            if not count:
                return
            self._ended.add(arrival)
            if count > 1 or len(self._ended) > max(_LAZY, len(self._begun)):
                self._write()

    def close(self, orderly: bool) -> None:
        """Leave the file for the next process.

        Args:
            orderly: no image is the cause of the end, so only the counts of earlier processes stay.
        """
        with self._lock:
            if self._file is None:
                return
            try:
                if orderly:
                    self._begun = self._before
                self._write()
                if not self._begun:
                    self._path.unlink(missing_ok=True)
            except OSError:  # the process ends anyway
                pass
            finally:
                os.close(self._file)
                self._file = None

    def _write(self) -> None:
        """Rewrite the file; a kill in the middle may lose counts but adds none."""
        self._ended.clear()
        self._end = 0
        if self._file is not None:
            os.ftruncate(self._file, 0)
        self._put(b"".join(map(_line, self._begun.elements())))

    def _put(self, data: bytes) -> None:
        try:
            while data and self._file is not None:
                written = os.pwrite(self._file, data, self._end)
                data = data[written:]
                self._end = self._end + written
        except OSError as error:
            raise OutputError(
                error.errno, f"{self._path}: cannot be written ({error.strerror}); make room and start again"
            ) from error


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o666)
    except PermissionError:  # the file belongs to another user
        path.unlink()
        return os.open(path, flags, 0o666)


def _line(arrival: Arrival) -> bytes:
    return json.dumps([arrival.mtime_ns, arrival.name, arrival.size]).encode() + b"\n"


def _arrival(line: bytes) -> Arrival | None:
    """Parse a line, or return None if it has another form or is cut short."""
    try:
        mtime_ns, name, size = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    if type(mtime_ns) is not int or type(name) is not str or type(size) is not int:
        return None
    return Arrival(mtime_ns, name, size)
