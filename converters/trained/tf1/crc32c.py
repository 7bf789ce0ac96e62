"""CRC-32C (Castagnoli; RFC 3720, appendix B.4) of many megabytes in NumPy.

A CRC is linear: that of a message is the sum, modulo 2, of what each of its words gives, carried over the zeros after
it. Pairs of neighbours are summed until one is left, all pairs of a round at once; the carry over 2^k words is a
32×32 matrix of bits, kept as four tables by byte (Adler, "crc32_combine" of zlib, has the algebra).
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Words: TypeAlias = npt.NDArray[np.uint32]

_POLYNOMIAL = np.uint32(0x82F63B78)
"""Bits reflected, as in the RFC."""
_WORD = 4


def crc32c(data: bytes | memoryview) -> int:
    """Compute the checksum of `data`."""
    words = np.frombuffer(bytes(-len(data) % _WORD) + bytes(data), "<u4").astype(np.uint32)  # zeros before change none
    power = 0
    while len(words) > 1:
        if len(words) % 2:
            words = np.concatenate([np.zeros(1, np.uint32), words])
        words = _carried(words[0::2], power) ^ words[1::2]
        power += 1
    count, odd = divmod(len(data), _WORD)
    start = _over_bits(np.array([0xFFFFFFFF], np.uint32), 8 * odd)
    for power in range(count.bit_length()):
        if count >> power & 1:
            start = _carried(start, power)
    body = _carried(words, 0) if len(words) else np.zeros(1, np.uint32)
    return int(body[0] ^ start[0]) ^ 0xFFFFFFFF


def masked(checksum: int) -> int:
    """Mask a checksum as it is stored: rotated by 15 bits, plus a constant (LevelDB, util/crc32c.h)."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _over_bits(values: _Words, bits: int) -> _Words:
    """Advance CRC states over zero bits, one by one."""
    for _ in range(bits):
        values = values >> np.uint32(1) ^ (values & np.uint32(1)) * _POLYNOMIAL
    return values


def _carried(values: _Words, power: int) -> _Words:
    """Advance CRC states over 2^power zero words."""
    tables = _tables(power)
    result: _Words = tables[0][values & np.uint32(0xFF)]
    for byte in range(1, _WORD):
        result ^= tables[byte][values >> np.uint32(8 * byte) & np.uint32(0xFF)]
    return result


@cache
def _tables(power: int) -> _Words:
    """(4, 256): what each value of each byte of a state becomes after 2^power zero words."""
    single = np.arange(256, dtype=np.uint32) << (np.uint32(8) * np.arange(_WORD, dtype=np.uint32))[:, None]
    if power == 0:
        return _over_bits(single, 8 * _WORD)
    return _carried(_carried(single, power - 1), power - 1)
