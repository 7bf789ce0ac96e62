"""PNG: chunks, their checksums, and the first frame of an animation. Source: PNG specification, third edition."""

from __future__ import annotations

import struct
import zlib

from ..exif import orientation
from ..header import Header, RefusedError, check_segments, check_size, cut_short
from ..limits import Limits

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of a PNG; its `data` lacks the chunks of an animation, so that the still image is read.

    Raises:
        RefusedError: the file lacks its end, a checksum is wrong, or it exceeds a limit.
    """
    at = len(SIGNATURE)
    segments = 0
    turned = 1
    kept = [SIGNATURE]
    name = b""
    has_pixels = False
    size: tuple[int, int] | None = None
    while name != b"IEND":
        check_segments(segments := segments + 1, limits, "chunks")
        if at + 12 > len(data):
            raise cut_short(len(data))
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise cut_short(len(data))
        content = memoryview(data)[at + 8 : end - 4]
        is_critical = not name[0] & 0x20
        if is_critical or name == b"tRNS":
            _check(name, content, data[end - 4 : end])
        if name == b"IHDR":
            width, height = struct.unpack_from(">II", content)
            check_size(width, height, limits)
            size = width, height
        elif name == b"eXIf":
            turned = orientation(bytes(content))
        has_pixels = has_pixels or name == b"IDAT"
        if name not in _ANIMATION:
            kept.append(data[at:end])
        at = end
    if size is None or not has_pixels:
        raise RefusedError("damaged, a PNG without pixels; copy or save it again")
    is_animated = len(kept) <= segments
    return Header(b"".join(kept) if is_animated else data, *size, orientation=turned)


def _check(name: bytes, content: memoryview, checksum: bytes) -> None:
    if zlib.crc32(content, zlib.crc32(name)) != int.from_bytes(checksum, "big"):
        raise RefusedError(f"damaged, the checksum of {name.decode('latin-1')!r} is wrong; copy or save it again")
