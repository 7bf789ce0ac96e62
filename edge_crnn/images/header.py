"""The header of an image file, which is read before the file is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from .limits import Limits

_LARGE = 32 << 20
"""Bytes below which memory is not compared, since that takes half a millisecond."""


class RefusedError(Exception):
    """A file that must not be decoded; the message gives the reason and the advice, without the file's name."""


@dataclass(frozen=True)
class Header:
    """The facts about an image that decide the meaning of its decoded pixels."""

    data: bytes
    """The bytes for the image library, without parts that it would misread."""
    width: int
    """Width in pixels, before the image is turned upright."""
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


def narrow_white(bits: int) -> int:
    """Return the level of white of 9 to 15 bits, which the image library leaves as it is in 16; 0 for other numbers."""
    return (1 << bits) - 1 if 8 < bits < 16 else 0


def check_bytes(size: int, limits: Limits) -> None:
    """Check that a file of `size` bytes may be read.

    Raises:
        RefusedError: it is empty, too large, or larger than the memory.
    """
    if not 1 <= size <= limits.file_bytes:
        raise RefusedError(
            f"found {size:,} bytes, expected an image of at most {limits.file_bytes:,} bytes; name another"
        )
    check_memory(size, "the file")


def check_size(width: int, height: int, limits: Limits) -> None:
    """Check that an image of this size may be decoded.

    Raises:
        RefusedError: a side is 0, or there are too many pixels.
    """
    if width < 1 or height < 1:
        raise RefusedError(f"the header gives {width} x {height} pixels, so the file is damaged; save it again")
    if width * height > limits.pixels:
        raise RefusedError(
            f"found {width:,} x {height:,} pixels, expected at most {limits.pixels:,} in all; give a smaller"
            " image, or raise the limit with EDGE_CRNN_MAX_PIXELS or edge_crnn.images.set_limits"
        )


def check_memory(least_bytes: int, content: str) -> None:
    """Check that this process can ever have the memory that an image needs. A lack that may pass is no error here.

    Args:
        least_bytes: the smallest number of bytes that are needed at once.
        content: the part of the image that needs them, for the message.

    Raises:
        RefusedError: the limit of memory is lower.
    """
    if least_bytes < _LARGE:
        return
    from ..board.limits import largest_memory  # arrays and small images do without

    most = largest_memory()
    if most is not None and least_bytes > most:
        raise RefusedError(
            f"{content} needs at least {least_bytes:,} bytes of memory, and this process can never have more than"
            f" {most:,}, swap included; give a smaller image, or raise the limit of memory"
        )


def check_segments(count: int, limits: Limits, kind: str = "segments") -> None:
    """Check that a file does not have too many segments; `kind` is their name in the file's format.

    Raises:
        RefusedError: the file has too many.
    """
    if count > limits.segments:
        raise RefusedError(
            f"found more than {limits.segments:,} {kind}, many more than an image needs; save it again, or raise"
            " Limits.segments with edge_crnn.images.set_limits"
        )


def cut_short(size: int) -> RefusedError:
    """Return the error of a file of `size` bytes that lacks its end."""
    return RefusedError(f"cut short, the end of the image is missing after {size:,} bytes; copy it again")
