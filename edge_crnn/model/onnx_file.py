"""A spec inside an `.onnx`, read and written without the `onnx` package.

The file is one protobuf message, `ModelProto`; the spec is the value under `KEY` in its `metadata_props`. Numbers of
fields are those of onnx.proto; the wire format is told at protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

KEY = "edge_crnn"

_GRAPH, _METADATA, _NAME, _VALUE = 7, 14, 1, 2
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _DELIMITED = 0, 2
_FIXED_SIZES = {1: 8, 5: 4}
_MOST_FIELDS = 1 << 20  # a second's work

_PARTS = {
    "model": {_GRAPH: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Message → field → the message in it: every way to a tensor."""


def split(data: bytes) -> tuple[bytes, list[bytes]]:
    """The file without its metadata, and every value that the metadata has under `KEY`.

    Raises:
        ValueError: it is no ONNX model, or keeps weights in another file, of which its bytes tell nothing.
    """
    message = _Message(data)
    fields = list(message.fields(0, len(data)))
    if not any(each.number == _GRAPH and each.kind == _DELIMITED for each in fields):
        raise ValueError("it has no graph")
    _refuse_other_files(message)
    metadata = [each for each in fields if each.number == _METADATA and each.kind == _DELIMITED]
    kept, place, found = [], 0, []
    for each in metadata:
        kept.append(data[place : each.first])
        place = each.end
        entry = {part.number: data[part.value : part.end] for part in message.fields(each.value, each.end)}
        if entry.get(_NAME) == KEY.encode():
            found.append(entry.get(_VALUE, b""))
    return b"".join([*kept, data[place:]]), found


def join(payload: bytes, spec: bytes) -> bytes:
    """The file with a spec; the fields of a message may come in any order."""
    entry = _field(_NAME, KEY.encode()) + _field(_VALUE, spec)
    return payload + _field(_METADATA, entry)


class _Field(NamedTuple):
    """Places in the data: of the field, of its value, and of what comes after both."""

    number: int
    kind: int
    first: int
    value: int
    end: int


class _Message:
    """Bytes as protobuf, of which only so many fields are read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = _MOST_FIELDS

    def __len__(self) -> int:
        return len(self._data)

    def fields(self, place: int, end: int) -> Iterator[_Field]:
        """The fields of the message at `place`."""
        while place < end:
            first = place
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"more than {_MOST_FIELDS:,} fields")
            tag, value = self.varint(first, end)
            number, kind = tag >> 3, tag & 7
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
        """An integer, seven bits a byte, least first, and the place after it."""
        value = 0
        for at, byte in enumerate(self._data[place : min(place + 10, end)]):
            value |= (byte & 127) << 7 * at
            if byte < 128:
                return value, place + at + 1
        raise ValueError(f"byte {place}: an integer without an end")


def _refuse_other_files(message: _Message) -> None:
    todo = [("model", 0, len(message))]
    while todo:
        what, first, end = todo.pop()
        for each in message.fields(first, end):
            if what == "tensor":
                elsewhere = each.number == _DATA_LOCATION and message.varint(each.value, each.end)[0] != 0
                if elsewhere or each.number == _EXTERNAL_DATA:
                    raise ValueError(f"byte {first}: a tensor whose values are in another file")
            elif each.kind == _DELIMITED and each.number in _PARTS[what]:
                todo.append((_PARTS[what][each.number], each.value, each.end))


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _DELIMITED) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    given = bytearray()
    while value > 127:
        given.append(value & 127 | 128)
        value >>= 7
    return bytes([*given, value])
