"""The header of a picture file, which is read before the file is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from .limits import Limits


class RefusedError(Exception):
    """A file that must not be decoded; the message gives the reason and the advice, without the file's name."""


@dataclass(frozen=True)
class Header:
    """The facts about a picture that decide the meaning of its decoded pixels."""

    data: bytes
    """The bytes for the image library, without parts that it would misread."""
    width: int
    """Width in pixels, before the picture is turned upright."""
    height: int
    orientation: int = 1
    """EXIF orientation, 1 to 8, which the image library does not apply."""
    is_inverted: bool = False
    """Whether 0 is white."""
    has_padding: bool = False
    """Whether a fourth channel means nothing."""
    is_premultiplied: bool = False
    """Whether the colours are multiplied by alpha."""
    white: int = 0
    """The level of white, below 65535, that the file may have in 16 bits; 0 if white is the highest level."""
    damage: str = ""
    """The sign of damage in the file; empty if there is none."""


def check_bytes(size: int, limits: Limits) -> None:
    """Check that a file of `size` bytes may be read.

    Raises:
        RefusedError: it is empty or too large.
    """
    if not 1 <= size <= limits.file_bytes:
        raise RefusedError(
            f"found {size:,} bytes, expected a picture of at most {limits.file_bytes:,} bytes; name another"
        )


def check_size(width: int, height: int, limits: Limits) -> None:
    """Check that a picture of this size may be decoded.

    Raises:
        RefusedError: a side is 0, or there are too many pixels.
    """
    if width < 1 or height < 1:
        raise RefusedError(f"the header gives {width} x {height} pixels, so the file is damaged; save it again")
    if width * height > limits.pixels:
        raise RefusedError(
            f"found {width:,} x {height:,} pixels, expected at most {limits.pixels:,} in all; give a smaller"
            " picture, or raise the limit with EDGE_CRNN_MAX_PIXELS or edge_crnn.images.set_limits"
        )


def check_segments(count: int, limits: Limits, kind: str = "segments") -> None:
    """Check that a file does not have too many segments; `kind` is their name in the file's format.

    Raises:
        RefusedError: the file has too many.
    """
    if count > limits.segments:
        raise RefusedError(
            f"found more than {limits.segments:,} {kind}, many more than a picture needs; save it again, or raise"
            " Limits.segments with edge_crnn.images.set_limits"
        )


def cut_short(size: int) -> RefusedError:
    """Return the error of a file of `size` bytes that lacks its end."""
    return RefusedError(f"cut short, the end of the picture is missing after {size:,} bytes; copy it again")
