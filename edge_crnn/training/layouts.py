"""Six kinds of Korean number plates with labels that the law does not allow, too; and the labels of all forms.

A label is a region letter (`A` to `P`, `Z` for none), two digits, two Latin letters that spell one Hangul
syllable on a Korean keyboard, and four digits: `A18sk6897` is 서울 18 나 6897. Since 2019 it is three digits, the
two letters and four digits: `152rk3108` is 152 가 3108.

The first models were trained on these kinds, which combine any syllable with any region; their seeds keep their
images. `plates.table` has the forms that are on the road, with the labels that the law allows.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..alphabet import KOREAN_PLATES, PLATES, PLATES_2019
from ..ctc.korean_plates import COMMERCIAL, NO_REGION, REGIONAL, REGIONAL_RENTAL, LabelSet
from ..errors import AlphabetError
from .plates.form import CAPITALS, DIGITS, REGIONS, Pattern
from .plates.table import ROAD

KINDS = ("long-white", "short-white", "yellow-region", "green-region", "green")
"""The five kinds whose labels are of nine symbols of KOREAN_PLATES: one line on long or short white; two on yellow or
green with a region; two on green without one."""
KINDS_2019 = ("long-white-2019",)
"""The kinds whose labels use PLATES_2019."""

_WITH_ANY_REGION = sorted((*COMMERCIAL.spellings, *REGIONAL.spellings, *REGIONAL_RENTAL.spellings))
HANGUL = {key: KOREAN_PLATES[key].strip() for key in _WITH_ANY_REGION}
"""Keyboard spelling → syllable of KINDS, in the order of the spellings: all that stand on plates with a region."""
HANGUL_2019 = {key: text.strip() for key, text in sorted(PLATES_2019.label_map.items())}
"""The same for KINDS_2019, which have three more."""


def labels_of(kind: str) -> LabelSet | Pattern:
    """Return the labels of a kind in LAYOUTS or `plates.table.ROAD`."""
    return LAYOUTS[kind].labels if kind in LAYOUTS else ROAD[kind].labels


def read_label(label: str, kind: str) -> str:
    """Return the label as people write it: 서울 18 나 6897."""
    if kind in ROAD:
        return ROAD[kind].read(label)
    return (PLATES if kind in KINDS else PLATES_2019).read(label)


def label_at(seed: int, index: int, kind: str) -> str:
    """Return the label of plate `index` of run `seed`; labels within a run are distinct, but for foreign plates.

    A four-round Feistel network (Luby and Rackoff 1988) permutes 26-bit numbers (30-bit ones for 2019); those past
    the number of labels are walked on until one fits (Black and Rogaway 2002, section 3).

    Raises:
        ValueError: `index` lies outside the labels of a run: 37,000,000 of KINDS, 400,000,000 of KINDS_2019.
    """
    labels = labels_of(kind)
    if isinstance(labels, Pattern):
        return _foreign_label(seed, index, labels)
    if not 0 <= index < labels.size:
        raise ValueError(f"plate {index:,}: a run has plates 0 to {labels.size - 1:,}; use another seed for more")
    half_bits = ((labels.size - 1).bit_length() + 1) // 2
    keys = _round_keys(seed)
    number = _permute(index, keys, half_bits)
    while number >= labels.size:
        number = _permute(number, keys, half_bits)
    use, digits = divmod(number, 10 ** (labels.digits + 4))
    region = labels.regions and labels.regions[_permute(index, keys[::-1], half_bits) % len(labels.regions)]
    return f"{region}{digits // 10_000:0{labels.digits}d}{labels.spellings[use]}{digits % 10_000:04d}"


def _foreign_label(seed: int, index: int, pattern: Pattern) -> str:
    rng = np.random.default_rng((seed, index))
    alphabets = {"A": CAPITALS, "0": DIGITS, " ": " "}
    return "".join(rng.choice(list(alphabets[character])) for character in pattern.text)


def check_label(label: str, kind: str) -> None:
    """Raise AlphabetError unless `label` is one of a plate of that kind."""
    labels = labels_of(kind)
    if re.fullmatch(labels.regex, label):
        return
    if isinstance(labels, Pattern):
        example = _foreign_label(0, 0, labels)
    else:
        spelling = "sk" if "sk" in labels.spellings else labels.spellings[0]
        example = f"{labels.regions[:1]}{'187'[: labels.digits]}{spelling}6897"
    raise AlphabetError(f"label {label!r} is no label of a {kind} plate, expected one like {example}")


@lru_cache(maxsize=8)
def _round_keys(seed: int) -> list[int]:
    return [int(key) for key in np.random.SeedSequence(seed).generate_state(4)]


def _permute(number: int, keys: list[int], half_bits: int) -> int:
    half = (1 << half_bits) - 1
    left, right = number >> half_bits, number & half
    for key in keys:
        mixed = ((right ^ key) * 0x9E3779B1 + key) & 0xFFFFFFFF
        mixed = ((mixed ^ (mixed >> 15)) * 0x85EBCA6B) & 0xFFFFFFFF
        left, right = right, left ^ ((mixed >> 16) & half)
    return left << half_bits | right


class Slot(NamedTuple):
    """Place of a glyph, in millimetres from the plate's upper left corner."""

    first: int
    """Start of its part of the label."""
    length: int
    """Number of characters of that part."""
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
    """Share of the ink's colour that the most worn plate still has; green plates ceased in 2006."""
    suffix: str
    """Suffix of the folder names in a glyph folder for this colour."""
    labels: LabelSet
    slots: tuple[Slot, ...]
    bolts: tuple[tuple[float, float], ...]

    @property
    def has_region(self) -> bool:
        """Return whether the plate names a region."""
        return len(self.labels.regions) > 1


_REGIONAL = LabelSet("".join(REGIONS), 2, tuple(HANGUL))
_NATIONAL = _REGIONAL._replace(regions=NO_REGION)
_OF_2019 = LabelSet("", 3, tuple(HANGUL_2019))

_REGION, _USE = (0, 1), (3, 2)
"""Start and length of these parts of a label; they are the same in all forms."""


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
_LONG_BOLTS = ((110.0, 10.0), (410.0, 10.0))

LAYOUTS: dict[str, Layout] = {
    "long-white": Layout(
        520,
        110,
        *_WHITE,
        _NATIONAL,
        (*_digits(1, 2, 30, 11, 56, 88), Slot(*_USE, 145, 13, 70, 84), *_digits(5, 4, 260, 11, 56, 88)),
        _LONG_BOLTS,
    ),
    "short-white": Layout(
        335,
        155,
        *_WHITE,
        _NATIONAL,
        (*_digits(1, 2, 12, 36, 43, 84), Slot(*_USE, 99, 44, 52, 68), *_digits(5, 4, 153, 36, 43, 84)),
        ((60.0, 18.0), (275.0, 18.0)),
    ),
    "yellow-region": Layout(335, 170, *_YELLOW, _REGIONAL, _WITH_REGION, _TOP_BOLTS),
    "green-region": Layout(335, 170, *_GREEN, _REGIONAL, _WITH_REGION, _TOP_BOLTS),
    "green": Layout(
        335,
        170,
        *_GREEN,
        _NATIONAL,
        (*_digits(1, 2, 88, 10, 48, 60), Slot(*_USE, 190, 12, 58, 56), *_digits(5, 4, 24, 72, 72, 90)),
        _TOP_BOLTS,
    ),
    "long-white-2019": Layout(
        520,
        110,
        *_WHITE,
        _OF_2019,
        (*_digits(0, 3, 24, 11, 55, 88), Slot(*_USE, 194, 13, 70, 84), *_digits(5, 4, 276, 11, 55, 88)),
        _LONG_BOLTS,
    ),
}
