"""The parts of a report, before it becomes HTML or Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .markup import Markup

Status: TypeAlias = Literal["pass", "fail", "underpowered", "unverified", "noisy"]
"""A verdict; `noisy` marks times that must not be quoted."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str
    status: Status | None = None
    """The verdict that the paragraph states; None: it is no verdict."""


@dataclass(frozen=True)
class Figure:
    """A chart with its title."""

    title: str
    drawing: Markup
    note: str = ""
    """Explains how to read the chart."""


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names the row."""

    head: tuple[str, ...]
    """Column titles; empty if every row is a name and a value."""
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    statuses: bool = False
    """Whether the last column is a `Status`."""

    @property
    def without_empty_columns(self) -> Table:
        """The table without the columns that are empty in every row."""
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
    """The text that a reader, or several alike, read in an image."""

    reader: str
    text: str
    right: bool


@dataclass(frozen=True)
class Plate:
    """An image and the texts that were read in it."""

    name: str
    image: str
    """A data URI; empty if the record has no image."""
    texts: tuple[Text, ...]


@dataclass(frozen=True)
class Plates:
    """Images side by side."""

    plates: tuple[Plate, ...]
    sample: bool = False
    """Whether these are only examples of many images."""


Block: TypeAlias = "Paragraph | Figure | Table | Plates"


@dataclass(frozen=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Finding:
    """A line of the verdict: what was judged, and the outcome."""

    status: Status
    title: str
    detail: str = ""


@dataclass(frozen=True)
class Number:
    """An important figure, shown large."""

    value: str
    unit: str
    about: str


@dataclass(frozen=True)
class Part:
    """The results of one board, which are never mixed with those of another."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Report:
    """A whole page."""

    status: Status | None
    """None: no record judges the texts."""
    headline: str
    about: str
    """Names what was measured, where and when."""
    numbers: tuple[Number, ...]
    findings: tuple[Finding, ...]
    parts: tuple[Part, ...]
    sections: tuple[Section, ...] = ()
    """Sections after all parts."""
    notes: tuple[str, ...] = ()
    """Paragraphs after the findings."""
