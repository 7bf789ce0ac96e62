"""Writes blocks as Markdown for a pull request: text and tables without images."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .blocks import Block, Paragraph, Plates, Report, Section, Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$@])")
_MARKS = {"pass": "✅", "fail": "❌", "underpowered": "⚠️", "unverified": "⚠️", "noisy": "⚠️"}


def markdown(report: Report) -> str:
    """Return the report in GitHub's Markdown."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def _lines(report: Report) -> Iterator[str]:
    mark = f"{_MARKS[report.status]} " if report.status else ""
    yield f"# {mark}{_text(report.headline)}"
    yield ""
    yield _text(report.about)
    yield ""
    for number in report.numbers:
        yield f"- **{_text(f'{number.value} {number.unit}'.strip())}** {_text(number.about)}"
    for finding in report.findings:
        detail = f" ({_text(finding.detail)})" if finding.detail else ""
        yield f"- {_MARKS[finding.status]} {_text(finding.title)}{detail}"
    yield ""
    for note in report.notes:
        yield _text(note)
        yield ""
    several = len(report.parts) > 1
    for part in report.parts:
        if several:
            yield f"## {_text(part.title)}"
            yield ""
        for section in part.sections:
            yield from _section(section, "###" if several else "##")
    for section in report.sections:
        yield from _section(section, "##")


def _section(section: Section, heading: str) -> Iterator[str]:
    lines = [line for block in section.blocks for line in _block(block)]
    if lines:
        yield f"{heading} {_text(section.title)}"
        yield ""
        yield from lines


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield _text(block.text)
        yield ""
    elif isinstance(block, Table):
        yield from _table(block.without_empty_columns)
    elif isinstance(block, Plates) and not block.sample:
        for plate in block.plates:
            texts = ", ".join(f"{_text(line.reader)} **{_text(line.text or 'nothing')}**" for line in plate.texts)
            yield f"- {_text(plate.name)}: {texts}"
        yield ""


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"**{_text(table.title)}**"
        yield ""
    head = table.head or ("",) * (len(table.rows[0]) if table.rows else 2)
    yield _row(head)
    yield f"|{'|'.join(' --- ' if not place or not table.head else ' ---: ' for place in range(len(head)))}|"
    for row in table.rows:
        last = f"{_MARKS[row[-1]]} {row[-1]}" if table.statuses and row[-1] in _MARKS else row[-1]
        yield _row((*row[:-1], last))
    yield ""


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_text, cells))} |"


def _text(text: str) -> str:
    """Put text on one line and escape all markup in it."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
