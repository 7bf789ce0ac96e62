"""PNG: chunks, their checksums, and the first frame of an animation. Source: PNG specification, third edition."""

from __future__ import annotations

import struct
import zlib

from ..exif import orientation, orientation_in_xmp
from ..header import Header, RefusedError, check_segments, check_size, cut_short, narrow_white
from ..limits import Limits

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the type of colour
_FAST = 1 << 18
"""Bytes of compressed pixels that cannot take long to decompress: they give 270 MB at most."""
_PIECE = 1 << 13
"""Bytes of compressed pixels that are decompressed at once, which give 8 MiB at most."""
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_XMP = b"XML:com.adobe.xmp"
_RAW_EXIF = frozenset({b"Raw profile type exif", b"Raw profile type APP1"})
_MOST_TEXT = 1 << 20
"""Bytes of a text that are read; the packets of cameras and editors are smaller."""


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of a PNG; its `data` lacks the chunks of an animation, so that the still image is read.

    Raises:
        RefusedError: the file lacks its end, a checksum is wrong, or it exceeds a limit.
    """
    at = len(SIGNATURE)
    segments = 0
    turned: int | None = None
    turned_in_text: int | None = None
    kept = [SIGNATURE]
    name = b""
    pixels: list[memoryview] = []
    bits = colours = white = 0
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
            width, height, bits, colours = struct.unpack_from(">IIBB", content)
            check_size(width, height, limits)
            size = width, height
        elif name == b"eXIf":
            turned = orientation(bytes(content))
        elif name == b"sBIT" and bits == 16:
            white = narrow_white(content[0])
        elif name in _TEXTS:
            turned_in_text = turned_in_text or _orientation_in_text(name, content)
        elif name == b"IDAT":
            pixels.append(content)
        if name not in _ANIMATION:
            kept.append(data[at:end])
        at = end
    if size is None or not pixels:
        raise RefusedError("damaged, a PNG without pixels; copy or save it again")
    if sum(map(len, pixels)) > _FAST:
        row = 1 + size[0] * bits * _CHANNELS.get(colours, 4) // 8
        _check_surplus(pixels, 2 * row * size[1] + _FAST)  # interlacing adds less than this
    is_animated = len(kept) <= segments
    still = b"".join(kept) if is_animated else data
    return Header(still, *size, orientation=turned or turned_in_text or 1, white=white)


def _check(name: bytes, content: memoryview, checksum: bytes) -> None:
    if zlib.crc32(content, zlib.crc32(name)) != int.from_bytes(checksum, "big"):
        raise RefusedError(f"damaged, the checksum of {name.decode('latin-1')!r} is wrong; copy or save it again")


def _check_surplus(pixels: list[memoryview], most: int) -> None:
    """Check that compressed pixels give at most `most` bytes: the image library decompresses all that follow, too."""
    unpacker = zlib.decompressobj()
    size = 0
    for content in pixels:
        for at in range(0, len(content), _PIECE):
            if unpacker.eof:  # the rest is not decompressed
                return
            try:
                size += len(unpacker.decompress(content[at : at + _PIECE]))
            except zlib.error:  # the image library judges damage
                return
            if size > most:
                raise RefusedError(f"found more than {most:,} bytes of pixels, more than the image has; save it again")


def _orientation_in_text(name: bytes, content: memoryview) -> int | None:
    """Return the orientation in a text chunk: in XMP, or in EXIF as ImageMagick writes it; None if it has none."""
    keyword = bytes(content[:80]).partition(b"\0")[0]
    if keyword != _XMP and keyword not in _RAW_EXIF:
        return None
    text = bytes(content[len(keyword) + 1 :][:_MOST_TEXT])
    is_compressed = name == b"zTXt"
    if name == b"zTXt":
        text = text[1:]  # after the method
    elif name == b"iTXt":
        is_compressed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[-1]  # after a flag, the method, a language and a translated keyword
    try:
        if is_compressed:
            text = zlib.decompressobj().decompress(text, _MOST_TEXT)
        if keyword == _XMP:
            return orientation_in_xmp(text)
        return orientation(bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii")))
    except (zlib.error, ValueError):  # a damaged text does not make the image unreadable
        return None
