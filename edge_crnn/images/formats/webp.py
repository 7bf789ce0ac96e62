"""WebP: RIFF chunks. Source: RFC 9649."""

from __future__ import annotations

import struct

from ..exif import orientation, orientation_in_xmp
from ..header import Header, RefusedError, check_segments, check_size, cut_short
from ..limits import Limits


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of a WebP.

    Raises:
        RefusedError: the file lacks its end, has no image, or exceeds a limit.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise cut_short(len(data))
    at = 12
    segments = 0
    turned: int | None = None
    turned_in_xmp: int | None = None
    size: tuple[int, int] | None = None
    while at + 8 <= end:
        check_segments(segments := segments + 1, limits, "chunks")
        name, length = struct.unpack_from("<4sI", data, at)
        start = at + 8
        if start + length > end:
            raise cut_short(len(data))
        chunk_size = _size(name, data[start : start + 32])
        if chunk_size:
            check_size(*chunk_size, limits)
            size = size or chunk_size
        elif name == b"EXIF":
            turned = orientation(data[start : start + length])
        elif name == b"XMP ":
            turned_in_xmp = orientation_in_xmp(data[start : start + length])
        at = start + length + length % 2
    if size is None:
        raise RefusedError("damaged, a WebP without an image; copy or save it again")
    return Header(data, *size, orientation=turned or turned_in_xmp or 1)


def _size(name: bytes, content: bytes) -> tuple[int, int] | None:
    """Return the width and height in a chunk; None if it has none."""
    if name == b"VP8X":
        return int.from_bytes(content[4:7], "little") + 1, int.from_bytes(content[7:10], "little") + 1
    if name == b"VP8L":
        (packed,) = struct.unpack_from("<I", content, 1)
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if name == b"VP8 ":
        if content[3:6] != b"\x9d\x01\x2a":
            raise RefusedError("damaged, a WebP without its start code; copy or save it again")
        width, height = struct.unpack_from("<HH", content, 6)
        return width & 0x3FFF, height & 0x3FFF
    return None
