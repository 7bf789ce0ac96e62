"""Image formats: `inspect` reads the header of a file, applies the limits and looks for damage."""

from __future__ import annotations

import struct
from collections.abc import Callable

from ..header import Header, RefusedError
from ..limits import Limits
from . import bmp, gif, iso, jpeg, jpeg2000, png, pnm, tiff, webp

NAMES = "JPEG, PNG, BMP, WebP, TIFF, GIF, AVIF, JPEG 2000, PBM, PGM or PPM"
"""The formats that are decoded, for messages."""

_INSPECTORS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes, Limits], Header]], ...] = (
    (lambda start: start.startswith(b"\xff\xd8"), jpeg.inspect),
    (lambda start: start.startswith(png.SIGNATURE), png.inspect),
    (lambda start: start.startswith(b"BM"), bmp.inspect),
    (lambda start: start.startswith(b"RIFF") and start[8:12] == b"WEBP", webp.inspect),
    (lambda start: start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), tiff.inspect),
    (lambda start: start[:6] in (b"GIF87a", b"GIF89a"), gif.inspect),
    (lambda start: start[4:8] == b"ftyp", iso.inspect),
    (lambda start: start.startswith((jpeg2000.SIGNATURE, jpeg2000.CODESTREAM)), jpeg2000.inspect),
    (lambda start: start[:1] == b"P" and start[1:2] in b"123456" and start[2:3].isspace(), pnm.inspect),
)


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of an image file.

    Raises:
        RefusedError: it is not an image, has another format, exceeds a limit, is visibly damaged, or would be misread.
    """
    start = data[:12]
    for matches, inspector in _INSPECTORS:
        if matches(start):
            try:
                return inspector(data, limits)
            # A 64-bit offset may be too large for an index.
            except (struct.error, IndexError, OverflowError) as error:
                raise RefusedError(
                    f"{len(data):,} bytes that start with {data[:8]!r}, cut short or damaged in the header; copy or"
                    " save it again"
                ) from error
    raise RefusedError(
        f"{len(data):,} bytes that start with {data[:8]!r}, not an image, or a damaged one; expected {NAMES}: copy or"
        " save it again, in one of these formats"
    )
