"""GIF: its blocks up to the end of the first frame. Source: GIF89a specification."""

from __future__ import annotations

import struct

from ..header import Header, RefusedError, check_segments, check_size, cut_short
from ..limits import Limits

_EXTENSION = 0x21
_IMAGE = 0x2C
_TRAILER = 0x3B


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of a GIF; its `data` ends after the first frame.

    Raises:
        RefusedError: the file has no frame, lacks its end, or exceeds a limit.
    """
    width, height, packed = struct.unpack_from("<HHB", data, 6)
    check_size(width, height, limits)
    at = 13 + _table(packed)
    segments = 0
    while at < len(data):
        check_segments(segments := segments + 1, limits, "blocks")
        if data[at] == _EXTENSION:
            at = _after_blocks(data, at + 2, limits)
        elif data[at] == _IMAGE:
            left, top, across, down, packed = struct.unpack_from("<HHHHB", data, at + 1)
            check_size(across, down, limits)
            if left + across > width or top + down > height:
                raise RefusedError("damaged, a frame that exceeds the image; copy or save it again")
            end = _after_blocks(data, at + 11 + _table(packed), limits)
            return Header(data[:end] + bytes([_TRAILER]), width, height)
        else:
            break
    raise RefusedError("damaged, a GIF without a frame; copy or save it again")


def _table(packed: int) -> int:
    """Return the size of a colour table in bytes."""
    return 3 << (packed & 7) + 1 if packed & 0x80 else 0


def _after_blocks(data: bytes, at: int, limits: Limits) -> int:
    """Return the place after a chain of blocks and its empty block."""
    blocks = 0
    while at < len(data):
        check_segments(blocks := blocks + 1, limits, "blocks")
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise cut_short(len(data))
