"""What a report is made of, before it becomes HTML or Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .markup import Markup

Status: TypeAlias = Literal["pass", "fail", "underpowered", "unverified", "noisy"]
"""noisy: times that are not to be quoted."""


@dataclass(frozen=True)
class Paragraph:
    """Words."""

    text: str
    status: Status | None = None
    """What it is a warning or a verdict of."""


@dataclass(frozen=True)
class Figure:
    """A picture of numbers."""

    title: str
    drawing: Markup
    note: str = ""
    """How to read it."""


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names the row."""

    head: tuple[str, ...]
    """Empty where each row is a fact and what it is."""
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    statuses: bool = False
    """Whether the last column is a `Status`."""

    @property
    def told(self) -> Table:
        """Without the columns of which nothing is known."""
        kept = [place for place in range(len(self.head)) if not place or any(row[place] for row in self.rows)]
        if not self.head or len(kept) == len(self.head):
            return self
        return Table(
            tuple(self.head[place] for place in kept),
            tuple(tuple(row[place] for place in kept) for row in self.rows),
            self.title,
            self.statuses and kept[-1] == len(self.head) - 1,
        )


@dataclass(frozen=True)
class Text:
    """What one reader makes of an image."""

    reader: str
    text: str
    right: bool


@dataclass(frozen=True)
class Plate:
    """An image and what it is read as."""

    name: str
    picture: str
    """A data URI, empty where there is none."""
    texts: tuple[Text, ...]


@dataclass(frozen=True)
class Plates:
    """Images side by side."""

    plates: tuple[Plate, ...]
    sample: bool = False
    """Whether these are only examples of many."""


Block: TypeAlias = "Paragraph | Figure | Table | Plates"


@dataclass(frozen=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Finding:
    """One line of the verdict: what was held to what, and how it ended."""

    status: Status
    title: str
    detail: str = ""


@dataclass(frozen=True)
class Number:
    """A figure that counts, large."""

    value: str
    unit: str
    about: str


@dataclass(frozen=True)
class Part:
    """What holds for one board and one model; never mixed with another."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Report:
    """A whole page."""

    status: Status | None
    """None: nothing tells whether the text holds."""
    headline: str
    about: str
    """What was measured, where and when."""
    numbers: tuple[Number, ...]
    findings: tuple[Finding, ...]
    parts: tuple[Part, ...]
    sections: tuple[Section, ...] = ()
    """At the end, for all parts."""
    notes: tuple[str, ...] = ()
    """After the findings."""
