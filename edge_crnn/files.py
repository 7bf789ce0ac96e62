"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import secrets
import time
from pathlib import Path

from .errors import OutputError

_SUFFIX = ".partial"
_STALE_AFTER_S = 24 * 3600.0


def sha256(data: bytes | memoryview) -> str:
    """SHA-256 of `data` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path`: temporary name in the same folder, fsync, rename.

    A reader sees the old file or the new one, never a part. What a killed writer of `path` left is swept first.

    Raises:
        OutputError: the folder is missing, not writable or full; nothing is left behind.
    """
    temporary = path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{_SUFFIX}"
    try:
        sweep_partial(path)
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(
            error.errno,
            f"{path}: cannot write {len(data):,} bytes ({error.strerror}); name a folder that exists and has room",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def sweep_partial(path: Path) -> None:
    """Remove the temporary files of writers of `path` that are gone, and any that is older than a day."""
    for name in glob.glob(f"{glob.escape(str(path.parent))}/.{glob.escape(path.name)}.*{_SUFFIX}"):
        left = Path(name)
        process = left.name[len(path.name) + 2 :].partition(".")[0]
        with contextlib.suppress(FileNotFoundError):
            if not _is_running(process) or time.time() - left.stat().st_mtime > _STALE_AFTER_S:
                left.unlink()


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def _sync_folder(folder: Path) -> None:
    # The rename is durable only once the folder is synced; some file systems refuse to sync one.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def require_place(path: Path) -> None:
    """Make sure, before long work, that a file can be put at `path`; sweeps what killed writers left there.

    Raises:
        OutputError: the folder is missing, is no folder or cannot be written, or `path` is a folder.
    """
    if path.is_dir():
        raise OutputError(errno.EISDIR, f"{path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise OutputError(errno.ENOTDIR, f"{path}: {path.parent} is no folder; make it, or name another place")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(errno.EACCES, f"{path}: {path.parent} cannot be written; name another place")
    sweep_partial(path)
