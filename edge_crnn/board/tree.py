"""Reads files as the kernel and an operating system show them, below any root, so that a recorded tree does as well.

What is not there, may not be read, or makes no sense is None: which of these files exist differs from board to board,
some fail while the part that they tell of is switched off, and a fact that is missing must stop nobody.
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
    """Content without white space and NULs at its ends; None if there is none."""
    try:
        with path.open("rb", buffering=0) as file:
            data = b"".join(islice(iter(lambda: file.read(_CHUNK), b""), _MOST_CHUNKS))
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return data.decode("utf-8", "replace").strip("\0 \t\r\n") or None


def integer(path: Path) -> int | None:
    """A decimal number that stands alone in its file."""
    return as_integer(text(path))


def as_integer(content: str | None) -> int | None:
    """The decimal number that `content` is."""
    return int(content) if content is not None and _INTEGER.fullmatch(content) else None


def scaled(path: Path, unit: float) -> float | None:
    """A decimal number, counted in `unit`."""
    count = integer(path)
    return None if count is None else count * unit


def find(root: Path, pattern: str) -> list[Path]:
    """Paths that match, in the order of the numbers in their names."""
    try:
        return sorted(root.glob(pattern), key=_by_number)
    except OSError:
        return []


def output(root: Path, program: str, *arguments: str) -> str | None:
    """What a program in `usr/bin` says; None if it is not there, fails, or does not end soon."""
    path = root / "usr" / "bin" / program
    try:
        if not path.exists():  # on nearly all machines; to find it out by starting it takes milliseconds
            return None
        ended = subprocess.run(
            [path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.decode("utf-8", "replace") if ended.returncode == 0 else None


def _by_number(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in _NUMBER.split(str(path))]
