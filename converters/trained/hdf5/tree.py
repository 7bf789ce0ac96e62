"""Reads only the safe parts of an HDF5 file: hard links, plain arrays of the expected shape, and bounded text.

An HDF5 file can name other files (external links, external storage, virtual datasets) and can declare terabytes in a
few bytes (datasets never written, compressed chunks). Keras writes none of that. It is rejected anywhere in the file,
because Keras itself reads the file later, during verification.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from edge_crnn.errors import ModelFileError

from .client import MAX_TEXT_BYTES

MAX_NAMES = 20_000
"""Largest number of names in all listed groups; a few bytes can make a group that contains itself."""
_MAX_DEPTH = 16


class Tree:
    """An HDF5 file; a path is `a/b/c` from the root. All methods raise ModelFileError on what they refuse."""

    def __init__(self, data: bytes) -> None:
        self._size = len(data)
        self._text_bytes = self._names = 0
        with _translated("the HDF5 data"):
            self._file = h5py.File(io.BytesIO(data), "r")
            if self._file.id.get_create_plist().get_sizes() != (8, 8):
                raise ModelFileError("HDF5 with addresses of less than 8 bytes; Keras writes 8: save the model again")
            self._look_around()

    def names(self, path: str) -> tuple[str, ...]:
        """List the names in the group at `path`; empty if there is no such group."""
        with _translated(path):
            return self._names_in(self._find(path))

    def arrays(self, path: str) -> tuple[str, ...]:
        """List the paths of all arrays below `path`, at most a few groups down."""
        with _translated(path):
            return tuple(self._arrays_below(self._find(path), path, _MAX_DEPTH))

    def text(self, path: str, attribute: str) -> str | None:
        """Read a text attribute; None if there is none."""
        with _translated(f"{path} attribute {attribute}"):
            node = self._find(path)
            if node is None or attribute not in node.attrs:
                return None
            if node.attrs.get_id(attribute).shape != ():
                raise ModelFileError(f"attribute {attribute!r} of {path!r} is an array, expected one text")
            value = node.attrs[attribute]
            value = value.decode() if isinstance(value, bytes) else value
            if not isinstance(value, str):
                raise ModelFileError(f"attribute {attribute!r} of {path!r} is {type(value).__name__}, expected text")
        self._text_bytes += len(value)
        if self._text_bytes > MAX_TEXT_BYTES:
            raise ModelFileError(f"more than {MAX_TEXT_BYTES:,} bytes of text, at attribute {attribute!r} of {path!r}")
        return value

    def shape(self, path: str) -> tuple[int, ...] | None:
        """Read the declared shape of the array at `path`; None if there is none."""
        with _translated(path):
            node = self._find(path)
            return node.shape if isinstance(node, h5py.Dataset) else None

    def array(self, path: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """Read the array at `path`, which must have this shape."""
        with _translated(path):
            dataset = self._find(path)
            if not isinstance(dataset, h5py.Dataset):
                raise ModelFileError(f"no array at {path!r}, expected one of shape {shape}")
            if dataset.shape != shape:
                raise ModelFileError(f"array {path!r} has shape {dataset.shape}, its layer's settings imply {shape}")
            if (trouble := _trouble(dataset)) is not None:
                raise ModelFileError(f"array {path!r} {trouble}; Keras writes plain arrays: save the model again")
            with np.errstate(over="ignore"):
                return np.ascontiguousarray(dataset[()], np.float32)

    def _look_around(self) -> None:
        """Visit every object, to reject links out of the file and to trigger errors of the library early."""
        seen: set[int] = set()
        waiting: list[tuple[str, Any]] = [("", self._file)]
        names = text = 0
        while waiting:
            path, node = waiting.pop()
            if node is None:
                raise ModelFileError(
                    f"a group lists {path!r}, but does not have it; the file is damaged: copy it again"
                )
            address = h5py.h5o.get_info(node.id).addr
            if address in seen:
                continue
            seen.add(address)
            for attribute in node.attrs:
                names += 1
                stored = node.attrs.get_id(attribute)
                if stored.get_space().get_simple_extent_npoints():  # of an empty list, h5py cannot tell the size
                    text += stored.get_storage_size()
                if names > MAX_NAMES or text > MAX_TEXT_BYTES:
                    raise ModelFileError(f"more than {MAX_NAMES:,} names or {MAX_TEXT_BYTES:,} bytes of text")
                _ = node.attrs[attribute]
            if isinstance(node, h5py.Group):
                names += len(node)
                if names > MAX_NAMES:
                    raise ModelFileError(f"its HDF5 groups list more than {MAX_NAMES:,} names, at {path!r}")
                waiting += [(f"{path}/{name}", _child(node, name)) for name in node]
            elif isinstance(node, h5py.Dataset) and (trouble := _stranger(node, self._size)) is not None:
                raise ModelFileError(f"array {path!r} {trouble}; Keras writes plain arrays: save the model again")

    def _find(self, path: str) -> Any:
        """Return the object at `path`, or None."""
        node: Any = self._file
        for name in filter(None, path.split("/")):
            node = _child(node, name)
        return node

    def _names_in(self, node: Any) -> tuple[str, ...]:
        if not isinstance(node, h5py.Group):
            return ()
        self._names += len(node)
        if self._names > MAX_NAMES:
            raise ModelFileError(f"its HDF5 groups list more than {MAX_NAMES:,} names, at {node.name!r}")
        return tuple(node)

    def _arrays_below(self, node: Any, path: str, depth: int) -> Iterator[str]:
        if isinstance(node, h5py.Dataset):
            yield path
        elif depth:
            for name in self._names_in(node):
                yield from self._arrays_below(_child(node, name), f"{path}/{name}", depth - 1)


def _child(group: Any, name: str) -> Any:
    """Return what a group holds under a name, or None; only hard links are followed, so no other file is opened."""
    link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise ModelFileError(
            f"{name!r} in {group.name!r} is a {type(link).__name__}, which is not followed: save the model again"
        )
    return group[name]


def _stranger(dataset: Any, file_size: int) -> str | None:
    """Return why a file with such an array is rejected, or None."""
    if dataset.external:
        return "lies in another file"
    if dataset.is_virtual:
        return "is put together from other files"
    if (size := dataset.size * dataset.dtype.itemsize) > file_size:
        return f"claims {size:,} bytes in a file of {file_size:,}"
    return None


def _trouble(dataset: Any) -> str | None:
    """Return why an array is not read, or None."""
    settings = dataset.id.get_create_plist()
    stored = dataset.id.get_storage_size()
    if settings.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) or settings.get_nfilters():
        return "is stored in chunks or compressed"
    if dataset.dtype.kind != "f":
        return f"has type {dataset.dtype}, expected floating point"
    if stored != dataset.size * dataset.dtype.itemsize:
        return f"has {stored:,} bytes in the file, expected {dataset.size * dataset.dtype.itemsize:,}"
    return None


@contextlib.contextmanager
def _translated(place: str) -> Iterator[None]:
    """Turn errors of the HDF5 library into ModelFileError."""
    try:
        yield
    except ModelFileError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise ModelFileError(
            f"HDF5 cannot read {place} ({error}); the file is damaged: copy or save it again"
        ) from error
