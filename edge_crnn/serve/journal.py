"""Writes readings to a file of JSON lines that is its own journal: images that it lists are not read again.

Lines are appended completely and synced, several at once. A kill or a power cut may leave a part of the last lines. It
is cut off when the file is opened again, and their images are read again, so every image has one line. One process
writes at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from ..errors import OutputError
from ..files import lock, sync_folder
from .arrivals import Arrival
from .digests import Digests

_START = b'{"time": "'
_STRING = rb'"(?:[^"\\]|\\.)*"'
_HEAD = re.compile(
    rb'{"time": "[^"]*", "size": (\d{1,20}), "mtime_ns": (-?\d{1,20}), (?:"name": (%b), )?"image": (%b)'
    % (_STRING, _STRING)
)
"""The start of a line; parsing only this much halves the time for a long file."""
_MOST_LOST = 8 << 20
"""Largest number of bytes to cut off; more cannot be the lines written last."""


class Journal:
    """The file at `path`, which is created if it is missing.

    It needs 8 bytes of memory per line, a hundredth of its size on the disk.

    Raises:
        OutputError: it cannot be opened, another process uses it, or it has other content.
    """

    trouble: str | None = None
    """The reason why the file is not locked; None if it is locked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OutputError(
                error.errno, f"{path}: cannot be opened ({error.strerror}); name a file in a folder that may be written"
            ) from error
        try:
            self._lock()
            self._end, digests = self._load()
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
            sync_folder(path.parent)
        except BaseException:
            os.close(self._file)
            raise
        self._known = Digests(digests)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, arrival: Arrival) -> bool:
        return _digest(arrival) in self._known

    def append(self, lines: Sequence[tuple[Arrival, str]]) -> None:
        """Add the lines of arrivals, without line feeds; all are on the disk when this returns.

        A line begins with `time`, `size`, `mtime_ns`, then `name` if the image is in a subfolder, and `image`, in this
        order. After an error, none of the arrivals counts as read.

        Raises:
            OutputError: the disk is full, or another process has moved the file or written to it.
        """
        if not lines:
            return
        data = "".join(f"{line}\n" for _, line in lines).encode()
        assert all(_arrival(f"{line}\n".encode()) == arrival for arrival, line in lines)
        self._check_place()
        self._check_length()
        try:
            _write(self._file, data)
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._end)  # otherwise a part of a line would precede the next line
            raise OutputError(
                error.errno,
                f"{self.path}: cannot be written ({error.strerror}); make room and start again: it has {len(self):,}"
                " complete readings, and the images after them will be read",
            ) from error
        self._end += len(data)
        for arrival, _ in lines:
            self._known.add(_digest(arrival))

    def close(self) -> None:
        """Close the file, so that another process can open it."""
        os.close(self._file)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise OutputError(None, f"{self.path}: is a device or a pipe, which cannot be read again; name a file")
        try:
            if not lock(self._file):
                self.trouble = (
                    f"{self.path}: cannot be locked, because its file system has no locks; make sure that no other"
                    " process writes to it"
                )
        except BlockingIOError as error:
            raise OutputError(
                error.errno,
                f"{self.path}: is locked by another process; name a separate file for every process",
            ) from error
        except OSError as error:
            raise OutputError(
                error.errno,
                f"{self.path}: cannot be locked ({error.strerror}); try again later, or name a file on another disk",
            ) from error
        self._check_place()

    def _check_place(self) -> None:
        try:
            is_there = os.path.samestat(os.fstat(self._file), self.path.stat())
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise OutputError(
                None,
                f"{self.path}: was moved or removed while it was in use; stop the service before you move the file and"
                " its images, and start it again",
            )

    def _check_length(self) -> None:
        """Check that nobody else has written to the file, which may have no lock."""
        length = os.fstat(self._file).st_size
        if length != self._end:
            raise OutputError(
                None,
                f"{self.path}: has {length:,} bytes, expected {self._end:,}, so another process writes to it; stop that"
                " process and start again",
            )

    def _load(self) -> tuple[int, array[int]]:
        """Return the number of bytes in complete lines, and the digests of their arrivals."""
        end = 0
        digests = array("Q")
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(0)
            for number, line in enumerate(iter(lambda: file.readline(_MOST_LOST), b""), 1):
                arrival = _arrival(line)
                if arrival is None:
                    self._check_remains(end, line, number)
                    break
                digests.append(_digest(arrival))
                end += len(line)
        return end, digests

    def _check_remains(self, end: int, line: bytes, number: int) -> None:
        """Check that a kill or a power cut explains the content after the first `end` bytes.

        A kill leaves a line without its end. A power cut also leaves zeros in place of data that was never written.
        """
        head, zeros, _ = line.partition(b"\0")
        is_begun = bool(head) and head.startswith(_START[: len(head)])
        has_zeros = bool(zeros) and (is_begun or number > 1 or not line.strip(b"\0\n"))
        is_cut = is_begun and not line.endswith(b"\n")
        if not (has_zeros or is_cut) or os.fstat(self._file).st_size - end > _MOST_LOST:
            raise OutputError(
                None,
                f"{self.path}: line {number} is {line[:40]!r}, expected a reading of serve-folder; name another file",
            )


def _digest(arrival: Arrival) -> int:
    identity = f"{arrival.size} {arrival.mtime_ns} {arrival.name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(identity, digest_size=8).digest(), "little")


def _arrival(line: bytes) -> Arrival | None:
    """Parse the arrival of a line, or return None if the line has another form or is cut short."""
    head = _HEAD.match(line)
    if head is None or not line.endswith(b"}\n") or b"\0" in line:
        return None
    size, mtime_ns, name, image = head.groups()
    try:
        return Arrival(int(mtime_ns), json.loads(name) if name else Path(json.loads(image)).name, int(size))
    except ValueError:  # not UTF-8, or no JSON string
        return None


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
