"""Which images are being read: what a killed process leaves behind tells the next one which may have ended it.

A picture can end the process that reads it: by more memory than there is, by a decoder's crash, by a watchdog that
waits in vain. Read again at each start, it would keep all that come after it from being read.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from types import TracebackType

from ..errors import OutputError
from .arrivals import Arrival

DEADLY = 3
"""Kills that an image is being read at, before it is read no more: one among others, two alone."""

_MOST = 8 << 20
"""Bytes that are looked at: no process has so many images at once."""


class Attempts:
    """The file at `path`: a line for each begun reading. There is none when a process has ended as it should.

    It is written, not synced: a power cut is no image's fault.

    Raises:
        OutputError: it cannot be opened or read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            data = os.pread(self._file, _MOST, 0)
        except OSError as error:
            raise OutputError(
                error.errno,
                f"{path}: cannot be opened ({error.strerror}); name an output in a folder that may be written",
            ) from error
        begun = (_arrival(line) for line in data.split(b"\n"))
        self._begun = Counter(each for each in begun if each is not None)
        self._end = len(data)
        self._write()

    def count(self, arrival: Arrival) -> int:
        """Readings of it that were begun and not ended."""
        return self._begun[arrival]

    def begin(self, arrival: Arrival) -> None:
        """It is being read from now on.

        Raises:
            OutputError: there is no room.
        """
        self._begun[arrival] += 1
        self._put(_line(arrival), self._end)

    def end(self, arrival: Arrival) -> None:
        """It was read, or found to be no image, and the process lives.

        Raises:
            OutputError: there is no room.
        """
        if self._begun.pop(arrival, 0):
            self._write()

    def close(self) -> None:
        """The process ends as it should; none of them has ended it."""
        os.close(self._file)
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Attempts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self) -> None:
        """All anew; a kill in the midst of it costs a count, no more."""
        self._put(b"".join(map(_line, self._begun.elements())), 0)

    def _put(self, data: bytes, place: int) -> None:
        try:
            while data:
                written = os.pwrite(self._file, data, place)
                data, place = data[written:], place + written
            os.ftruncate(self._file, place)
        except OSError as error:
            raise OutputError(
                error.errno, f"{self._path}: cannot be written ({error.strerror}); make room and start again"
            ) from error
        self._end = place


def _line(arrival: Arrival) -> bytes:
    return json.dumps([arrival.mtime_ns, arrival.name, arrival.size]).encode() + b"\n"


def _arrival(line: bytes) -> Arrival | None:
    """None: it is none of ours, or cut short."""
    try:
        mtime_ns, name, size = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    if type(mtime_ns) is not int or type(name) is not str or type(size) is not int:
        return None
    return Arrival(mtime_ns, name, size)
