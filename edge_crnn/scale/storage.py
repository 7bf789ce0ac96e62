"""Files on a disk or elsewhere: a place is a path, or a URL such as s3://bucket/name that fsspec opens."""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import BackendUnavailable, InputError, OutputError
from ..files import write_atomically

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?:::[^/]*)?://")
_VERSIONS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated")
"""What file systems of fsspec call the fact that changes with the content of a file; the first present counts."""


@dataclass(frozen=True)
class File:
    """A file as it was when it was listed."""

    path: str
    """A path or a URL."""
    size: int | None = None
    """Bytes; None if that is not known."""
    version: str | None = None
    """Changes with the content: the modification time in nanoseconds, or what the storage offers. None: not known."""

    def has_changed(self, now: File) -> bool:
        """Return whether the same file has another size or version now, as far as both are known."""
        pairs = ((self.size, now.size), (self.version, now.version))
        return any(before is not None and after is not None and before != after for before, after in pairs)


def is_url(place: str) -> bool:
    """Return whether a place is not a path on this machine."""
    return _URL.match(place) is not None


def local_path(place: str) -> str:
    """Return the path of a `file://` URL; other places stay as they are."""
    return place.removeprefix("file://") if place.startswith("file:///") else place


def absolute(place: str, folder: str) -> str:
    """Return a path from `folder` as an absolute one; a URL stays as it is."""
    place = local_path(place)
    return place if is_url(place) else os.path.join(folder, place)  # noqa: PTH118 - Path drops a final slash and ./


def joined(folder: str, name: str) -> str:
    """Return the place of a name in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def is_folder(place: str) -> bool:
    """Return whether a place is a folder; also False if it cannot be examined."""
    if is_url(place):
        system, path = _remote(place)
        with _errors_of_storage():
            return bool(system.isdir(path))
    return os.path.isdir(place)  # noqa: PTH112 - Path.is_dir raises for a name that is too long


def status(place: str, named: str | None = None) -> File:
    """Return the size and version of a file under its own name or another.

    Raises:
        OSError: it does not exist or cannot be examined.
    """
    if is_url(place):
        system, path = _remote(place)
        with _errors_of_storage():
            return _listed(named or place, system.info(path))
    about = Path(place).stat()
    return File(named or place, about.st_size, str(about.st_mtime_ns))


def matching(pattern: str) -> list[File]:
    """List the files that match a glob pattern, `**` included, in the order of their names. Folders are left out.

    Raises:
        OSError: the storage cannot be listed.
    """
    if is_url(pattern):
        system, path = _remote(pattern)
        with _errors_of_storage():
            entries = system.glob(path, detail=True)
        return [
            _listed(system.unstrip_protocol(name), about)
            for name, about in sorted(entries.items())
            if about.get("type") != "directory" and not _name(name).startswith(".")  # as on a disk
        ]
    paths = sorted(glob.glob(pattern, recursive=True))
    return [status(path) for path in paths if Path(path).is_file()]


def walk(folder: str) -> list[tuple[str, File]]:
    """List all files below a remote folder, in the order of their names; their paths from the folder come first.

    Raises:
        OSError: the storage cannot be listed.
    """
    system, path = _remote(folder)
    with _errors_of_storage():
        entries = system.find(path, detail=True)
    root = path.rstrip("/") + "/"
    return [
        (name.removeprefix(root), _listed(system.unstrip_protocol(name), about))
        for name, about in sorted(entries.items())
    ]


def read(place: str) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read.
    """
    if is_url(place):
        system, path = _remote(place)
        with _errors_of_storage():
            return cast(bytes, system.cat_file(path))
    return Path(place).read_bytes()


@contextmanager
def opened(place: str) -> Iterator[BinaryIO]:
    """Open a file to read parts of it.

    Raises:
        OSError: it cannot be opened; reading raises it, too.
    """
    if is_url(place):
        system, path = _remote(place)
        with _errors_of_storage():
            file = system.open(path, "rb")
    else:
        file = Path(place).open("rb")  # noqa: SIM115 - closed below
    with file:
        yield file


def write(place: str, data: bytes) -> None:
    """Write a file completely or not at all. Object storage does that by itself.

    Raises:
        OutputError: it cannot be written.
    """
    if not is_url(place):
        write_atomically(Path(place), data)
        return
    try:
        system, path = _remote(place)
        with _errors_of_storage():
            system.pipe_file(path, data)
    except OSError as error:
        raise OutputError(
            error.errno, f"{place}: cannot write {len(data):,} bytes ({error.strerror or error}); check the storage"
        ) from error


def names_in(folder: str) -> list[str]:
    """Return the names in a folder, which is created if it does not exist.

    Raises:
        OutputError: it cannot be created or listed.
    """
    try:
        if is_url(folder):
            system, path = _remote(folder)
            with _errors_of_storage():
                system.makedirs(path, exist_ok=True)
                system.invalidate_cache()
                return _remote_names(system, path)
        Path(folder).mkdir(parents=True, exist_ok=True)
        return [path.name for path in Path(folder).iterdir()]
    except OSError as error:
        raise OutputError(
            error.errno, f"{folder}: is no folder for results ({error.strerror or error}); name a new folder"
        ) from error


def _remote_names(system: Any, path: str) -> list[str]:
    try:
        return [_name(place) for place in system.ls(path, detail=False)]
    except FileNotFoundError:  # object storage has no empty folders
        return []


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _listed(path: str, about: dict[str, Any]) -> File:
    version = next((str(about[name]) for name in _VERSIONS if about.get(name) is not None), None)
    return File(path, about.get("size"), version)


def _remote(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it.

    Raises:
        BackendUnavailable: fsspec or the package for this kind of URL is not installed.
        InputError: no file system has this kind of URL.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise BackendUnavailable(
            f"{url}: needs fsspec, which is not installed; pip install 'edge-crnn[scale]'"
        ) from error
    try:
        with _errors_of_storage():
            system, path = url_to_fs(url)
    except ImportError as error:
        raise BackendUnavailable(f"{url}: {error}") from error
    except ValueError as error:
        raise InputError(f"{url}: {error}; name a path, or a URL such as s3://bucket/folder") from error
    return system, path


@contextmanager
def _errors_of_storage() -> Iterator[None]:
    """Turn a storage's own kinds of errors into OSError, which means that it may answer later."""
    try:
        yield
    except (OSError, ImportError, ValueError):
        raise
    except Exception as error:
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}") from error
