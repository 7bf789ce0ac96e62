"""The INPUT arguments of a job → its files, in order and without repeats.

| INPUT | files |
|---|---|
| a folder | its images, in the order of their paths; hidden ones are left out |
| a pattern with `*`, `?` or `[`; in a URL, `*` or `[` | images and shards that match, in the order of their paths |
| a list, `.txt` | the images and shards that its lines name, from the working folder |
| a shard, `.parquet` or `.tar` | itself |
| any other path | itself, as an image |

Folders, patterns, lists and files may also be URLs.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..errors import DatasetError, EdgeCrnnError
from ..folders import Skipped, has_image_suffix, is_hidden
from ..labels.places import find_images
from ..progress import note as to_stderr
from . import storage
from .storage import File

PARQUET = ".parquet"
TAR = ".tar"
_LIST = ".txt"
_PATTERN = frozenset("*?[")
_PATTERN_OF_URLS = frozenset("*[")  # ? begins a query


def list_files(inputs: Iterable[str], recursive: bool = False, note: Callable[[str], None] = to_stderr) -> list[File]:
    """Return the files that the inputs name; a file that is named again is left out.

    Args:
        inputs: paths and URLs; see the table above.
        recursive: also read the subfolders of folders.
        note: writes a line about files that are skipped.

    Raises:
        DatasetError: an input does not exist, cannot be read, or names no image and no shard.
        BackendUnavailable: a URL needs a package that is not installed.
        InputError: no file system has this kind of URL.
    """
    files: dict[str, File] = {}
    count = 0
    for file in itertools.chain.from_iterable(_files(place, recursive, note) for place in inputs):
        count += 1
        files.setdefault(file.path, file)
    if repeats := count - len(files):
        note(f"{repeats:,} of {count:,} files are named more than once and are read once")
    return list(files.values())


def is_shard(path: str) -> bool:
    """Return whether a file has the suffix of a shard, in upper or lower case."""
    return path.lower().endswith((PARQUET, TAR))


def _files(place: str, recursive: bool, note: Callable[[str], None]) -> Iterator[File]:
    place = storage.local_path(place)
    try:
        if storage.is_folder(place):
            yield from _in_folder(place, recursive, note)
        elif place.lower().endswith(_LIST):
            yield from _in_list(place)
        elif _is_pattern(place):
            yield from _matching(place, note)
        else:
            yield storage.status(place)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, EdgeCrnnError):
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise DatasetError(
            f"{place}: cannot be read ({reason}); name a folder, a pattern, a list (.txt), an image, or a shard"
            f" ({PARQUET}, {TAR})"
        ) from error


def _is_pattern(place: str) -> bool:
    if storage.is_url(place):
        return not _PATTERN_OF_URLS.isdisjoint(place)
    return not _PATTERN.isdisjoint(place) and not os.path.lexists(place)  # a name may have brackets


def _in_folder(folder: str, recursive: bool, note: Callable[[str], None]) -> Iterator[File]:
    if not storage.is_url(folder):
        yield from (_status_or_nothing(str(path)) for path in find_images(Path(folder), recursive, note))
        return
    files = [
        file
        for path, file in storage.walk(folder)
        if (recursive or "/" not in path) and not any(map(is_hidden, path.split("/")))
    ]
    yield from _images(folder, files, note)


def _matching(pattern: str, note: Callable[[str], None]) -> Iterator[File]:
    files = storage.matching(pattern)
    if not files:
        raise DatasetError(f"{pattern}: no file matches; name a pattern of images or shards ({PARQUET}, {TAR})")
    yield from _images(pattern, files, note)


def _images(place: str, files: Iterable[File], note: Callable[[str], None]) -> Iterator[File]:
    """Yield images and shards, and note how many other files were skipped."""
    skipped = Skipped()
    is_empty = True
    for file in files:
        if has_image_suffix(file.path) or is_shard(file.path):
            is_empty = False
            yield file
        else:
            skipped.add(file.path.rpartition("/")[2])
    if is_empty:
        raise DatasetError(f"{place}: no image and no shard ({PARQUET}, {TAR}) among the files; name another place")
    if text := str(skipped):
        note(f"{place}: {text}")


def _in_list(place: str) -> Iterator[File]:
    """Yield the files that a list names. A path that does not exist becomes a row with an error later."""
    try:
        lines = storage.read(place).decode("utf-8-sig", "surrogateescape").split("\n")
    except OSError as error:
        raise DatasetError(f"{place}: cannot be read ({error.strerror or error}); name a list of paths") from error
    paths = [storage.local_path(line.removesuffix("\r")) for line in lines if line.strip()]
    if not paths:
        raise DatasetError(f"{place}: has no path, expected one in every line")
    for path in paths:
        if is_shard(path):
            yield storage.status(path)
        elif storage.is_url(path):
            yield File(path)  # a request for every file would take longer than reading it
        else:
            yield _status_or_nothing(path)


def _status_or_nothing(path: str) -> File:
    try:
        return storage.status(path)
    except (OSError, ValueError):
        return File(path)
