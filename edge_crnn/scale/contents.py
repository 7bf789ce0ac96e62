"""A part → its images, as the reader takes them. They are read from the disk or the network as they are needed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from ..errors import ImageError
from ..images import Image
from ..images.limits import current_limits
from . import parquet, storage, tar
from .parts import Part
from .storage import File

Named: TypeAlias = tuple[str, "Image | ImageError"]
"""The name of an image in the output, and the image for the reader, or the reason why there is none."""


def images(part: Part, folder: str, column: str) -> Iterator[Named]:
    """Yield the images of a part, in their order.

    Args:
        part: the part.
        folder: the folder where relative paths begin.
        column: the column of Parquet files that has the images.

    Raises:
        DatasetError: a shard is missing, has changed, or cannot be read.
        InputError: a shard has no such column.
        BackendUnavailable: a package that the shard needs is not installed.
    """
    if part.kind == "images":
        return ((file.path, _image(file, folder)) for file in part.files)
    (shard,) = part.files
    if part.kind == "tar":
        contents: Iterator[tuple[str, bytes | None]] = tar.images(shard, folder)
    else:
        assert part.stop is not None
        contents = parquet.images(shard, folder, column, part.start, part.stop)
    if part.picked is not None:
        wanted = set(part.picked)
        contents = (
            content
            for position, content in enumerate(islice(contents, part.picked[-1] + 1 - part.start), part.start)
            if position in wanted
        )
    return ((name, _in_memory(name, data)) for name, data in contents)


def of_value(column: str, value: object) -> Image | ImageError:
    """Return the image in a cell of a table.

    Args:
        column: the name of the column, for errors.
        value: the bytes of an image file, a structure with such `bytes`, or a path or URL.
    """
    if isinstance(value, dict):
        value = value.get("bytes")
    if isinstance(value, str):
        return _image(File(value), "")
    if value is None or isinstance(value, bytes):
        return _in_memory(column, value)
    return ImageError(
        f"{column}: found {type(value).__name__}, expected the bytes of an image file or a path; leave decoding to the"
        " reader"
    )


def is_missing_with_folder(error: ImageError) -> bool:
    """Return whether a file is missing and its folder is missing or empty, as on a disk that is not mounted."""
    cause = error.__cause__
    if not isinstance(cause, FileNotFoundError) or cause.filename is None:
        return False
    try:
        return next(Path(cause.filename).parent.iterdir(), None) is None
    except OSError:
        return True


class _Bytes(io.BytesIO):
    """The bytes of an image file, with the name that errors give it."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def _in_memory(name: str, data: bytes | None) -> Image | ImageError:
    if not data:
        return ImageError(f"{name}: has no bytes, expected those of an image file; fill in the row or leave it out")
    return _Bytes(data, name)


def _image(file: File, folder: str) -> Image | ImageError:
    place = storage.absolute(file.path, folder)
    try:
        now = storage.status(place)
        if file.has_changed(now):
            return ImageError(
                f"{file.path}: has changed since the job listed it; read it again in another job, with another output"
            )
        if not storage.is_url(place):
            return place
        limit = current_limits().file_bytes
        if now.size is not None and now.size > limit:
            return ImageError(f"{file.path}: has {now.size:,} bytes, expected at most {limit:,}; name an image file")
        return _in_memory(file.path, storage.read(place))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        unreadable = ImageError(
            f"{file.path}: cannot be read ({getattr(error, 'strerror', None) or error}); name an image file"
        )
        unreadable.__cause__ = error
        return unreadable
