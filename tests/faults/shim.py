"""Numbers the file operations of a process, and makes one of them fail; see shim.c."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import shutil
import subprocess
import sys
from pathlib import Path

_ENTRIES = 4096

FATES = {
    "EIO": errno.EIO,
    "ENOSPC": errno.ENOSPC,
    "EACCES": errno.EACCES,
    "EINTR": errno.EINTR,
    "kill": -1,
    "short": -2,
}
"""What can happen to an operation → its number in shim.c. A short read or write transfers half of its bytes."""


class _Entry(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_char * 16), ("path", ctypes.c_char * 240))


class _State(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_long),
        ("armed", ctypes.c_long),
        ("error", ctypes.c_long),
        ("folder", ctypes.c_char * 256),
        ("entries", _Entry * _ENTRIES),
    )


def is_available() -> bool:
    """Return whether the shim can be compiled and loaded here."""
    return sys.platform == "linux" and shutil.which("cc") is not None


def restart_with_shim(folder: Path, arguments: list[str]) -> int:
    """Run Python with these arguments in a process that has the shim, and return its exit status.

    Args:
        folder: where the library and the shared state are put.
        arguments: what follows the name of the interpreter.
    """
    library = folder / "shim.so"
    state = folder / "state"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    state.write_bytes(bytes(ctypes.sizeof(_State)))
    environment = {**os.environ, "LD_PRELOAD": str(library), "FAULTS_STATE": str(state)}
    return subprocess.run([sys.executable, *arguments], env=environment, check=False).returncode


class Shim:
    """The shim of this process and of all that it starts."""

    def __init__(self) -> None:
        with Path(os.environ["FAULTS_STATE"]).open("r+b") as file:
            self._state = _State.from_buffer(mmap.mmap(file.fileno(), ctypes.sizeof(_State)))

    def arm(self, folder: Path, number: int, fate: str) -> None:
        """Let the operation with this number on files below `folder` fail; 0 lets all succeed."""
        self._state.count = 0
        self._state.error = FATES[fate]
        self._state.armed = number
        self._state.folder = os.fsencode(folder)

    def disarm(self) -> None:
        """Let all operations succeed, and count none."""
        self._state.folder = b""
        self._state.armed = 0

    @property
    def count(self) -> int:
        """Number of operations since `arm`."""
        return int(self._state.count)

    def operations(self) -> list[tuple[str, str]]:
        """Return name and path of the operations since `arm`, at most 4,096."""
        entries = self._state.entries[: min(self.count, _ENTRIES)]
        return [(entry.operation.decode(), os.fsdecode(entry.path)) for entry in entries]
