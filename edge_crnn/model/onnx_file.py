"""A spec inside an `.onnx`, read and written without the `onnx` package.

The file is one protobuf message, `ModelProto`; the spec is the value under `KEY` in its `metadata_props`, and the
SHA-256 of the spec, in hexadecimal, is the value under `DIGEST_KEY`. The field numbers are those of onnx.proto;
protobuf.dev, "Encoding", describes the wire format.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..files import sha256

KEY = "edge_crnn"
DIGEST_KEY = "edge_crnn_sha256"

_GRAPH = 7
_METADATA = 14
_NAME = 1
_VALUE = 2
_EXTERNAL_DATA = 13
_DATA_LOCATION = 14
_VARINT = 0
_DELIMITED = 2
_FIXED_SIZES = {1: 8, 5: 4}
_MOST_FIELDS = 1 << 20  # about a second of work

_PARTS = {
    "model": {_GRAPH: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Message → number of a field → the message in that field, for every path to a tensor."""


class Parts(NamedTuple):
    """The parts of a file."""

    payload: bytes
    """The file without its metadata."""
    specs: list[bytes]
    """Every value that the metadata has under `KEY`."""
    digests: list[bytes]
    """Every value that the metadata has under `DIGEST_KEY`."""


def split(data: bytes) -> Parts:
    """Split a file into payload and metadata.

    Raises:
        ValueError: the data is no ONNX model, or keeps weights in another file, which its hash would not cover.
    """
    message = _Message(data)
    fields = list(message.fields(0, len(data)))
    if not any(field.number == _GRAPH and field.kind == _DELIMITED for field in fields):
        raise ValueError("it has no graph")
    _refuse_other_files(message)
    metadata = [field for field in fields if field.number == _METADATA and field.kind == _DELIMITED]
    pieces = []
    values: dict[bytes, list[bytes]] = {KEY.encode(): [], DIGEST_KEY.encode(): []}
    place = 0
    for field in metadata:
        pieces.append(data[place : field.first])
        place = field.end
        entry = {part.number: data[part.value : part.end] for part in message.fields(field.value, field.end)}
        if (name := entry.get(_NAME)) in values:
            values[name].append(entry.get(_VALUE, b""))
    return Parts(b"".join([*pieces, data[place:]]), *values.values())


def join(payload: bytes, spec: bytes) -> bytes:
    """Return the file with a spec and its digest; protobuf allows the fields of a message in any order."""
    return payload + _entry(KEY, spec) + _entry(DIGEST_KEY, sha256(spec).encode())


class _Field(NamedTuple):
    """A field of a message: the places in the data where the field and its value begin, and where both end."""

    number: int
    kind: int
    first: int
    value: int
    end: int


class _Message:
    """A protobuf message; reading stops with an error after `_MOST_FIELDS` fields."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = _MOST_FIELDS

    def __len__(self) -> int:
        return len(self._data)

    def fields(self, place: int, end: int) -> Iterator[_Field]:
        """Yield the fields of the message from `place` to `end`."""
        while place < end:
            first = place
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"more than {_MOST_FIELDS:,} fields")
            tag, value = self.varint(first, end)
            number = tag >> 3
            kind = tag & 7
            if kind == _DELIMITED:
                length, value = self.varint(value, end)
                place = value + length
            elif kind == _VARINT:
                _, place = self.varint(value, end)
            elif kind in _FIXED_SIZES:
                place = value + _FIXED_SIZES[kind]
            else:
                raise ValueError(f"byte {first}: wire type {kind}")
            if number == 0 or place > end:
                raise ValueError(f"byte {first}: field {number} ends at byte {place} of {end}")
            yield _Field(number, kind, first, value, place)

    def varint(self, place: int, end: int) -> tuple[int, int]:
        """Return an integer, seven bits per byte, lowest first, and the place after it."""
        value = 0
        for at, byte in enumerate(self._data[place : min(place + 10, end)]):
            value |= (byte & 127) << 7 * at
            if byte < 128:
                return value, place + at + 1
        raise ValueError(f"byte {place}: an integer without an end")


def _refuse_other_files(message: _Message) -> None:
    todo = [("model", 0, len(message))]
    while todo:
        kind, first, end = todo.pop()
        for field in message.fields(first, end):
            if kind == "tensor":
                is_external = field.number == _DATA_LOCATION and message.varint(field.value, field.end)[0] != 0
                if is_external or field.number == _EXTERNAL_DATA:
                    raise ValueError(f"byte {first}: a tensor whose values are in another file")
            elif field.kind == _DELIMITED and field.number in _PARTS[kind]:
                todo.append((_PARTS[kind][field.number], field.value, field.end))


def _entry(name: str, value: bytes) -> bytes:
    return _field(_METADATA, _field(_NAME, name.encode()) + _field(_VALUE, value))


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _DELIMITED) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
