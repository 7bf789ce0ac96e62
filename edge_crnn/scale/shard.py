"""Opens a shard that must be the file that was listed, because the positions of its images depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ..errors import DatasetError
from . import storage
from .storage import File


@contextmanager
def opened(file: File, folder: str) -> Iterator[BinaryIO]:
    """Open a shard.

    Args:
        file: the shard as it was listed.
        folder: the folder where a relative path begins.

    Raises:
        DatasetError: it is missing, cannot be read, or has changed.
    """
    place = storage.absolute(file.path, folder)
    try:
        if file.has_changed(storage.status(place)):
            raise DatasetError(
                f"{file.path}: has changed since the job listed it; restore it, or read it into another output"
            )
        with storage.opened(place) as stream:
            yield stream
    except OSError as error:
        raise DatasetError(
            f"{file.path}: cannot be read ({error.strerror or error}); make it available and run the command again"
        ) from error
