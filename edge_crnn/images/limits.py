"""The limits that keep a small file from taking all the memory or time of a board.

They are checked on the header, before anything is decoded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import InputError

_VARIABLE = "EDGE_CRNN_MAX_PIXELS"


@dataclass(frozen=True)
class Limits:
    """The largest image file that is decoded.

    Raises:
        InputError: a limit is not an integer of at least 1 (0 for `followed_bytes`).
    """

    pixels: int = 64_000_000
    """Width times height. An image of the default size takes about 1.1 GiB at most, the process included."""
    file_bytes: int = 256 << 20
    """Bytes of the file."""
    segments: int = 50_000
    """Marker segments of a JPEG, chunks of a PNG, WebP or GIF, entries of a TIFF, or boxes of an AVIF."""
    scans: int = 100
    """Scans of a JPEG; a progressive file has about 10."""
    followed_bytes: int = 16 << 10
    """Bytes of a JPEG's scans in all whose codes are followed to show damage; 0 turns this off.

    The check is written in Python, so threads share its time: up to 2 ms for 16 kB, 9 ms with new Huffman tables.
    """

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name == "followed_bytes" else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"limit {name}: found {value!r}, expected an integer of at least {least}")


_current: Limits | None = None


def set_limits(limits: Limits | None) -> None:
    """Replace the limits for this process; None restores the defaults.

        edge_crnn.images.set_limits(Limits(pixels=100_000_000))

    The environment variable EDGE_CRNN_MAX_PIXELS sets the default of `Limits.pixels`.
    """
    global _current
    _current = limits


def current_limits() -> Limits:
    """Return the limits that hold in this process.

    Raises:
        InputError: EDGE_CRNN_MAX_PIXELS is not a positive integer.
    """
    if _current is not None:
        return _current
    text = os.environ.get(_VARIABLE)
    if not text:
        return _DEFAULT
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{_VARIABLE}: found {text!r}, expected an integer of at least 1")
    return Limits(pixels=int(text))


_DEFAULT = Limits()
