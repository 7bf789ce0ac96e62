"""Writes files completely or not at all, locks them, and tells a temporary failure from a final one."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import OutputError

_SUFFIX = ".partial"
_STALE_AFTER_S = 24 * 3600.0


def error_numbers(*names: str) -> frozenset[int]:
    """Return the numbers of errors, such as EIO, of those that this system has."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


_WITHOUT_PERMISSION = error_numbers("EACCES", "EPERM")
_IN_USE = error_numbers("EAGAIN", "EBUSY", "EDEADLK", "EINTR", "ENOLCK", "ETXTBSY")
_NOT_MOUNTED = error_numbers(
    *("EIO", "EREMOTEIO", "ENODEV", "ENXIO", "ENOMEDIUM", "ESTALE", "ENOTCONN", "ESHUTDOWN"),
    *("EUCLEAN", "EBADMSG"),  # the file system is damaged and must be repaired; the file may be sound
)
_WITHOUT_NETWORK = error_numbers(
    *("ECOMM", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
    *("ENETRESET", "ENOLINK", "ENONET", "EREMCHG", "EPROTO", "ECANCELED", "ETIMEDOUT"),
    *("EKEYEXPIRED", "EKEYREJECTED", "EKEYREVOKED", "ENOKEY"),
)
_WITHOUT_ROOM = error_numbers("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")
_TEMPORARY = _WITHOUT_PERMISSION | _IN_USE | _NOT_MOUNTED | _WITHOUT_NETWORK | _WITHOUT_ROOM
_NO_LOCKS = error_numbers("ENOLCK", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EINVAL")


def is_temporary(error: BaseException | None) -> bool:
    """Return whether an error or its cause means that a file may become readable later.

    Causes are those of `raise … from`. The first OSError or MemoryError decides.
    """
    while error is not None and not isinstance(error, OSError | MemoryError):
        error = error.__cause__
    return isinstance(error, MemoryError) or (error is not None and error.errno in _TEMPORARY)


def lock(file: int) -> bool:
    """Lock an open file for this process until it is closed, without waiting.

    Returns:
        False if the file system has no locks, like some network file systems.

    Raises:
        BlockingIOError: another process has locked it.
        OSError: it cannot be locked.
    """
    import fcntl  # not on Windows

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def sha256(data: bytes | memoryview) -> str:
    """Return the SHA-256 of `data` in lower-case hexadecimal."""
    import hashlib  # imports OpenSSL, which would make `import edge_crnn` a third slower

    return hashlib.sha256(data).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: to a temporary name in the same folder, which is synced and renamed.

    Readers see the old file or the new one, never a part. Temporary files of killed writers of `path` are removed.

    Raises:
        OutputError: the folder is missing, not writable or full, or `path` is a folder. Nothing is left behind.
    """
    with _temporary(path, f"{len(data):,} bytes") as temporary:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)


def cache_folder(kind: str) -> Path:
    """Return the folder that keeps files of a kind from one run to the next. It need not exist.

    It is the folder `kind` in $EDGE_CRNN_CACHE, or else in edge-crnn in $XDG_CACHE_HOME or ~/.cache. Users may remove
    it at any time.

    Raises:
        OutputError: the user has no home folder.
    """
    if cache := os.environ.get("EDGE_CRNN_CACHE"):
        return Path(cache) / kind
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "edge-crnn" / kind
    except RuntimeError as error:
        raise OutputError(f"no folder for {kind} ({error}); set EDGE_CRNN_CACHE to a folder") from error


def require_place(path: Path) -> None:
    """Check before long work that `path` can be written; remove temporary files of its killed writers.

    Raises:
        OutputError: the folder is missing, is not a folder or cannot be written, or `path` is a folder.
    """
    with _temporary(path, "a file") as temporary:
        temporary.touch(exist_ok=False)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def sweep_partial(path: Path) -> None:
    """Remove the temporary files of writers of `path` that have ended, and all that are older than a day."""
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})\.[0-9a-f]{{8}}{re.escape(_SUFFIX)}")
    for other in path.parent.iterdir():
        writer = name.fullmatch(other.name)
        with contextlib.suppress(OSError):  # another process may remove it too, or another user may own it
            if writer and (not _is_running(int(writer[1])) or time.time() - other.stat().st_mtime > _STALE_AFTER_S):
                other.unlink()


def sync_folder(folder: Path) -> None:
    """Write the names in `folder` to the disk, so that they survive a power cut."""
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _temporary(path: Path, content: str) -> Iterator[Path]:
    """Yield a name beside `path` for a file that is removed at the end; `content` describes it in errors."""
    temporary = path.parent / f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}{_SUFFIX}"
    try:
        sweep_partial(path)
        yield temporary
    except OSError as error:
        raise OutputError(
            error.errno, f"{path}: cannot write {content} ({error.strerror}); name a file in a folder that has room"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
