"""What a Korean number plate looks like: its five kinds in millimetres, and the labels that they carry.

A label is a region letter (`A` to `P`, `Z` for none), two digits, two Latin letters that spell one Hangul
syllable on a Korean keyboard, and four digits: `A18sk6897` is 서울 18 나 6897.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np

from ..alphabet import KOREAN_PLATES
from ..errors import AlphabetError

PlateKind = Literal["long-white", "short-white", "yellow-region", "green-region", "green"]
"""One line on long or short white; two on yellow or green with a region; two on green without one."""

KINDS: tuple[PlateKind, ...] = get_args(PlateKind)

NO_REGION = "Z"
REGIONS = {key: text.strip() for key, text in KOREAN_PLATES.items() if len(key) == 1 and key != NO_REGION}
"""Region letter → the region's name."""
HANGUL = {key: text.strip() for key, text in sorted(KOREAN_PLATES.items()) if len(key) == 2}
"""Keyboard spelling → syllable, in the order of the spellings."""

_SPELLINGS, _REGION_LETTERS = tuple(HANGUL), tuple(REGIONS)

# Regions aside, so that one index gives one plate whichever kind it is drawn as.
_UNREGIONED = len(HANGUL) * 1_000_000
_HALF_BITS = 13
_HALF = (1 << _HALF_BITS) - 1


def label_at(seed: int, index: int, kind: PlateKind) -> str:
    """The label of plate `index` of run `seed`; no two indices of a run share one.

    A four-round Feistel network (Luby and Rackoff 1988) permutes 26-bit numbers; those past the number of
    labels are walked on until one fits (Black and Rogaway 2002, section 3).

    Raises:
        ValueError: `index` lies outside the 37,000,000 labels of a run.
    """
    if not 0 <= index < _UNREGIONED:
        raise ValueError(f"plate {index:,}: a run has plates 0 to {_UNREGIONED - 1:,}; use another seed for more")
    keys = _round_keys(seed)
    number = _permute(index, keys)
    while number >= _UNREGIONED:
        number = _permute(number, keys)
    use, digits = divmod(number, 1_000_000)
    region = NO_REGION
    if LAYOUTS[kind].has_region:
        region = _REGION_LETTERS[_permute(index, keys[::-1]) % len(REGIONS)]
    return f"{region}{digits // 10_000:02d}{_SPELLINGS[use]}{digits % 10_000:04d}"


def check_label(label: str, kind: PlateKind) -> None:
    """Raise AlphabetError unless `label` is one of a plate of that kind."""
    region = f"[{''.join(REGIONS)}]" if LAYOUTS[kind].has_region else NO_REGION
    if not re.fullmatch(rf"{region}[0-9]{{2}}({'|'.join(HANGUL)})[0-9]{{4}}", label):
        example = f"{'A' if LAYOUTS[kind].has_region else NO_REGION}18sk6897"
        raise AlphabetError(f"label {label!r} is none of a {kind} plate, expected one like {example}")


@lru_cache(maxsize=8)
def _round_keys(seed: int) -> list[int]:
    return [int(key) for key in np.random.SeedSequence(seed).generate_state(4)]


def _permute(number: int, keys: list[int]) -> int:
    left, right = number >> _HALF_BITS, number & _HALF
    for key in keys:
        mixed = ((right ^ key) * 0x9E3779B1 + key) & 0xFFFFFFFF
        mixed = ((mixed ^ (mixed >> 15)) * 0x85EBCA6B) & 0xFFFFFFFF
        left, right = right, left ^ ((mixed >> 16) & _HALF)
    return left << _HALF_BITS | right


class Slot(NamedTuple):
    """Where one glyph stands, in millimetres from the plate's upper left corner."""

    first: int
    """Where its part of the label begins."""
    length: int
    """Characters of that part."""
    x: float
    y: float
    width: float
    height: float


class Layout(NamedTuple):
    """One kind of plate, in millimetres; colours are nominal BGR."""

    width: float
    height: float
    background: tuple[int, int, int]
    ink: tuple[int, int, int]
    least_ink: float
    """How much of the ink's colour the most worn plate still has; green plates ceased in 2006."""
    suffix: str
    """What the names of a glyph folder's folders end in for this colour."""
    slots: tuple[Slot, ...]
    bolts: tuple[tuple[float, float], ...]

    @property
    def has_region(self) -> bool:
        """Whether the plate names a region."""
        return self.slots[0].first == 0


_REGION, _USE = (0, 1), (3, 2)


def _digits(first: int, count: int, x: float, y: float, width: float, height: float) -> tuple[Slot, ...]:
    return tuple(Slot(first + i, 1, x + i * width, y, width, height) for i in range(count))


_WHITE = ((242, 242, 240), (38, 32, 30), 0.85, "")
_YELLOW = ((30, 190, 245), (36, 30, 28), 0.85, "_y")
_GREEN = ((62, 112, 18), (240, 242, 240), 0.6, "_g")

_WITH_REGION = (
    Slot(*_REGION, 62, 12, 100, 56),
    *_digits(1, 2, 176, 10, 46, 60),
    Slot(*_USE, 10, 86, 58, 58),
    *_digits(5, 4, 72, 72, 63, 90),
)
_TOP_BOLTS = ((42.0, 26.0), (293.0, 26.0))

LAYOUTS: dict[PlateKind, Layout] = {
    "long-white": Layout(
        520,
        110,
        *_WHITE,
        (*_digits(1, 2, 30, 11, 56, 88), Slot(*_USE, 145, 13, 70, 84), *_digits(5, 4, 260, 11, 56, 88)),
        ((110.0, 10.0), (410.0, 10.0)),
    ),
    "short-white": Layout(
        335,
        155,
        *_WHITE,
        (*_digits(1, 2, 12, 36, 43, 84), Slot(*_USE, 99, 44, 52, 68), *_digits(5, 4, 153, 36, 43, 84)),
        ((60.0, 18.0), (275.0, 18.0)),
    ),
    "yellow-region": Layout(335, 170, *_YELLOW, _WITH_REGION, _TOP_BOLTS),
    "green-region": Layout(335, 170, *_GREEN, _WITH_REGION, _TOP_BOLTS),
    "green": Layout(
        335,
        170,
        *_GREEN,
        (*_digits(1, 2, 88, 10, 48, 60), Slot(*_USE, 190, 12, 58, 56), *_digits(5, 4, 24, 72, 72, 90)),
        _TOP_BOLTS,
    ),
}
