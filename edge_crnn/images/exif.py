"""The orientation in a block of EXIF tags.

OpenCV applies the orientation only in some formats and versions, and not together with alpha. This reader makes all
versions agree.
"""

from __future__ import annotations

import struct

ORIENTATION = 0x0112
"""The tag of the orientation, in EXIF and in TIFF."""
_FORMATS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG


def orientation(block: bytes) -> int:
    """Return the EXIF orientation, 1 to 8, in a block that begins with a TIFF header; 1 if it has none.

    Exif requires a SHORT; some cameras and editors write a LONG or a BYTE, which is accepted. Source: Exif 2.3,
    section 4.6.4 (tag 0x0112), and TIFF 6.0, section 2.
    """
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, first)
        for number in range(entries):
            entry = first + 2 + 12 * number
            tag, kind = struct.unpack_from(f"{order}HH", block, entry)
            if tag == ORIENTATION and kind in _FORMATS:
                (value,) = struct.unpack_from(order + _FORMATS[kind], block, entry + 8)
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:  # a damaged EXIF block does not make the image unreadable
        pass
    return 1
