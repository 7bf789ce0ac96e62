"""The labels that Korean law allows on number plates: which syllables go with a region, and with how many digits.

Renderer and grammar both take them from here. The syllables are those of the Notice on Standards for Motor Vehicle
Registration Plates (Ministry of Land, Infrastructure and Transport) that the symbols of `alphabet.PLATES` can spell.
"""

from __future__ import annotations

from typing import NamedTuple

from ..alphabet import KOREAN_PLATES

NO_REGION = "Z"
_REGIONS = "".join(key for key in KOREAN_PLATES if len(key) == 1 and key != NO_REGION)

_COMMERCIAL = ("dk", "qk", "tk", "wk")  # 아 바 사 자: taxis, buses, trucks
_OLD_RENTAL = ("gj",)  # 허, the only letter of rental cars on plates with a region
_RENTAL = ("gh", "gj", "gk")  # 호 허 하
_PRIVATE = tuple(sorted(key for key in KOREAN_PLATES if len(key) == 2 and key not in (*_COMMERCIAL, *_RENTAL)))


class LabelSet(NamedTuple):
    """Labels of the same parts: a region letter if there are any, digits, a syllable as it is typed, four digits."""

    regions: str
    """The letters of which one comes first; empty if labels have none."""
    digits: int
    """Number of digits before the syllable."""
    spellings: tuple[str, ...]
    """The syllables, as typed on a Korean keyboard."""

    @property
    def size(self) -> int:
        """Number of labels without their regions, so that an index gives the same plate whatever its region."""
        return len(self.spellings) * int(10 ** (self.digits + 4))

    @property
    def regex(self) -> str:
        """Regular expression with the groups region, digits, syllable and digits; the first may be empty."""
        region = f"([{self.regions}])" if self.regions else "()"
        return rf"{region}([0-9]{{{self.digits}}})({'|'.join(self.spellings)})([0-9]{{4}})"


COMMERCIAL = LabelSet(_REGIONS, 2, _COMMERCIAL)
REGIONAL = LabelSet(_REGIONS, 2, _PRIVATE)
REGIONAL_RENTAL = LabelSet(_REGIONS, 2, _OLD_RENTAL)
NATIONAL = LabelSet(NO_REGION, 2, _PRIVATE)
NATIONAL_RENTAL = LabelSet(NO_REGION, 2, _RENTAL)
NATIONAL_2019 = LabelSet(NO_REGION, 3, _PRIVATE)
NATIONAL_2019_RENTAL = LabelSet(NO_REGION, 3, _RENTAL)

LEGAL = (
    COMMERCIAL,
    REGIONAL,
    REGIONAL_RENTAL,
    NATIONAL,
    NATIONAL_RENTAL,
    NATIONAL_2019,
    NATIONAL_2019_RENTAL,
)
"""All labels that the law allows. No two sets share a label, so labels drawn from several of them differ."""

REGEX = "|".join(label_set.regex for label_set in LEGAL)
"""The grammar of all labels in LEGAL."""
