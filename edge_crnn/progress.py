"""Shows the progress of long jobs and notes for the user on stderr."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from .terminal import one_line, printable

_QUIET_S = 1.0
_REDRAW_S = 0.1
_BAR = 20

_T = TypeVar("_T")


def progress(items: Iterable[_T], total: int, label: str) -> Iterator[_T]:
    """Yield `items`, and meanwhile show a bar with the rate and the time left on stderr.

    Nothing is written unless stderr is a terminal and the job takes more than a second. The bar is removed at the end.

    Args:
        items: the items, which are produced on demand.
        total: number of items.
        label: name of the work, such as `reading`.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield from items
        return
    started = time.monotonic()
    drawn = started + _QUIET_S - _REDRAW_S
    width = 0
    try:
        for done, item in enumerate(items):
            now = time.monotonic()
            if now >= drawn + _REDRAW_S:
                drawn = now
                line = _line(label, done, total, now - started)[: shutil.get_terminal_size().columns - 1]
                sys.stderr.write(f"\r{line.ljust(width)}")
                sys.stderr.flush()
                width = len(line)
            yield item
    finally:
        if width:
            sys.stderr.write(f"\r{' ' * width}\r")
            sys.stderr.flush()


def note(text: str, program: str = "edge-crnn") -> None:
    """Write one line to stderr about something that the user should know.

    A line that cannot be written, such as to a log on a full disk, is lost: the work is worth more than the note.

    Args:
        text: the line.
        program: the name before it, with the command if it is a long one.
    """
    if sys.stderr is not None:
        with suppress(OSError, ValueError):  # ValueError: it is closed
            sys.stderr.write(f"{program}: {one_line(text)}\n")


def _line(label: str, done: int, total: int, seconds: float) -> str:
    filled = "#" * min(_BAR, _BAR * done // max(1, total))
    rate = done / seconds
    left = f"{max(0, total - done) / rate:.0f} s left" if done else "? s left"
    return f"{label} [{filled.ljust(_BAR)}] {done}/{total}  {rate:.1f}/s  {left}"


@contextmanager
def activity(label: str) -> Iterator[None]:
    """Show a label on stderr, if it is a terminal, during work without countable steps."""
    visible = sys.stderr is not None and sys.stderr.isatty()
    if visible:
        sys.stderr.write(f"{label} …")
        sys.stderr.flush()
    try:
        yield
    finally:
        if visible:
            sys.stderr.write(f"\r{' ' * (len(label) + 2)}\r")
            sys.stderr.flush()


@contextmanager
def steps(label: str) -> Iterator[Callable[[str, int, int], None] | None]:
    """Yield a function that shows the phase of a job on stderr; None if stderr is not a terminal.

    The function takes the phase, the steps done, and the number of steps.
    """
    with status(label) as show:
        if show is None:
            yield None
        else:
            show("starting 0/1")
            yield lambda phase, done, total: show(f"{phase} {done}/{total}")


@contextmanager
def status(label: str) -> Iterator[Callable[[str], None] | None]:
    """Yield a function that shows on stderr what a job is doing; None if stderr is not a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    drawn = 0.0
    width = 0

    def show(text: str) -> None:
        nonlocal drawn, width
        if time.monotonic() < drawn + _REDRAW_S:
            return
        drawn = time.monotonic()
        line = f"{printable(label)}: {printable(text)}"[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write(f"\r{line.ljust(width)}")
        sys.stderr.flush()
        width = len(line)

    try:
        yield show
    finally:
        sys.stderr.write(f"\r{' ' * width}\r")
        sys.stderr.flush()
