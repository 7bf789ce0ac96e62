"""WebDataset shards: tar files whose members are images, with other members that belong to them beside.

A member is an image by its suffix; others, such as labels, are skipped. The file is read once, from its start.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import DatasetError
from ..folders import has_image_suffix
from . import storage
from .shard import opened
from .storage import File


def count(file: File, folder: str) -> int:
    """Return the number of images. Only the headers of the members are read.

    Raises:
        DatasetError: the file is missing, has changed, or is no tar.
    """
    with opened(file, folder) as stream, _archive(file, stream, "r:") as archive:
        return sum(map(_is_image, archive))


def images(file: File, folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of every image, in the order of the file.

    Raises:
        DatasetError: the file is missing, has changed, or is no tar.
    """
    with opened(file, folder) as stream, _archive(file, stream, "r|") as archive:
        for member in archive:
            if _is_image(member):
                content = archive.extractfile(member)
                assert content is not None  # a regular file has content
                yield storage.joined(file.path, member.name), content.read()
            archive.members.clear()  # type: ignore[attr-defined]  # which would keep every header in memory


def _is_image(member: tarfile.TarInfo) -> bool:
    return member.isfile() and has_image_suffix(member.name.rpartition("/")[2])


@contextmanager
def _archive(file: File, stream: object, mode: str) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
            yield archive
    except tarfile.TarError as error:
        raise DatasetError(f"{file.path}: is no tar file, or is damaged ({error}); copy it again") from error
