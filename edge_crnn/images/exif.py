"""The orientation in a block of EXIF tags, or in a packet of XMP.

OpenCV applies the orientation only in some formats and versions, and not together with alpha. This reader makes all
versions agree.
"""

from __future__ import annotations

import re
import struct

ORIENTATION = 0x0112
"""The tag of the orientation, in EXIF and in TIFF."""
_FORMATS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # BYTE, SHORT, LONG, and those with a sign
_IN_XMP = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|\s*>\s*)([1-8])\s*["'<]""")


def orientation(block: bytes) -> int | None:
    """Return the EXIF orientation, 1 to 8, in a block that begins with a TIFF header; None if it has none.

    Exif requires a SHORT; some cameras and editors write another type of integer, which is accepted. Source: Exif 2.3,
    section 4.6.4 (tag 0x0112), and TIFF 6.0, section 2.
    """
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, first)
        for number in range(entries):
            entry = first + 2 + 12 * number
            tag, kind = struct.unpack_from(f"{order}HH", block, entry)
            if tag == ORIENTATION and kind in _FORMATS:
                (value,) = struct.unpack_from(order + _FORMATS[kind], block, entry + 8)
                return int(value) if 1 <= value <= 8 else None
    except struct.error:  # a damaged EXIF block does not make the image unreadable
        pass
    return None


def orientation_in_xmp(packet: bytes) -> int | None:
    """Return the orientation, 1 to 8, in a packet of XMP; None if it has none. EXIF counts before it.

    Source: CIPA DC-010, Exif metadata for XMP (tiff:Orientation).
    """
    match = _IN_XMP.search(packet)
    return None if match is None else int(match[1])
