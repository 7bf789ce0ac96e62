"""Standard streams that lose no result without an error, even if they are closed, full or non-blocking at the start."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import select
import sys
import time
from typing import TYPE_CHECKING

from ..errors import OutputError
from ..terminal import printable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_RETRY_S = 0.01
_BLOCK = 1 << 20
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_FULL = (errno.ENOSPC, errno.EDQUOT)


class StdoutError(OutputError):
    """Standard output cannot be written."""


class Output(io.RawIOBase):
    """The raw stream of an open file descriptor. It waits if a write would block.

    If a process makes a pipe or a terminal non-blocking, it is non-blocking for all processes that share it. This
    stream does not change the setting, because another process relies on it.

    Args:
        descriptor: the file descriptor, which stays open when the stream is closed.
        is_essential: raise an error if something cannot be written. Otherwise it is dropped: a message about a result
            must not prevent the result.
    """

    def __init__(self, descriptor: int, is_essential: bool) -> None:
        self._descriptor = descriptor
        self._is_essential = is_essential

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write at least one byte of `data` and return how many were written.

        Raises:
            BrokenPipeError: the reader has gone.
            StdoutError: the stream cannot be written, for example because the disk is full.
        """
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                _wait(self._descriptor, for_reading=False)
            except OSError as error:
                if not self._is_essential:
                    return memoryview(data).nbytes
                if error.errno == errno.EPIPE:
                    raise
                advice = "make room" if error.errno in _FULL else "send the output elsewhere"
                raise StdoutError(error.errno, f"cannot write ({error.strerror}); {advice}") from error


def fill_descriptors() -> None:
    """Open the null device, for reading only, for every standard stream that is closed.

    Otherwise the next file to be opened would get its descriptor, and messages would be written to that file. A result
    that is written to a closed stdout is an error, as it would be without this.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
        pass
    os.close(descriptor)


class _Text(io.TextIOWrapper):
    """A text stream that keeps control characters away from the terminal.

    Printed text has been escaped with `edge_crnn.terminal.printable`; this is the safety net for the rest. JSON never
    contains these characters.
    """

    def write(self, text: str, /) -> int:
        """Write text, with all C0 controls escaped except tab, line feed and carriage return."""
        super().write(_CONTROL.sub(lambda match: printable(match[0]), text))
        return len(text)


class _Messages(_Text):
    """A text stream for messages. Results that were printed before a message are written before it."""

    def write(self, text: str, /) -> int:
        """Write text after all that is waiting in `sys.stdout`.

        If stdout cannot be written, what waits there stays, and the next write to it reports the error.
        """
        if sys.stdout is not None and not sys.stdout.closed:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
        return super().write(text)


def open_output(descriptor: int, is_essential: bool) -> io.TextIOWrapper:
    """Open a file descriptor for text in UTF-8; bytes of file names that are not UTF-8 stay as they are.

    Lines are written at once to a terminal, and to a stream that is not essential. The latter is for messages, so it
    first writes the results that wait in `sys.stdout`: in `2>&1 | less` a message follows what it is about.
    """
    raw = Output(descriptor, is_essential)
    text = _Text if is_essential else _Messages
    return text(
        io.BufferedWriter(raw),
        encoding="utf-8",
        errors="surrogateescape",
        line_buffering=raw.isatty() or not is_essential,
    )


def drop_output() -> None:
    """Send what stdout holds, and everything after it, to nowhere; otherwise Python would write it again at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def read_all(descriptor: int, limit: int) -> bytes:
    """Read from a file descriptor up to its end, or `limit` bytes or a little more; wait if a read would block.

    Raises:
        OSError: the descriptor cannot be read.
    """
    data = bytearray()
    while len(data) < limit:
        try:
            block = os.read(descriptor, _BLOCK)
        except BlockingIOError:
            _wait(descriptor, for_reading=True)
            continue
        if not block:
            break
        data += block
    return bytes(data)


def _wait(descriptor: int, for_reading: bool) -> None:
    """Wait until a file descriptor is ready."""
    if not hasattr(select, "poll"):  # Windows
        time.sleep(_RETRY_S)
        return
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN if for_reading else select.POLLOUT)
    waiting.poll()
