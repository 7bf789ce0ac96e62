"""The table of plates, in millimetres: those on the road in Korea, and others that must not be read as one of them.

The measures are those of the drawings in the Notice on Standards for Motor Vehicle Registration Plates (Ministry of
Land, Infrastructure and Transport). Estimates are the cells of short white plates and of green ones without a region,
where the row of a reflective film starts, strips, emblems, and the foreign plates. A new plate is a new entry.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...ctc.korean_plates import (
    COMMERCIAL,
    NATIONAL,
    NATIONAL_2019,
    NATIONAL_2019_RENTAL,
    NATIONAL_RENTAL,
    REGIONAL,
    REGIONAL_RENTAL,
)
from .form import Form, Paint, Pattern, Row, Strip

WHITE = Paint((242, 242, 240), (38, 32, 30), 0.85, ((225, 50),), shines=True)
YELLOW = Paint((30, 190, 245), (36, 30, 28), 0.85, ((210, 50),), shines=True)
PALE_BLUE = Paint((245, 222, 178), (48, 36, 30), 0.85, ((215, 55),), shines=True)
BLUE = Paint((150, 70, 20), (240, 240, 240), 0.85, ((90, 215),), shines=False)
# Green paint is darker than its white ink in the light of some infrared lamps, and lighter in that of others.
GREEN = Paint((62, 112, 18), (240, 242, 240), 0.6, ((85, 220), (190, 95)), shines=False)


def _pair(width: float, x: float, y: float) -> tuple[tuple[float, float], ...]:
    """Return the place of a bolt and of its mirror image on a plate of that width."""
    return (x, y), (width - x, y)


_LONG = Form(
    width=520,
    height=110,
    paints=(WHITE,),
    suffix="",
    labels=NATIONAL,
    rows=(Row(44, 13.5, 83, (56, 56, 96, 56, 56, 56, 56)),),
    bolts=_pair(520, 20, 55),
)
_LONG_2019 = _LONG._replace(labels=NATIONAL_2019, rows=(Row(30, 13.5, 83, (55, 55, 55, 75, 55, 55, 55, 55)),))
_FILM_2019 = _LONG_2019._replace(rows=(Row(55, 12.5, 85, (50, 50, 50, 85, 50, 50, 50, 50)),))
_WITH_STRIP = _FILM_2019._replace(strip=Strip(48, (190, 110, 50), disc=((60, 50, 205), (160, 80, 10)), letters="KOR"))
_SHORT = Form(
    width=335,
    height=155,
    paints=(WHITE,),
    suffix="",
    labels=NATIONAL,
    rows=(Row(12, 40, 77, (43, 43)), Row(99, 40, 77, (52,)), Row(153, 40, 77, (43, 43, 43, 43))),
    bolts=_pair(335, 65, 25),
    syllable=(0.75, 0.95),
)
_LARGE = Form(
    width=440,
    height=200,
    paints=(WHITE,),
    suffix="",
    labels=NATIONAL,
    rows=(Row(11, 60, 105, (59, 59, 64, 59, 59, 59, 59)),),
    bolts=_pair(440, 75, 30),
    syllable=(0.7, 1.0),
)
_LONG_REGION = _LONG._replace(
    paints=(YELLOW, YELLOW, WHITE),
    suffix="_y",
    labels=COMMERCIAL,
    rows=(Row(32, 13.5, 83, (55, 55, 55, 71, 55, 55, 55, 55)),),
    is_stacked=True,
)
_TWO_LINES = Form(
    width=335,
    height=170,
    paints=(YELLOW,),
    suffix="_y",
    labels=COMMERCIAL,
    rows=(Row(82, 9, 48, (95, 38, 38)), Row(13.5, 68, 92, (60, 62, 62, 62, 62))),
    bolts=_pair(335, 65, 26),
    syllable=(0.64, 0.9),
)
_LARGE_TWO_LINES = Form(
    width=440,
    height=220,
    paints=(YELLOW,),
    suffix="_y",
    labels=COMMERCIAL,
    rows=(Row(107, 11, 61, (126, 50, 50)), Row(19.5, 84, 116, (89, 78, 78, 78, 78))),
    bolts=_pair(440, 75, 34),
    syllable=(0.64, 0.9),
)
_GREEN_REGION = _TWO_LINES._replace(paints=(GREEN,), suffix="_g", labels=REGIONAL, has_bare_one=True)
_GREEN = _GREEN_REGION._replace(
    labels=NATIONAL,
    rows=(Row(85, 9, 48, (55, 55, 55)), Row(13.5, 68, 92, (77, 77, 77, 77))),
    syllable=(0.85, 1.0),
)

FORMS: Mapping[str, Form] = {
    "white-long": _LONG,
    "white-long-rental": _LONG._replace(labels=NATIONAL_RENTAL),
    "white-long-2019": _LONG_2019,
    "white-long-2019-rental": _LONG_2019._replace(labels=NATIONAL_2019_RENTAL),
    "white-long-2019-film": _WITH_STRIP,
    "white-long-2019-film-rental": _WITH_STRIP._replace(labels=NATIONAL_2019_RENTAL),
    "blue-long": _LONG._replace(paints=(PALE_BLUE,), emblem="EV"),
    "blue-long-2019": _FILM_2019._replace(paints=(PALE_BLUE,), emblem="EV"),
    "white-short": _SHORT,
    "white-large": _LARGE,
    "yellow-long-region": _LONG_REGION,
    "yellow-two-line": _TWO_LINES,
    "yellow-large": _LARGE_TWO_LINES,
    "green-two-line": _GREEN,
    "green-two-line-region": _GREEN_REGION,
    "green-two-line-rental": _GREEN_REGION._replace(labels=REGIONAL_RENTAL),
    "green-large": _LARGE_TWO_LINES._replace(paints=(GREEN,), suffix="_g", labels=REGIONAL, has_bare_one=True),
}
"""Name → form. All labels are legal; two forms have the same labels or none in common."""


def _foreign(
    size: tuple[float, float],
    paint: Paint,
    row: tuple[float, float, float, float],
    text: str,
    strip: Strip | None = None,
) -> Form:
    """Return a foreign plate whose glyphs fill a row (x, y, width, height); a gap is half as wide as a glyph."""
    x, y, width, height = row
    groups = text.split(" ")
    pitch = width / (len("".join(groups)) + 0.5 * (len(groups) - 1))
    rows = []
    for group in groups:
        rows.append(Row(x, y, height, (pitch,) * len(group)))
        x += pitch * (len(group) + 0.5)
    return Form(*size, (paint,), "", Pattern(text), tuple(rows), (), strip=strip)


_DELIVERY = COMMERCIAL._replace(spellings=("qo",))  # 배
_MILITARY = NATIONAL._replace(spellings=("dbr", "go", "rhd", "rnr", "gkq"))  # 육 해 공 국 합
_EUROPE = Strip(45, (150, 60, 10), disc=((30, 200, 240), (30, 200, 240)), letters="F")

NEGATIVES: Mapping[str, Form] = {
    "delivery-long": _LONG_REGION._replace(labels=_DELIVERY),
    "delivery-two-line": _TWO_LINES._replace(labels=_DELIVERY),
    "military-long": _LONG._replace(labels=_MILITARY),
    "military-short": _SHORT._replace(labels=_MILITARY),
    "foreign-france": _foreign((520, 110), WHITE, (58, 15, 450, 80), "AA 000 AA", _EUROPE),
    "foreign-britain": _foreign((520, 111), YELLOW, (30, 16, 460, 79), "AA00 AAA"),
    "foreign-china": _foreign((440, 140), BLUE, (18, 25, 404, 90), "AA 00000"),
    "foreign-america": _foreign((305, 152), WHITE, (18, 42, 269, 68), "AAA 0000"),
}
"""Name → form. The symbols of `alphabet.PLATES` cannot spell these plates, or no Korean law allows their labels."""

ROAD: Mapping[str, Form] = {**FORMS, **NEGATIVES}
