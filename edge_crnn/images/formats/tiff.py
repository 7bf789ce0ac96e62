"""TIFF: the tags that change the meaning of pixels, and the places of pixels. Source: TIFF 6.0; BigTIFF design."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..exif import ORIENTATION
from ..header import Header, RefusedError, check_segments, check_size, cut_short
from ..limits import Limits

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES, _EXTRA = 273, 279, 324, 325, 338
_SAMPLES, _ROWS, _PLANES = 277, 278, 284
_BRIGHTEST = 281  # MaxSampleValue
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
_ASSOCIATED, _UNASSOCIATED = 1, 2  # alpha with and without premultiplied colours
_UNCOMPRESSED = 1
_ONE_SAMPLE_PER_PLANE = 2
_FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # BYTE, SHORT, LONG, LONG8
_FULL_BITS = frozenset({1, 2, 4, 8, 16})
_NARROW_WHITES = frozenset((1 << bits) - 1 for bits in range(9, 16))
_MOST_VALUES = (
    dict.fromkeys((_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, ORIENTATION, _SAMPLES, _ROWS, _PLANES), 1)
    | dict.fromkeys((_TILE_WIDTH, _TILE_HEIGHT), 1)
    | dict.fromkeys((_BITS, _EXTRA, _BRIGHTEST), 1_000)
    | dict.fromkeys((_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES), 100_000)
)
"""Tag that is read → the most values that it may have; an entry with more is left to the image library."""

_Tags = dict[int, tuple[int, ...]]


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of a TIFF's first image.

    Its `data` is upright, and black is 0, so that every version of the image library gives the same pixels.

    Raises:
        RefusedError: the file lacks pixels, exceeds a limit, or its levels do not fill 8 or 16 bits.
    """
    changed = bytearray(data)
    tags: _Tags = {}
    for tag, at, format_, count in _entries(data, limits):
        tags[tag] = struct.unpack_from(f"{format_[0]}{count}{format_[1:]}", data, at)
        if tag == ORIENTATION:
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
    bits = tags.get(_BITS, (1,))[0]
    if bits < 16 and bits not in _FULL_BITS:
        raise RefusedError(f"found {bits} bits; expected levels that fill 8 or 16 bits: save it with 8 or 16 full bits")
    _check_samples(tags, bits)
    _check_pixels(tags, len(data))
    turned = tags.get(ORIENTATION, (1,))[0]
    # MaxSampleValue is the highest level that occurs. Some writers store the camera's white in it.
    brightest = max(tags.get(_BRIGHTEST, (0,)))
    return Header(
        bytes(changed),
        width,
        height,
        orientation=turned if 1 <= turned <= 8 else 1,
        is_inverted=tags.get(_PHOTOMETRIC) == (_WHITE_IS_ZERO,),
        has_padding=tags.get(_EXTRA, (0,))[0] not in (_ASSOCIATED, _UNASSOCIATED),
        is_premultiplied=tags.get(_EXTRA) == (_ASSOCIATED,),
        white=brightest if bits == 16 and brightest in _NARROW_WHITES else 0,
    )


def _entries(data: bytes, limits: Limits) -> Iterator[tuple[int, int, str, int]]:
    """Yield tag, place, format and number of the values of the entries that are read, in the first directory.

    The first entry of a tag counts, as in libtiff.
    """
    order = "<" if data[:2] == b"II" else ">"
    is_big = 43 in (data[2], data[3])
    offset, number = (f"{order}Q", f"{order}Q") if is_big else (f"{order}I", f"{order}H")
    entry = f"{order}HHQ" if is_big else f"{order}HHI"
    inline = struct.calcsize(offset)  # bytes of a value that stands in its entry, otherwise of its offset
    (at,) = struct.unpack_from(offset, data, inline)
    (entries,) = struct.unpack_from(number, data, at)
    check_segments(entries, limits, "entries")
    at += struct.calcsize(number)
    seen: set[int] = set()
    for _ in range(entries):
        tag, kind, count = struct.unpack_from(entry, data, at)
        place = at + struct.calcsize(entry)
        at = place + inline
        if tag not in seen and kind in _FORMATS and 0 < count <= _MOST_VALUES.get(tag, 0):
            if count * struct.calcsize(_FORMATS[kind]) > inline:
                (place,) = struct.unpack_from(offset, data, place)
            yield tag, place, order + _FORMATS[kind], count
        seen.add(tag)


def _number(tags: _Tags, tag: int) -> int:
    if tag not in tags:
        raise RefusedError(f"damaged, a TIFF without tag {tag}; copy or save it again")
    return tags[tag][0]


def _check_samples(tags: _Tags, bits: int) -> None:
    """Check that the image library fills all pixels; otherwise some keep what was in memory before.

    OpenCV 5.0 goes by the colours where the number of samples is too low, and reads one plane of 16 bits alone.
    """
    samples = tags.get(_SAMPLES, (1,))[0]
    if tags.get(_PHOTOMETRIC) in ((_RGB,), (_YCBCR,)) and samples < 3:
        raise RefusedError(f"damaged, a TIFF in colour with {samples} instead of 3 samples per pixel; save it again")
    if bits == 16 and samples > 2 and tags.get(_PLANES) == (_ONE_SAMPLE_PER_PLANE,):
        raise RefusedError("found 16 bits with a plane for each sample, expected interleaved samples; save it as PNG")


def _check_pixels(tags: _Tags, size: int) -> None:
    """Check that all strips and tiles lie in a file of `size` bytes."""
    needed = _bytes_of_strips(tags)
    for places, lengths in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        for start, length in zip(tags.get(places, ()), tags.get(lengths, ()), strict=False):
            most = next(needed, length) if places == _STRIPS else length
            if start + min(length, most) > size:
                raise cut_short(size)


def _bytes_of_strips(tags: _Tags) -> Iterator[int]:
    """Yield the most bytes that the pixels of a strip need, for the strips of an uncompressed image.

    Some writers give the last strip, which has fewer rows, the length of the others.
    """
    if tags.get(_COMPRESSION, (_UNCOMPRESSED,)) != (_UNCOMPRESSED,):
        return
    width = _number(tags, _WIDTH)
    height = _number(tags, _HEIGHT)
    samples = tags.get(_SAMPLES, (1,))[0]
    planes = samples if tags.get(_PLANES) == (_ONE_SAMPLE_PER_PLANE,) else 1
    row = -(-width * max(tags.get(_BITS, (1,))) * (samples // max(planes, 1)) // 8)
    rows = max(tags.get(_ROWS, (height,))[0], 1)
    for _ in range(planes):
        for top in range(0, height, rows):
            yield row * min(rows, height - top)
