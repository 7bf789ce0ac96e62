"""The grammars that edge-crnn ships, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import korean_plates


@dataclass(frozen=True)
class CheckDigit:
    """The last character of a label is the sum of all others, each valued and weighted, modulo `modulus` modulo 10.

    As an automaton, its state is the number of characters so far, and their sum.
    """

    values: Mapping[str, int]
    """Character → its value."""
    weights: tuple[int, ...]
    """Weight of each place but the last."""
    modulus: int

    @property
    def start(self) -> tuple[int, int]:
        """The state before the first character."""
        return 0, 0

    @property
    def end(self) -> tuple[int, int]:
        """The state after the right check digit."""
        return len(self.weights) + 1, 0

    def add(self, state: tuple[int, int], character: str) -> tuple[int, int] | None:
        """Return the next state; None if the character has no value, is a wrong check digit, or exceeds the length."""
        place, total = state
        value = self.values.get(character)
        if value is None or place > len(self.weights):
            return None
        if place == len(self.weights):
            return self.end if value == total % 10 else None
        return place + 1, (total + value * self.weights[place]) % self.modulus


@dataclass(frozen=True)
class Shipped:
    """A regular expression, and the check digit of its labels, if they have one."""

    regex: str
    check_digit: CheckDigit | None = None


_DIGITS = {str(digit): digit for digit in range(10)}
_CONTAINER_LETTERS = dict(
    zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", (value for value in range(10, 39) if value % 11), strict=True)
)
_CONTAINER_CHECK = CheckDigit(
    values={**_DIGITS, **_CONTAINER_LETTERS}, weights=tuple(2**place for place in range(10)), modulus=11
)

_MRZ_DATES = r"[0-9<]{6}[0-9][MF<][0-9]{6}[0-9]"  # birth, sex, expiry; each date has its check digit
_MRZ_LINES = (
    r"P[A-Z<][A-Z<]{42}",  # TD3, passports: 2 lines of 44
    rf"[A-Z0-9<]{{9}}[0-9][A-Z<]{{3}}{_MRZ_DATES}[A-Z0-9<]{{14}}[0-9<][0-9]",
    r"[ACI][A-Z<][A-Z<]{34}",  # TD2: 2 lines of 36
    rf"[A-Z0-9<]{{9}}[0-9<][A-Z<]{{3}}{_MRZ_DATES}[A-Z0-9<]{{7}}[0-9]",
    r"[ACI][A-Z<][A-Z<]{3}[A-Z0-9<]{9}[0-9<][A-Z0-9<]{15}",  # TD1: 3 lines of 30
    rf"{_MRZ_DATES}[A-Z<]{{3}}[A-Z0-9<]{{11}}[0-9]",
    r"[A-Z<]{30}",
    r"V[A-Z<][A-Z<]{42}",  # MRV-A, visas: 2 lines of 44
    rf"[A-Z0-9<]{{9}}[0-9][A-Z<]{{3}}{_MRZ_DATES}[A-Z0-9<]{{16}}",
    r"V[A-Z<][A-Z<]{34}",  # MRV-B: 2 lines of 36
    rf"[A-Z0-9<]{{9}}[0-9][A-Z<]{{3}}{_MRZ_DATES}[A-Z0-9<]{{8}}",
)

GRAMMARS: Mapping[str, Shipped] = {
    "korean-plates": Shipped(korean_plates.REGEX),
    "korean-plates-2019": Shipped(r"[0-9]{3}([adefqrstw][hjkn]|g[hjk]|qo)[0-9]{4}"),
    "digits": Shipped(r"[0-9]+"),
    "containers": Shipped(r"[A-Z]{3}[JUZ][0-9]{7}", _CONTAINER_CHECK),
    "mrz": Shipped("|".join(_MRZ_LINES)),
    "latin-plates": Shipped(r"[0-9A-Z]{4,10}"),
}
"""korean-plates: a region or Z for none, two or three digits, a syllable as typed, four digits, as the law combines
them (`korean_plates`), in the symbols of `alphabet.PLATES`; korean-plates-2019: three digits, a syllable, four digits,
in those of `alphabet.PLATES_2019`; digits: one or more; containers: ISO 6346 with its check digit; mrz: one line of an
ICAO machine readable zone (Doc 9303, parts 4 to 7); latin-plates: 4 to 10 digits and capital letters.
"""
