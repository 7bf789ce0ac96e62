"""JPEG 2000: the size and the bits in the codestream, and its end. Source: ITU-T T.800, annexes A and I."""

from __future__ import annotations

import struct

from ..header import Header, RefusedError, check_size, cut_short, narrow_white
from ..limits import Limits

SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM = b"\xff\x4f\xff\x51"
_END = b"\xff\xd9"


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of a JPEG 2000 file or codestream.

    Raises:
        RefusedError: it lacks its start or end, or has too many pixels.
    """
    start = data.find(CODESTREAM)
    if start < 0:
        raise RefusedError("damaged, a JPEG 2000 without a codestream; copy or save it again")
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    check_size(right - left, bottom - top, limits)
    if data.find(_END, start) < 0:
        raise cut_short(len(data))
    bits = (data[start + 42] & 0x7F) + 1  # of the first component; the highest bit is the sign
    return Header(data, right - left, bottom - top, white=narrow_white(bits))
