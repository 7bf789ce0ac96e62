"""Events as JSON lines in a file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import numpy as np

from ...errors import OutputError
from ...files import lock, sync_folder
from ...progress import note
from ..event import Event
from ..protocols import CLOSE_S
from .form import as_json, dumps
from .queued import Queued, size_of
from .retention import Kept, expired

_NO_CROP: Final = np.empty((0, 0, 3), np.uint8)
_START: Final = b'{"version": '
_LAST_SEEN: Final = re.compile(rb'"last_seen": (\d{1,12}(?:\.\d{1,9})?)')
_LONGEST_LINE: Final = 1 << 20
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_PARTS: Final = 24
"""With an age limit, a file is rotated after this part of the age, so little is removed at once."""


class Lines:
    """Appends events to a file of JSON lines; every line is synced.

    A line that a kill has cut short is removed at the next start. While the disk is full, events are kept in
    memory. An older file is named after the time of its first line in UTC: `events-20261201T093000Z.jsonl`
    beside `events.jsonl`.

    Args:
        path: the file, which is created if it is missing.
        rotate_bytes: size at which a new file is begun; None: none.
        rotate_daily: begin a new file with the first line of another local date.
        keep_s: age of a line in seconds at which its file is removed at the latest; None: none. A file is then rotated
            every 24th part of the age, and goes when its first line is too old.
        most_bytes: memory for events that cannot be written now, about 2 KiB each; then the oldest are dropped.
        rest_s: seconds between two looks for files that are too old.
        pauses: the shortest and the longest pause before another attempt, in seconds.
        say: takes notes for the user.

    Raises:
        OutputError: the file cannot be opened, another process uses it, or it has other content.
    """

    def __init__(
        self,
        path: Path,
        *,
        rotate_bytes: int | None = None,
        rotate_daily: bool = False,
        keep_s: float | None = None,
        most_bytes: int = 8 << 20,
        rest_s: float = 60.0,
        pauses: tuple[float, float] = (1.0, 30.0),
        say: Callable[[str], None] = note,
    ) -> None:
        self._file = LineFile(path, rotate_bytes=rotate_bytes, rotate_daily=rotate_daily, keep_s=keep_s)
        if self._file.trouble is not None:
            say(self._file.trouble)
        if self._file.cut:
            say(f"{path}: removed {self._file.cut:,} bytes of a last line that had not been written completely")
        self.queue: Queued[Event] = Queued(
            str(path),
            self._write,
            rest=self._file.tidy,
            rest_s=rest_s,
            most_bytes=most_bytes,
            pauses=pauses,
            say=say,
        )

    def put(self, event: Event) -> None:
        """Take an event."""
        event = replace(event, crop=_NO_CROP)
        self.queue.put(event, size_of(event))

    def _write(self, event: Event) -> None:
        self._file.append(f"{dumps(as_json(event))}\n".encode())

    def close(self, within_s: float = CLOSE_S) -> None:
        """Write what is left and close the file."""
        self.queue.close(within_s)
        if self.queue.has_ended:
            self._file.close()


class LineFile:
    """A file of lines that is locked, rotated and repaired; for the arguments and errors, see `Lines`."""

    trouble: str | None = None
    """The reason why the file is not locked; None if it is locked."""
    cut: int = 0
    """Number of bytes that were removed at the end when the file was opened."""

    def __init__(self, path: Path, *, rotate_bytes: int | None, rotate_daily: bool, keep_s: float | None) -> None:
        self.path = path
        self._rotate_bytes = rotate_bytes
        self._rotate_daily = rotate_daily
        self._keep_s = keep_s
        self._rotated = re.compile(
            rf"{re.escape(path.stem)}-(\d{{8}}T\d{{6}}Z)(?:\.\d{{1,4}})?{re.escape(path.suffix)}", re.ASCII
        )
        self._handle = -1
        self._end = 0
        self._begun: float | None = None
        self._open()

    def append(self, line: bytes) -> None:
        """Write one line, which ends with a line feed; it is on the disk when this returns.

        Raises:
            OutputError: it cannot be written now; the file is as before.
        """
        if not self._is_in_place():
            self._open()
        seen = _time_of(line) or time.time()
        if self._end and self._is_due(seen, len(line)):
            self._rotate()
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
            os.fsync(self._handle)
        except OSError as error:
            try:
                os.ftruncate(self._handle, self._end)  # otherwise a part of a line would precede the next line
            except OSError:
                self.close()  # it is repaired when it is opened again
            raise OutputError(
                error.errno, f"{self.path}: cannot be written ({error.strerror}); make room on its disk"
            ) from error
        self._end += len(line)
        if self._begun is None:
            self._begun = seen

    def tidy(self) -> None:
        """Rotate the file if it is time to, and remove older files that are too old.

        Raises:
            OutputError: a file cannot be renamed or removed.
        """
        now = time.time()
        if self._is_in_place() and self._end and self._is_due(now, 0):
            self._rotate()
        if self._keep_s is None:
            return
        try:
            for file in expired(list(self._older()), now, self._keep_s, None):
                file.path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                error.errno, f"{self.path}: an older file cannot be removed ({error.strerror}); remove it yourself"
            ) from error

    def close(self) -> None:
        """Close the file, so that another process can open it."""
        handle, self._handle = self._handle, -1  # first, since two threads may close a sink
        if handle >= 0:
            os.close(handle)

    def _open(self) -> None:
        self.close()
        try:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            if not stat.S_ISREG(os.fstat(self._handle).st_mode):
                raise OutputError(None, f"{self.path}: is a device or a pipe; name a file")
            self._lock()
            self._repair()
            sync_folder(self.path.parent)
        except OSError as error:
            self.close()
            if isinstance(error, OutputError):
                raise
            raise OutputError(
                error.errno,
                f"{self.path}: cannot be opened ({error.strerror}); name a file in a folder that may be written",
            ) from error

    def _lock(self) -> None:
        try:
            if not lock(self._handle):
                self.trouble = (
                    f"{self.path}: cannot be locked, because its file system has no locks; make sure that no other"
                    " process writes to it"
                )
        except BlockingIOError as error:
            raise OutputError(
                error.errno, f"{self.path}: is locked by another process; name a separate file for every process"
            ) from error

    def _repair(self) -> None:
        """Cut off the rest of a line that was not written completely."""
        size = os.fstat(self._handle).st_size
        head = os.pread(self._handle, _LONGEST_LINE, 0)
        begun = head.rstrip(b"\0")  # a power cut may leave zeros in place of what was never written
        if not begun.startswith(_START[: len(begun)]):
            raise OutputError(
                None,
                f"{self.path}: begins with {head[:40]!r}, expected an event of `edge-crnn watch`; name another file",
            )
        tail = os.pread(self._handle, _LONGEST_LINE, max(0, size - _LONGEST_LINE))
        self.cut = cut = len(tail) - _complete(tail)
        if cut == len(tail) and size > len(tail):
            raise OutputError(
                None,
                f"{self.path}: has no line feed in its last {len(tail):,} bytes, so it is damaged; name another file",
            )
        self._end = size - cut
        if cut:
            os.ftruncate(self._handle, self._end)
            os.fsync(self._handle)
        first = head[: head.find(b"\n") + 1]
        self._begun = (_time_of(first) or os.fstat(self._handle).st_mtime) if self._end else None

    def _is_in_place(self) -> bool:
        """Return whether the open file is as it was left; a program such as logrotate may have moved or emptied it."""
        if self._handle < 0:
            return False
        try:
            status = os.fstat(self._handle)
            return status.st_size == self._end and os.path.samestat(status, self.path.stat())
        except OSError:
            return False

    def _is_due(self, moment: float, coming: int) -> bool:
        """Return whether a new file begins with a moment, or with so many bytes.

        The moment is that of the coming line. With the present one, each of the lines that come late, as after an
        outage, would begin a file. The same holds for those of a recording, which may lie in the future.
        """
        if self._begun is None:
            return False
        if self._rotate_bytes is not None and self._end + coming > self._rotate_bytes:
            return True
        if self._keep_s is not None and moment - self._begun > self._keep_s / _PARTS:
            return True
        return self._rotate_daily and datetime.fromtimestamp(self._begun).date() < datetime.fromtimestamp(moment).date()

    def _rotate(self) -> None:
        begun = datetime.fromtimestamp(self._begun or 0.0, timezone.utc).strftime(_STAMP)
        target = self.path.with_name(f"{self.path.stem}-{begun}{self.path.suffix}")
        number = 0
        while target.exists():
            number += 1
            target = self.path.with_name(f"{self.path.stem}-{begun}.{number}{self.path.suffix}")
        try:
            self.path.rename(target)
        except OSError as error:
            raise OutputError(
                error.errno, f"{self.path}: cannot be renamed to {target.name} ({error.strerror})"
            ) from error
        self._open()

    def _older(self) -> Iterator[Kept]:
        with os.scandir(self.path.parent) as entries:
            for entry in entries:
                match = self._rotated.fullmatch(entry.name)
                if match and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(ValueError):  # not a date
                        begun = datetime.strptime(match[1], _STAMP).replace(tzinfo=timezone.utc).timestamp()
                        yield Kept(begun, Path(entry.path), entry.stat(follow_symlinks=False).st_size)


def _complete(tail: bytes) -> int:
    """Return the number of bytes in complete lines. A power cut may leave zeros in place of the last lines."""
    end = tail.rfind(b"\n") + 1
    while end:
        begin = tail.rfind(b"\n", 0, end - 1) + 1
        line = tail[begin:end]
        try:
            json.loads(line)
        except ValueError:
            if begin == 0 and len(tail) >= _LONGEST_LINE:
                return end  # the start of this line lies further up
            end = begin
        else:
            return end
    return 0


def _time_of(line: bytes) -> float | None:
    """Return when the plate of a line was last seen, in seconds since the epoch."""
    match = _LAST_SEEN.search(line)
    return float(match[1]) if match else None
