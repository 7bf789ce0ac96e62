"""BMP: its header, and the meaning of the fourth byte of a pixel. Source: BITMAPV5HEADER in the Windows API."""

from __future__ import annotations

import struct

from ..header import Header, check_size, cut_short
from ..limits import Limits

_CORE = 12  # bytes of the first header, whose sides have 16 bits
_WITH_ALPHA = 56  # bytes of the first header with a mask of alpha
_UNCOMPRESSED = frozenset({0, 3, 6})  # BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of a BMP.

    Raises:
        RefusedError: the file lacks its end, or has too many pixels.
    """
    offset, size = struct.unpack_from("<II", data, 10)
    if size == _CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)  # negative if the first row is the top row
    check_size(width, height, limits)
    row = (width * bits + 31) // 32 * 4
    if compression in _UNCOMPRESSED and offset + row * height > len(data):
        raise cut_short(len(data))
    alpha = struct.unpack_from("<I", data, 66)[0] if size >= _WITH_ALPHA or compression == 6 else 0
    return Header(data, width, height, has_padding=not alpha)
