"""TIFF: the tags that change the meaning of pixels, and the places of pixels. Source: TIFF 6.0; BigTIFF design."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..header import Header, RefusedError, check_segments, check_size, cut_short
from ..limits import Limits

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 262, 274
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES, _EXTRA = 273, 279, 324, 325, 338
_WHITEST = 281  # MaxSampleValue
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1
_ASSOCIATED, _UNASSOCIATED = 1, 2  # alpha with and without premultiplied colours
_FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # BYTE, SHORT, LONG, LONG8
_FULL_BITS = frozenset({1, 2, 4, 8, 16})
_MOST_VALUES = 100_000
_FULL = "expected levels that fill 8 or 16 bits: save it with 8 or 16 full bits"


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of a TIFF's first picture.

    Its `data` is upright, and black is 0, so that every version of the image library gives the same pixels.

    Raises:
        RefusedError: the file lacks pixels, exceeds a limit, or its levels do not fill 8 or 16 bits.
    """
    changed = bytearray(data)
    tags: dict[int, tuple[int, ...]] = {}
    for tag, at, format_, count in _entries(data, limits):
        tags[tag] = struct.unpack_from(f"{format_[0]}{count}{format_[1:]}", data, at)
        if tag == _ORIENTATION and count == 1:
            struct.pack_into(format_, changed, at, 1)
        elif tag == _PHOTOMETRIC and tags[tag] == (_WHITE_IS_ZERO,):
            struct.pack_into(format_, changed, at, _BLACK_IS_ZERO)
        elif tag == _EXTRA and tags[tag] == (_UNASSOCIATED,):
            struct.pack_into(format_, changed, at, _ASSOCIATED)  # otherwise libtiff multiplies the colours
    width = _number(tags, _WIDTH)
    height = _number(tags, _HEIGHT)
    check_size(width, height, limits)
    if _TILES in tags:
        check_size(_number(tags, _TILE_WIDTH), _number(tags, _TILE_HEIGHT), limits)
    _check_levels(tags)
    _check_pixels(tags, len(data))
    turned = tags.get(_ORIENTATION, (1,))[0]
    return Header(
        bytes(changed),
        width,
        height,
        orientation=turned if 1 <= turned <= 8 else 1,
        is_inverted=tags.get(_PHOTOMETRIC) == (_WHITE_IS_ZERO,),
        has_padding=tags.get(_EXTRA, (0,))[0] not in (_ASSOCIATED, _UNASSOCIATED),
        is_premultiplied=tags.get(_EXTRA) == (_ASSOCIATED,),
    )


def _entries(data: bytes, limits: Limits) -> Iterator[tuple[int, int, str, int]]:
    """Yield tag, place, format and number of the values of each entry in the first directory."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = 43 in (data[2], data[3])
    (at,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if is_big else "H"), data, at)
    check_segments(entries, limits)
    at += 8 if is_big else 2
    for _ in range(entries):
        tag, kind, count = struct.unpack_from(order + ("HHQ" if is_big else "HHI"), data, at)
        place, inline = (at + 12, 8) if is_big else (at + 8, 4)
        if kind in _FORMATS and 0 < count <= _MOST_VALUES:
            if count * struct.calcsize(_FORMATS[kind]) > inline:
                (place,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, place)
            yield tag, place, order + _FORMATS[kind], count
        at += 20 if is_big else 12


def _number(tags: dict[int, tuple[int, ...]], tag: int) -> int:
    if tag not in tags:
        raise RefusedError(f"damaged, a TIFF without tag {tag}; copy or save it again")
    return tags[tag][0]


def _check_levels(tags: dict[int, tuple[int, ...]]) -> None:
    bits = tags.get(_BITS, (1,))[0]
    whitest = tags.get(_WHITEST, (0,))[0]
    if bits < 16 and bits not in _FULL_BITS:
        raise RefusedError(f"found {bits} bits; {_FULL}")
    if bits == 16 and 0 < whitest < (1 << 16) - 1:
        raise RefusedError(f"found 16 bits with white at {whitest:,}; {_FULL}")


def _check_pixels(tags: dict[int, tuple[int, ...]], size: int) -> None:
    for places, lengths in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        for start, length in zip(tags.get(places, ()), tags.get(lengths, ()), strict=False):
            if start + length > size:
                raise cut_short(size)
