"""Files with a secret, which only their owner can read."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from ..errors import InputError
from ..files import sync_folder


def create_secret(path: Path, content: bytes) -> None:
    """Create a file with mode 0600 in one step; if another process is faster, its file stays.

    Raises:
        OSError: it cannot be created.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_secret(path: Path, kind: str, most_bytes: int) -> bytes:
    """Return the first bytes of a file with a secret.

    Args:
        path: the file.
        kind: what it holds, for messages, such as `key`.
        most_bytes: largest number of bytes to read.

    Raises:
        OSError: it cannot be read.
        InputError: other users may read it.
    """
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        content = file.read(most_bytes)
    if mode & 0o077:
        raise InputError(f"{path}: has mode {mode:04o}, so other users may read the {kind}; run: chmod 600 {path}")
    return content
