"""AVIF, and its relatives that are not decoded. Source: ISO/IEC 14496-12 and 23008-12."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..header import Header, RefusedError, check_segments, check_size, cut_short, narrow_white
from ..limits import Limits

_AVIF = frozenset({b"avif", b"avis"})
_HEIC = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"})
_TURNED = frozenset({b"irot", b"imir"})
_DEEPEST = 8  # boxes around a box; a sound file has 3
_BITS = (8, 8, 10, 12)
"""Bits of a level, by the flags high_bitdepth and twelve_bit of av1C (AV1 in ISO base media files, section 2.3)."""
_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}  # name of the box → bytes before the boxes in it


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of an AVIF.

    Raises:
        RefusedError: it is in another format, is turned, lacks its end, or has too many pixels.
    """
    (length,) = struct.unpack_from(">I", data)
    brands = {data[8:12]} | {data[at : at + 4] for at in range(16, min(length, 256), 4)}
    if not brands & _AVIF:
        raise RefusedError(_advice(brands))
    sizes = []
    white = 0
    for number, (name, start, end) in enumerate(_boxes(data, 0, len(data)), 1):
        check_segments(number, limits, "boxes")
        if name == b"ispe":
            width, height = struct.unpack_from(">II", data, start + 4)
            check_size(width, height, limits)
            sizes.append((width, height))
        elif name == b"av1C":
            white = max(white, narrow_white(_BITS[data[start + 2] >> 5 & 3]))
        elif name in _TURNED and _is_turned(name, data[start:end]):
            raise RefusedError("a turned or mirrored AVIF, which is not read; save it upright, or as JPEG or PNG")
    if not sizes:
        raise RefusedError("damaged, an AVIF without its width and height; copy or save it again")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Header(data, width, height, white=white)


def _advice(brands: set[bytes]) -> str:
    if brands & _HEIC:
        return (
            "a HEIC image, whatever its suffix, which is not read; save it as JPEG or PNG (on an iPhone: Settings,"
            " Camera, Formats, Most Compatible)"
        )
    return "a film or another file of that family, not an image; expected JPEG or PNG: save a frame of it"


def _is_turned(name: bytes, content: bytes) -> bool:
    return name == b"imir" or bool(content[0] & 3)


def _boxes(data: bytes, at: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of every box; those in a container follow it."""
    if depth > _DEEPEST:
        raise RefusedError(f"damaged, more than {_DEEPEST} boxes in one another; copy or save it again")
    while at + 8 <= end:
        length, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        stop = at + length if length else end
        if not start <= stop <= end:
            raise cut_short(len(data))
        yield name, start, stop
        if name in _CONTAINERS:
            yield from _boxes(data, start + _CONTAINERS[name], stop, depth + 1)
        at = stop
