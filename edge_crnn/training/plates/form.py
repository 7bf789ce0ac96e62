"""The parts that describe a form of number plate, in millimetres from the plate's upper left corner."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...alphabet import KOREAN_PLATES, PLATES_2019
from ...ctc.korean_plates import NO_REGION, LabelSet

Colour = tuple[int, int, int]
"""BGR."""

REGIONS = {key: text.strip() for key, text in KOREAN_PLATES.items() if len(key) == 1 and key != NO_REGION}
"""Region letter → the region's name, of two syllables."""
_OUT_OF_ALPHABET = {"dbr": "육", "go": "해", "rhd": "공", "rnr": "국", "gkq": "합"}
SYLLABLES = {keys: text.strip() for keys, text in PLATES_2019.label_map.items()} | _OUT_OF_ALPHABET
"""Keyboard spelling → syllable, including those that `alphabet.PLATES` cannot spell."""
DIGITS = "0123456789"
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Paint(NamedTuple):
    """The nominal colours of a plate by day, and its grey levels in infrared light."""

    ground: Colour
    ink: Colour
    least_ink: float
    """Share of the ink's colour that the most worn plate still has."""
    infrared: tuple[tuple[int, int], ...]
    """Pairs of levels of ground and ink; several if the lamps disagree on which is lighter."""
    shines: bool
    """True if the ground reflects headlights at night."""


class Row(NamedTuple):
    """Adjacent cells from the left; a cell is as wide as the distance between glyphs and as tall as their ink."""

    x: float
    y: float
    height: float
    widths: tuple[float, ...]


class Cell(NamedTuple):
    """The place of one glyph."""

    x: float
    y: float
    width: float
    height: float


class Strip(NamedTuple):
    """A coloured strip along the left edge, with a disc above and letters below."""

    width: float
    colour: Colour
    disc: tuple[Colour, Colour]
    """Colours of its upper and lower half."""
    letters: str


class Pattern(NamedTuple):
    """Texts of foreign plates: A stands for a capital letter, 0 for a digit, a space for a gap."""

    text: str

    @property
    def regex(self) -> str:
        """Regular expression with a group for every glyph."""
        groups = {"A": "([A-Z])", "0": "([0-9])", " ": " "}
        return "".join(groups[character] for character in self.text)


class Form(NamedTuple):
    """One form of plate."""

    width: float
    height: float
    paints: tuple[Paint, ...]
    """The paints, which are drawn equally often; an entry may occur several times."""
    suffix: str
    """Suffix of the folder names in a glyph folder for this form."""
    labels: LabelSet | Pattern
    rows: tuple[Row, ...]
    """Rows of cells, which hold the region if there is one, the digits, the syllable and the digits, in this order."""
    bolts: tuple[tuple[float, float], ...]
    """Centres of the bolts."""
    syllable: tuple[float, float] = (0.92, 1.0)
    """Least and greatest height of the syllable, as a share of its row."""
    is_stacked: bool = False
    """True if the two syllables of the region stand one above the other in one cell."""
    has_bare_one: bool = False
    """True if "1" is a bar without a flag or a foot."""
    strip: Strip | None = None
    emblem: str = ""
    """Letters of a small emblem at the left edge."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of all rows."""
        return tuple(
            Cell(row.x + sum(row.widths[:place]), row.y, width, row.height)
            for row in self.rows
            for place, width in enumerate(row.widths)
        )

    @property
    def has_region(self) -> bool:
        """True if the plate names a region."""
        return isinstance(self.labels, LabelSet) and len(self.labels.regions) > 1

    @property
    def glyphs(self) -> tuple[str, ...]:
        """All texts that are drawn in one piece: digits, syllables, names of regions, capital letters."""
        if isinstance(self.labels, Pattern):
            return (*DIGITS, *CAPITALS)
        syllables = [SYLLABLES[spelling] for spelling in self.labels.spellings]
        regions = [REGIONS[letter] for letter in self.labels.regions] if self.has_region else []
        if self.is_stacked:
            regions = sorted(set("".join(regions)))
        return tuple(dict.fromkeys((*DIGITS, *syllables, *regions)))

    def texts(self, label: str) -> tuple[str, ...]:
        """Return the text in every cell for a label of this form; a region is one text, stacked or not.

        Raises:
            ValueError: the form has no such label.
        """
        match = re.fullmatch(self.labels.regex, label)
        if match is None:
            raise ValueError(f"label {label!r} is not one of this form")
        if isinstance(self.labels, Pattern):
            return match.groups()
        region, digits, spelling, last = match.groups()
        return (*([REGIONS[region]] if self.has_region else []), *digits, SYLLABLES[spelling], *last)

    def read(self, label: str) -> str:
        """Return the label as people write it: 서울 18 나 6897."""
        if isinstance(self.labels, Pattern):
            return label
        texts = self.texts(label)
        region = texts[: int(self.has_region)]
        return " ".join((*region, "".join(texts[len(region) : -5]), texts[-5], "".join(texts[-4:])))
