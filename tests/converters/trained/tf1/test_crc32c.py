from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.trained.tf1.crc32c import crc32c, masked


def slow(data: bytes) -> int:
    """Bit by bit, as the polynomial is written."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_values(data: bytes, expected: int) -> None:
    """RFC 3720, appendix B.4."""
    assert crc32c(data) == slow(data) == expected


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_length(data: bytes) -> None:
    assert crc32c(data) == crc32c(memoryview(data)) == slow(data)


def test_many_bytes() -> None:
    data = bytes(number * number % 251 for number in range(100_003))
    assert crc32c(data) == slow(data)


def test_mask() -> None:
    assert masked(0) == 0xA282EAD8
    assert masked(0xFFFFFFFF) == 0xA282EAD7
    assert masked(0x8000) == 0xA282EAD9
    assert masked(1) == 0xA284EAD8
