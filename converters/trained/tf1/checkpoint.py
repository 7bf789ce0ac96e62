"""TensorFlow checkpoints, NAME.index and NAME.data-00000-of-00001, read without TensorFlow.

TensorFlow's own reader trusts the file: forged, it ends the process or reserves terabytes. Here every size is checked
before it is used, blocks cannot overlap, so that work is bounded by the size of the files, and checksums must hold.

The index is a table as LevelDB has it (doc/table_format.md; TensorFlow's magic number is the same), uncompressed. Its
keys are names of variables, its values messages of tensorflow/core/protobuf/tensor_bundle.proto; the key "" has the
header. A data file is the plain bytes of its tensors.
"""

from __future__ import annotations

import contextlib
import math
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_crnn.errors import ModelFileError

from ...graph.cells import Array
from ...graph.nodes import Shape
from ..hdf5.client import MAX_BYTES
from .crc32c import crc32c, masked

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5
_MAX_INDEX_BYTES = 1 << 20
_MAX_ENTRIES, _MAX_BLOCKS = 10_000, 1000
"""Limits of a table; a training of network 2 has about a hundred variables, in one block."""
_MAX_KEY_BYTES = 1024
_MAX_RANK = 8
_MAX_TEXT_BYTES = 1 << 20
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""
_FLOAT32 = 1
"""DT_FLOAT in tensorflow/core/framework/types.proto."""


@dataclass(frozen=True)
class _Entry:
    """The entry of a variable in the index, a BundleEntryProto."""

    dtype: int
    shape: Shape
    shard: int
    offset: int
    size: int
    checksum: int
    sliced: bool


def find_checkpoint(path: Path) -> Path | None:
    """Find the index of a checkpoint named by NAME, one of its files, or a folder with a file `checkpoint`.

    Returns:
        The path of the index; None if `path` is no checkpoint.

    Raises:
        ModelFileError: the folder's `checkpoint` names no checkpoint in the folder.
    """
    with contextlib.suppress(OSError):  # of a name that is too long
        if path.is_dir():
            return _latest(path) if (path / "checkpoint").is_file() else None
        name = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path.name)
        index = path.with_name(f"{name}.index")
        return index if index.is_file() and (name != path.name or not path.exists()) else None
    return None


def _latest(folder: Path) -> Path:
    """Find what `checkpoint` (CheckpointState in text form) names beside it, wherever it was saved originally."""
    file = folder / "checkpoint"
    text = _read(file, 0, _size(file, _MAX_TEXT_BYTES)).decode("utf-8", "replace")
    match = re.search(r'^model_checkpoint_path: "([^"\\\0]+)"$', text, re.MULTILINE)
    name = match[1].rpartition("/")[2] if match else ""
    index = folder / f"{name}.index"
    if not name or not index.is_file():
        raise ModelFileError(
            f"{file}: names {match[1] if match else 'nothing'!r}, of which there is no index in {folder};"
            f" name the checkpoint itself: {folder}/NAME"
        )
    return index


class Checkpoint:
    """The variables of one checkpoint."""

    def __init__(self, index: Path) -> None:
        """Read the index.

        Raises:
            ModelFileError: the index cannot be read, is damaged, or belongs to no TensorFlow checkpoint.
        """
        self._index = index
        self._bytes = 0
        data = _read(index, 0, _size(index, _MAX_INDEX_BYTES))
        self._shards, self._entries = _parsed(data, index)

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Name of a variable → its shape."""
        return {name: entry.shape for name, entry in self._entries.items()}

    def array(self, name: str) -> Array:
        """Read a float32 variable.

        Raises:
            ModelFileError: there is none of this name, it is of another type, partitioned, damaged or not finite, or
                more than 2 GB were read.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise ModelFileError(f"no variable {name!r} in {self._index.name}")
        if entry.sliced:
            raise ModelFileError(f"variable {name!r} is stored in parts; save it without a partitioner")
        if entry.dtype != _FLOAT32:
            raise ModelFileError(f"variable {name!r} has TensorFlow's type {entry.dtype}, expected 1 (float32)")
        self._bytes += entry.size
        if entry.size != 4 * math.prod(entry.shape) or self._bytes > MAX_BYTES:
            raise ModelFileError(
                f"variable {name!r} of shape {entry.shape} claims {entry.size:,} bytes, expected"
                f" {4 * math.prod(entry.shape):,}, and at most {MAX_BYTES:,} in all; the file is damaged: copy it again"
            )
        data = _read(self._shard(entry.shard), entry.offset, entry.size)
        if masked(crc32c(data)) != entry.checksum:
            raise ModelFileError(f"variable {name!r} does not fit its checksum; the file is damaged: copy it again")
        array = np.frombuffer(data, "<f4").astype(np.float32).reshape(entry.shape)
        if not np.isfinite(array).all():
            raise ModelFileError(f"variable {name!r} has {np.sum(~np.isfinite(array)):,} values that are not finite")
        return array

    def _shard(self, number: int) -> Path:
        return self._index.with_name(f"{self._index.stem}.data-{number:05d}-of-{self._shards:05d}")


def _size(path: Path, limit: int) -> int:
    try:
        about = path.stat()
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read ({error.strerror}); copy the checkpoint whole") from error
    if not stat.S_ISREG(about.st_mode) or about.st_size > limit:
        raise ModelFileError(f"{path.name} is no file, or has {about.st_size:,} bytes; at most {limit:,} are read")
    return about.st_size


def _read(path: Path, offset: int, size: int) -> bytes:
    """Read bytes of a file, which must exist before any memory is reserved."""
    if offset + size > _size(path, 1 << 62):
        raise ModelFileError(f"{path.name} ends before byte {offset + size:,}; it is cut short: copy it again")
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read ({error.strerror}); copy the checkpoint whole") from error
    if len(data) != size:
        raise ModelFileError(f"{path.name} changes while it is read; wait for the training to end")
    return data


# --- the table -------------------------------------------------------------------------------------------------------


def _parsed(data: bytes, path: Path) -> tuple[int, dict[str, _Entry]]:
    """Parse the index: number of data files, and entries by name."""
    try:
        table = dict(_table(data))
        shards = _shards(table.pop(b"", b""))
        # A key that starts with 0 is a part of a partitioned variable.
        entries = {key.decode(): _entry(value, shards) for key, value in table.items() if key[0]}
    except (_DamagedError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path.name} is no index of a TensorFlow checkpoint, or damaged ({error})") from error
    return shards, entries


class _DamagedError(ValueError):
    pass


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Parse a table into keys and values, keys ascending."""
    body = len(data) - _FOOTER_BYTES
    if body < 0 or int.from_bytes(data[-8:], "little") != _MAGIC:
        raise _DamagedError("its last bytes are not a table's")
    footer = data[body:-8]
    _, at = _handle(footer, 0)  # of the index of metadata, which checkpoints do not use
    place, _ = _handle(footer, at)
    blocks = data[:body]
    end = 0
    last = None
    entries = 0
    for count, (_, value) in enumerate(_block(blocks, *place)):
        (start, size), _ = _handle(value, 0)
        if start < end or count >= _MAX_BLOCKS:
            raise _DamagedError("its blocks overlap, or are too many")
        end = start + size
        for key, entry in _block(blocks, start, size):
            entries += 1
            if (last is not None and key <= last) or entries > _MAX_ENTRIES:
                raise _DamagedError("its names are not in order, or are too many")
            last = key
            yield key, entry


def _block(data: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Parse a block into keys and values; each key shares its start with the key before.

    At the end stand the places of the keys that share nothing, the number of these places, and after the block how it
    is compressed, and its checksum.
    """
    end = start + size
    if size < 4 or end + _TRAILER_BYTES > len(data):
        raise _DamagedError(f"block at {start} of {size} bytes")
    if int.from_bytes(data[end + 1 : end + _TRAILER_BYTES], "little") != masked(crc32c(data[start : end + 1])):
        raise _DamagedError(f"the block at {start} does not fit its checksum")
    if data[end]:
        raise _DamagedError("its blocks are compressed; TensorFlow writes them plain")
    block = data[start:end]
    stop = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    key = b""
    at = 0
    while at < stop:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or shared + added > _MAX_KEY_BYTES or at + added + length > stop:
            raise _DamagedError(f"an entry of the block at {start}")
        key = key[:shared] + block[at : at + added]
        yield key, block[at + added : at + added + length]
        at += added + length
    if at != stop:
        raise _DamagedError(f"the end of the block at {start}")


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    start, at = _varint(data, at)
    size, at = _varint(data, at)
    return (start, size), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Parse a number of up to 64 bits, 7 per byte; return it and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise _DamagedError("a number without end")


# --- the messages ----------------------------------------------------------------------------------------------------


def _shards(header: bytes) -> int:
    """Parse a BundleHeaderProto."""
    fields = _message(header, {1: _VARINT, 2: _VARINT})
    count, endianness = _one(fields, 1), _one(fields, 2)
    if endianness or not 1 <= count <= 99_999:
        raise _DamagedError(f"its header names {count} data files, byte order {endianness}")
    return count


def _entry(value: bytes, shards: int) -> _Entry:
    fields = _message(value, {1: _VARINT, 2: _BYTES, 3: _VARINT, 4: _VARINT, 5: _VARINT, 6: _FIXED32, 7: _BYTES})
    dimensions = [dimension for shape in fields.get(2, []) for dimension in _message(shape, {2: _BYTES}).get(2, [])]
    sizes = [_one(_message(dimension, {1: _VARINT}), 1) for dimension in dimensions]
    entry = _Entry(
        dtype=_one(fields, 1),
        shape=tuple(sizes),
        shard=_one(fields, 3),
        offset=_one(fields, 4),
        size=_one(fields, 5),
        checksum=_one(fields, 6),
        sliced=7 in fields,
    )
    if len(sizes) > _MAX_RANK or max(sizes, default=0) >> 62 or entry.shard >= shards or entry.offset >> 62:
        raise _DamagedError(f"an entry of shape {entry.shape[:_MAX_RANK]} in data file {entry.shard}")
    return entry


def _message(data: bytes, wire_types: Mapping[int, int]) -> dict[int, list[Any]]:
    """Parse those fields of a protocol buffer that `wire_types` lists, by field number."""
    fields: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: int | bytes
        if wire == _VARINT:
            value, at = _varint(data, at)
        else:
            if wire == _BYTES:
                length, at = _varint(data, at)
            elif wire in (_FIXED32, _FIXED64):
                length = 4 if wire == _FIXED32 else 8
            else:
                raise _DamagedError(f"wire type {wire}")
            if at + length > len(data):
                raise _DamagedError("a field without end")
            value = data[at : at + length]
            at += length
            if wire != _BYTES:
                value = int.from_bytes(value, "little")
        if number in wire_types:
            if wire != wire_types[number]:
                raise _DamagedError(f"field {number} of wire type {wire}")
            fields.setdefault(number, []).append(value)
    return fields


def _one(fields: Mapping[int, list[Any]], number: int) -> int:
    """Return the number in a field: the last one counts, and an absent one is 0."""
    return int(fields.get(number, [0])[-1])
