"""Files that are written whole or not at all."""

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


def sha256(data: bytes | memoryview) -> str:
    """SHA-256 of `data` in lower-case hexadecimal."""
    import hashlib  # brings OpenSSL, a third of what importing the package would cost

    return hashlib.sha256(data).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path`: temporary name in the same folder, fsync, rename.

    A reader sees the old file or the new one, never a part. What a killed writer of `path` left is swept first.

    Raises:
        OutputError: the folder is missing, not writable or full, or `path` is a folder; nothing is left behind.
    """
    with _temporary(path, f"{len(data):,} bytes") as temporary:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)


def cache_folder(kind: str) -> Path:
    """Where files of a kind are kept from one run to the next; may be removed at any time, and need not exist.

    It is the folder `kind` of $EDGE_CRNN_CACHE, else of edge-crnn in $XDG_CACHE_HOME or ~/.cache.

    Raises:
        OutputError: there is none.
    """
    if given := os.environ.get("EDGE_CRNN_CACHE"):
        return Path(given) / kind
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "edge-crnn" / kind
    except RuntimeError as error:
        raise OutputError(f"no folder to keep {kind} in ({error}); set EDGE_CRNN_CACHE to one") from error


def require_place(path: Path) -> None:
    """Make sure, before long work, that a file can be put at `path`; sweeps what killed writers left there.

    Raises:
        OutputError: the folder is missing, is no folder or cannot be written, or `path` is a folder.
    """
    with _temporary(path, "a file") as temporary:
        temporary.touch(exist_ok=False)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def sweep_partial(path: Path) -> None:
    """Remove the temporary files of writers of `path` that are gone, and any that is older than a day."""
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})\.[0-9a-f]{{8}}{re.escape(_SUFFIX)}")
    for left in path.parent.iterdir():
        writer = name.fullmatch(left.name)
        with contextlib.suppress(OSError):  # another process may sweep too, or own the file
            if writer and (not _is_running(int(writer[1])) or time.time() - left.stat().st_mtime > _STALE_AFTER_S):
                left.unlink()


def sync_folder(folder: Path) -> None:
    """Make names that were added to `folder`, or changed in it, last; some file systems refuse to sync one."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _temporary(path: Path, what: str) -> Iterator[Path]:
    """A name beside `path` for a file that is gone at the end."""
    temporary = path.parent / f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}{_SUFFIX}"
    try:
        sweep_partial(path)
        yield temporary
    except OSError as error:
        raise OutputError(
            error.errno, f"{path}: cannot write {what} ({error.strerror}); name a file in a folder that has room"
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
