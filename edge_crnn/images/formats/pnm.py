"""PBM, PGM and PPM: the header, and the level of white. Source: the manual pages pbm(5), pgm(5) and ppm(5)."""

from __future__ import annotations

import re

from ..header import Header, RefusedError, check_size, cut_short
from ..limits import Limits

_GAP = rb"(?:\s|#[^\n]*\n)+"
_SIZE = re.compile(rb"P[1-6]" + _GAP + rb"(\d{1,10})" + _GAP + rb"(\d{1,10})")
_WHITE = re.compile(_GAP + rb"(\d{1,10})")
_LONGEST_HEADER = 4096


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of a PBM, PGM or PPM.

    Raises:
        RefusedError: the file lacks its end, white is not 255 or 65535, or it has too many pixels.
    """
    kind = data[1:2]
    size = _SIZE.match(data[:_LONGEST_HEADER])
    if size is None:
        raise RefusedError("damaged, a PNM without its width and height; copy or save it again")
    width = int(size[1])
    height = int(size[2])
    check_size(width, height, limits)
    end = size.end()
    white = 1
    if kind not in b"14":
        level = _WHITE.match(data[:_LONGEST_HEADER], end)
        if level is None:
            raise RefusedError("damaged, a PNM without its level of white; copy or save it again")
        end = level.end()
        white = int(level[1])
        if white not in (255, 65535):
            # OpenCV does not scale such levels, so 10 bits in 16 would look black.
            raise RefusedError(f"white is {white}, expected 255 or 65535; save it with 8 or 16 full bits")
    if len(data) - end - 1 < _content(kind, width, height, white):
        raise cut_short(len(data))
    return Header(data, width, height)


def _content(kind: bytes, width: int, height: int, white: int) -> int:
    """Return the smallest number of bytes that the pixels take."""
    samples = width * height * (3 if kind in b"36" else 1)
    if kind in b"123":
        return samples if kind == b"1" else 2 * samples - 1  # digits, with a space between two numbers
    if kind == b"4":
        return (width + 7) // 8 * height
    return samples * (2 if white > 255 else 1)
