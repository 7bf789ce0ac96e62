"""Reads the files of the kernel and the operating system below any root, so that a recorded tree works, too.

A file that is missing, unreadable or malformed reads as None. Boards differ in which of these files exist, some files
fail while their device is switched off, and a missing fact must not stop a program.
"""

from __future__ import annotations

import re
import subprocess
from itertools import islice
from pathlib import Path

ROOT = Path("/")
"""Root of this machine's files."""

_CHUNK = 1 << 14  # bytes; the kernel refuses to read a file of /proc/sys in large ones
_MOST_CHUNKS = 256
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"([0-9]+)")
_PATIENCE_S = 5.0


def text(path: Path) -> str | None:
    """Return the content without white space and NULs at its ends; None if there is none."""
    try:
        with path.open("rb", buffering=0) as file:
            data = b"".join(islice(iter(lambda: file.read(_CHUNK), b""), _MOST_CHUNKS))
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return data.decode("utf-8", "replace").strip("\0 \t\r\n") or None


def integer(path: Path) -> int | None:
    """Return the decimal number that is the whole content of a file; None if it is not a number."""
    return as_integer(text(path))


def as_integer(content: str | None) -> int | None:
    """Parse a decimal number; None if `content` is not one."""
    return int(content) if content is not None and _INTEGER.fullmatch(content) else None


def scaled(path: Path, unit: float) -> float | None:
    """Return the decimal number in a file times `unit`; None if it is not a number."""
    count = integer(path)
    return None if count is None else count * unit


def find(root: Path, pattern: str) -> list[Path]:
    """List the paths that match, in the order of the numbers in their names."""
    try:
        return sorted(root.glob(pattern), key=_by_number)
    except OSError:
        return []


def output(root: Path, program: str, *arguments: str) -> str | None:
    """Return the output of a program in `usr/bin`; None if it is missing, fails, or takes too long."""
    path = root / "usr" / "bin" / program
    try:
        if not path.exists():  # most machines lack it, and failing to start it would take milliseconds
            return None
        ended = subprocess.run(
            [path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.decode("utf-8", "replace") if ended.returncode == 0 else None


def _by_number(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in _NUMBER.split(str(path))]
