"""A walk over the Huffman codes of a JPEG's sequential scan. It shows damage that libjpeg ignores.

The walk takes no coefficient; it only steps from code to code. A damaged scan loses its step, so that its last block
does not end with the data. One look-up steps over all the codes in 16 bits, of which a plate of 4 kB needs about 2,000.
Source: ITU-T T.81, annex F.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np

_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_LAST = 128  # added to the coefficients of codes that end a block
_NONE = 1 << 20  # coefficients of a code that does not exist
_LONGEST_BLOCK = 256  # bytes; 64 codes of 16 + 15 bits
_SHORT = 10  # bits of the codes that are looked up at once
_EMPTY_RUN = bytes(8)
_ZEROS = "a run of zeros, which would be over 20 equal coefficients in one block"
_PADDING = b"\0\xff"  # bytes that encoders write after the last code

_Code = tuple[int, int, int]
_IMPOSSIBLE: _Code = (0, 0, 0)  # no short code begins like this


@dataclass(frozen=True)
class Frame:
    """The size of a JPEG and its components: identifier → horizontal and vertical sampling factor."""

    width: int
    height: int
    components: Mapping[int, tuple[int, int]]


class _Codes(dict[int, tuple[int, int]]):
    """16 bits → the bits that the codes in them take, with their values, and the coefficients that they fill.

    Entries are computed when they are first needed: few of the 65,536 occur.

    Args:
        table: 16 counts of codes by length, then the symbols, as in a DHT segment.
        is_dc: whether a symbol is the size of a DC difference; else it is a run and a size.
    """

    def __init__(self, table: bytes, *, is_dc: bool) -> None:
        super().__init__()
        self._is_dc = is_dc
        self._short: list[_Code] = []  # by the first bits of the window
        self._long: list[tuple[int, int, _Code]] = []  # length, code, meaning
        symbols = iter(table[16:])
        code = 0
        for length, count in enumerate(table[:16], 1):
            for symbol in islice(symbols, count):
                entry = _code(length, symbol, is_dc)
                if length <= _SHORT:
                    self._short += [entry] * (1 << _SHORT - length)
                else:
                    self._long.append((length, code, entry))
                code += 1
            code <<= 1
        self._short += [_IMPOSSIBLE] * ((1 << _SHORT) - len(self._short))

    def __missing__(self, window: int) -> tuple[int, int]:
        used = filled = 0
        while True:
            length, bits, more = self._first(window << used & 0xFFFF)
            if used and (used + length > 16 or more == _NONE):
                break
            used += bits
            filled += more
            if self._is_dc or used >= 16 or filled >= _LAST:
                break
        self[window] = used, filled
        return used, filled

    def single_step(self, window: int) -> tuple[int, int]:
        """Return the same for only the first code in the window."""
        _, bits, more = self._first(window)
        return bits, more

    def _first(self, window: int) -> _Code:
        entry = self._short[window >> 16 - _SHORT]
        return entry if entry[0] else self._long_code(window)

    def _long_code(self, window: int) -> _Code:
        for length, code, entry in self._long:
            if window >> 16 - length == code:
                return entry
        return 16, 16, _NONE


def _code(length: int, symbol: int, is_dc: bool) -> _Code:
    """Return the length of a code, its bits together with those of its value, and the coefficients that it fills."""
    if is_dc:
        return (length, length + symbol, 0) if symbol < 16 else (length, length, _NONE)
    run, size = symbol >> 4, symbol & 15
    if size or run == 15:
        return length, length + size, run + 1
    return length, length, _NONE if run else _LAST


@lru_cache(maxsize=16)  # encoders use the same few tables again and again
def _codes(table: bytes, is_dc: bool) -> _Codes:
    return _Codes(table, is_dc=is_dc)


def damage_of(
    scan: bytes, header: bytes, frame: Frame, tables: Mapping[int, bytes], interval: int, *, follow: bool
) -> str:
    """Return the damage of a scan; empty if there is none.

    Args:
        scan: entropy-coded data, with its stuffing and restart markers.
        header: content of the segment that starts the scan.
        frame: of the image.
        tables: class and number of a Huffman table (`class << 4 | number`) → counts and symbols.
        interval: MCUs between restart markers; 0: there are none.
        follow: whether to follow the codes; else a run of zeros is all that is looked for.
    """
    chosen = [(header[at], header[at + 1]) for at in range(1, 2 * header[0] + 1, 2)]
    if not chosen or any(number not in frame.components for number, _ in chosen):
        return "a scan of components that the frame lacks"
    if any(selector >> 4 not in tables or selector & 15 | 16 not in tables for _, selector in chosen):
        return "a scan without its Huffman tables"
    zeros_are_damage = any(tables[selector & 15 | 16][16:17] != b"\0" for _, selector in chosen)
    if not follow:
        return _ZEROS if zeros_are_damage and _EMPTY_RUN in scan.rstrip(_PADDING) else ""
    blocks, units = _layout(chosen, frame, tables)
    parts = _RESTART.split(scan)
    step = interval or units
    if units == 0:
        return "a scan without blocks"
    intervals = -(-units // step)
    coded = parts[::2]
    if len(coded) == intervals + 1 and not coded[-1].strip(_PADDING):  # a marker after the last interval
        coded.pop()
    if len(coded) != intervals:
        return "restart markers too few or too many"
    markers = b"".join(parts[1::2])[: intervals - 1]
    if any(marker != 0xD0 + number % 8 for number, marker in enumerate(markers)):
        return "restart markers out of order"
    for number, part in enumerate(coded):
        part = part.replace(b"\xff\0", b"\xff")
        wrong, end = _walk(part, blocks, min(step, units - number * step))
        if wrong:
            return wrong
        if zeros_are_damage and _EMPTY_RUN in part[:end]:
            return _ZEROS
        if part[end:].strip(_PADDING):
            return "data left after the last block"
    return ""


_Blocks = list[tuple[_Codes, _Codes]]


def _layout(chosen: list[tuple[int, int]], frame: Frame, tables: Mapping[int, bytes]) -> tuple[_Blocks, int]:
    """Return the codes of each block in an MCU, and the number of MCUs."""
    across = max(max(h for h, _ in frame.components.values()), 1)
    down = max(max(v for _, v in frame.components.values()), 1)
    blocks: _Blocks = []
    for number, selector in chosen:
        h, v = frame.components[number]
        dc, ac = tables[selector >> 4], tables[selector & 15 | 16]
        codes = _codes(dc, True), _codes(ac, False)
        blocks += [codes] * (1 if len(chosen) == 1 else h * v)
    if len(chosen) > 1:
        return blocks, -(-frame.width // (8 * across)) * -(-frame.height // (8 * down))
    h, v = frame.components[chosen[0][0]]
    return blocks, -(-frame.width * h // (8 * across)) * -(-frame.height * v // (8 * down))


def _walk(part: bytes, blocks: _Blocks, units: int) -> tuple[str, int]:
    """Return the damage in the codes of `units` MCUs, empty if there is none, and the bytes that they take."""
    padding = bytes(_LONGEST_BLOCK + 8 - len(part) % 4)
    halves = np.frombuffer(part + padding, ">u4").astype(np.uint64)
    words: list[int] = (halves[:-1] << np.uint64(32) | halves[1:]).tolist()  # 64 bits from every 32nd on
    end = 8 * len(part)
    at = 0
    for _ in range(units):
        for dc, ac in blocks:
            bits, invalid = dc[words[at >> 5] >> 48 - (at & 31) & 0xFFFF]
            if invalid:
                return "an impossible code", at // 8
            at += bits
            filled = 1
            while True:
                window = words[at >> 5] >> 48 - (at & 31) & 0xFFFF
                bits, more = ac[window]
                if filled + more < 64:
                    at += bits
                    filled += more
                    continue
                if not _ends_block(filled + more):
                    bits, more = ac.single_step(window)  # the other codes are those of the next block
                at += bits
                filled += more
                if filled >= 64:
                    break
            if not _ends_block(filled):
                return "an impossible code", at // 8
            if at > end:
                return "data that ends too early", at // 8
    return "", -(-at // 8)


def _ends_block(filled: int) -> bool:
    """Return whether a block may end with so many coefficients, including `_LAST` if a code ends the block."""
    return filled == 64 or _LAST < filled < _LAST + 64
