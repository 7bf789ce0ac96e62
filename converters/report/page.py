"""Writes blocks as one HTML page that loads no other file."""

from __future__ import annotations

from .blocks import Block, Figure, Finding, Number, Paragraph, Part, Plate, Plates, Report, Section, Status, Table
from .markup import Markup, element, joined
from .style import STYLE


def page(report: Report) -> str:
    """Return the page as text, to be written in UTF-8."""
    several = len(report.parts) > 1
    body = element(
        "body",
        _header(report),
        *(_part(part, titled=several) for part in report.parts),
        *(_section(section, "h2") for section in report.sections),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", report.headline),
        element("style", Markup(STYLE)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _header(report: Report) -> Markup:
    parts = [_mark(report.status)] if report.status else []
    parts += [element("h1", report.headline), element("p", report.about, class_="about")]
    if report.numbers:
        parts.append(element("dl", *map(_number, report.numbers), class_="numbers"))
    if report.findings:
        parts.append(element("ul", *map(_finding, report.findings), class_="findings"))
    parts += [element("p", note, class_="note") for note in report.notes]
    return element("header", *parts, class_=report.status)


def _number(number: Number) -> Markup:
    unit = [Markup(" "), element("small", number.unit)] if number.unit else []
    return element("div", element("dt", number.about), element("dd", number.value, *unit))


def _finding(finding: Finding) -> Markup:
    detail = element("small", finding.detail) if finding.detail else ""
    return element("li", element("span", _mark(finding.status)), element("div", finding.title, detail))


def _mark(status: Status) -> Markup:
    return element("span", status, class_=f"mark {status}")


def _part(part: Part, *, titled: bool) -> Markup:
    parts = []
    if titled:
        parts = [element("h2", part.title), element("p", part.subtitle, class_="soft")]
    return joined(*parts, *(_section(section, "h3" if titled else "h2") for section in part.sections))


def _section(section: Section, heading: str) -> Markup:
    return element("section", element(heading, section.title), *map(_block, section.blocks))


def _block(block: Block) -> Markup:
    if isinstance(block, Paragraph):
        return element("p", block.text, class_=f"warning {block.status}" if block.status else None)
    if isinstance(block, Figure):
        note = element("p", block.note, class_="note") if block.note else ""
        return element("figure", element("figcaption", block.title), block.drawing, note, class_="chart")
    if isinstance(block, Table):
        return _table(block.without_empty_columns)
    return _plates(block)


def _table(table: Table) -> Markup:
    def row(cells: tuple[str, ...]) -> Markup:
        first, *others = cells
        labels = table.head[1:] or ("",) * len(others)
        shown = [element("td", cell, data_label=label or None) for cell, label in zip(others, labels, strict=True)]
        if table.statuses and others[-1]:
            mark = element("span", others[-1], class_=f"mark {others[-1]}")
            shown[-1] = element("td", mark, data_label=labels[-1])
        return element("tr", element("th", first, scope="row"), *shown)

    parts = [element("caption", table.title)] if table.title else []
    if table.head:
        parts.append(
            element("thead", element("tr", *(element("th", _breakable(title), scope="col") for title in table.head)))
        )
    parts.append(element("tbody", *map(row, table.rows)))
    return element("div", element("table", *parts, class_=None if table.head else "facts"), class_="wide")


def _breakable(name: str) -> Markup:
    """Allow a line break before the suffix of a file's name."""
    first, *others = name.split(".")
    return joined(first, *(joined(element("wbr"), f".{suffix}") for suffix in others))


def _plates(block: Plates) -> Markup:
    return element("div", *map(_plate, block.plates), class_="plates")


def _plate(plate: Plate) -> Markup:
    image = element("img", alt=plate.name, src=plate.image) if plate.image else ""
    lines = []
    for line in plate.texts:
        shown = line.text or element("em", "nothing")
        lines += [element("dt", line.reader), element("dd", shown, class_=None if line.right else "wrong")]
    caption = element("figcaption", element("dl", *lines), element("small", plate.name))
    return element("figure", image, caption)
