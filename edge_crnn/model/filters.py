"""The vocabulary of a spec's `filters`: a few of OpenCV's threshold and histogram operations."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

RESIZE = "resize"
"""The word that marks the place of resizing among the filters."""

_MAX_BLOCK = 999
_MAX_TILES = 64
_MOST = 1000.0


@dataclass(frozen=True)
class Otsu:
    """A filter that gives 255 above Otsu's threshold of the whole image, else 0."""


@dataclass(frozen=True)
class Adaptive:
    """A filter that gives 255 above the mean of the neighbourhood minus a constant, else 0."""

    mean: Literal["mean", "gaussian"]
    """Weights of the neighbours: all the same, or a Gaussian."""
    block: int
    """Side in pixels of the neighbourhood, odd."""
    less: float
    """Grey levels to subtract from the mean."""


@dataclass(frozen=True)
class Clahe:
    """Contrast-limited adaptive histogram equalisation."""

    limit: float
    """Clip limit of the histogram, as a multiple of its mean count; 0: no limit."""
    tiles: int
    """Number of tiles across, and of tiles down."""


Filter: TypeAlias = Otsu | Adaptive | Clahe

_KNOWN = '"otsu", "adaptive mean BLOCK C", "adaptive gaussian BLOCK C", "clahe LIMIT TILES"'


def parse(text: str) -> Filter:
    """Parse the words of a filter, such as "adaptive mean 11 2".

    Raises:
        ValueError: the text is no filter; the message says what was expected.
    """
    match text.split():
        case ["otsu"]:
            return Otsu()
        case ["adaptive", ("mean" | "gaussian") as mean, block, less]:
            return Adaptive(mean, _odd(block), _number(less, -_MOST))
        case ["clahe", limit, tiles]:
            return Clahe(_number(limit, 0.0), _whole(tiles, 1, _MAX_TILES))
    raise ValueError(f"expected a list of {_KNOWN}")


@functools.lru_cache(maxsize=64)
def parse_all(texts: tuple[str, ...]) -> tuple[tuple[Filter, ...], tuple[Filter, ...]]:
    """Parse the filters before resizing and those after it.

    Raises:
        ValueError: a text is no filter, or "resize" occurs twice; the message names it.
    """
    if texts.count(RESIZE) > 1:
        raise ValueError(f"{RESIZE!r} occurs {texts.count(RESIZE)} times, expected once at most")
    place = texts.index(RESIZE) if RESIZE in texts else len(texts)
    filters = []
    for text in (*texts[:place], *texts[place + 1 :]):
        try:
            filters.append(parse(text))
        except ValueError as error:
            raise ValueError(f"filter {text!r}: {error}") from error
    return tuple(filters[:place]), tuple(filters[place:])


def _odd(word: str) -> int:
    block = _whole(word, 3, _MAX_BLOCK)
    if block % 2 == 0:
        raise ValueError(f"block {block} is even, expected an odd number")
    return block


def _whole(word: str, least: int, most: int) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 4 and least <= int(word) <= most):
        raise ValueError(f"found {word!r}, expected a whole number from {least} to {most}")
    return int(word)


def _number(word: str, least: float) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not least <= value <= _MOST:
        raise ValueError(f"found {word!r}, expected a number from {least:g} to {_MOST:g}")
    return value
