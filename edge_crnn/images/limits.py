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
    """The largest picture file that is decoded.

    Raises:
        InputError: a limit is not a positive integer.
    """

    pixels: int = 32_000_000
    """Width times height. A picture of that size takes less than 1 GiB in every format."""
    file_bytes: int = 256 << 20
    """Bytes of the file."""
    segments: int = 50_000
    """Marker segments of a JPEG, or chunks of a PNG, WebP or GIF."""
    scans: int = 100
    """Scans of a JPEG; a progressive file has about 10."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"limit {name}: found {value!r}, expected an integer of at least 1")


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
