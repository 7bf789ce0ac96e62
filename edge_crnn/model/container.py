"""What the bytes of a picture file say around the pixels: which way is up, and whether the end is there.

OpenCV applies the EXIF orientation of a WebP in some versions and not in others, and never together with
alpha; one reader here makes every version agree.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_APP1, _START_OF_SCAN, _END_OF_IMAGE = 0xE1, 0xDA, b"\xff\xd9"
_EXIF = b"Exif\0\0"
_ORIENTATION, _SHORT = 0x0112, 3


def orientation(data: bytes) -> int:
    """EXIF orientation, 1 to 8, of a JPEG, PNG or WebP; 1 where none is told, or none that makes sense.

    A TIFF always gives 1: its decoder turns the picture itself. Source: Exif 2.3, section 4.6.4 (tag 0x0112).
    """
    tiff = _exif_block(data)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, first)
        for each in range(entries):
            tag, kind, value = struct.unpack_from(f"{order}HH4xH", tiff, first + 2 + 12 * each)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:  # a damaged EXIF block does not make the picture unreadable
        pass
    return 1


def is_cut_short(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end.

    Some decoders fill what is missing with grey and only warn. In the scan of a JPEG every 0xFF that is data
    is followed by 0, so that the end marker found after its start is the end.
    """
    if data.startswith(_PNG):
        return b"IEND" not in data
    if data.startswith(_JPEG):
        scans = [start for marker, start, _ in _jpeg_segments(data) if marker == _START_OF_SCAN]
        return not scans or data.find(_END_OF_IMAGE, scans[0]) < 0
    return False


def _exif_block(data: bytes) -> bytes:
    if data.startswith(_JPEG):
        for marker, start, end in _jpeg_segments(data):
            if marker == _APP1 and data.startswith(_EXIF, start):
                return data[start + len(_EXIF) : end]
    elif data.startswith(_PNG):
        for name, start, end in _png_chunks(data):
            if name == b"eXIf":
                return data[start:end]
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        for name, start, end in _riff_chunks(data):
            if name == b"EXIF":
                return data[start:end].removeprefix(_EXIF)
    return b""


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment's content, up to the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at + 4, end
        if marker == _START_OF_SCAN:
            return
        at = end


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = len(_PNG)
    while at + 8 <= len(data):
        start, length = at + 8, int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : start], start, start + length
        at = start + length + 4  # the checksum


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    while at + 8 <= len(data):
        start, length = at + 8, int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], start, start + length
        at = start + length + length % 2
