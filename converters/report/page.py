"""Blocks → one HTML page that loads nothing."""

from __future__ import annotations

from .blocks import Block, Figure, Finding, Number, Paragraph, Part, Plate, Plates, Report, Section, Status, Table
from .markup import Markup, element, joined
from .style import STYLE


def page(report: Report) -> str:
    """The page as text, to be written in UTF-8."""
    several = len(report.parts) > 1
    body = element(
        "body",
        _header(report),
        *(_part(each, titled=several) for each in report.parts),
        *(_section(each, "h2") for each in report.sections),
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
    parts += [element("p", each, class_="note") for each in report.notes]
    return element("header", *parts, class_=report.status)


def _number(each: Number) -> Markup:
    value = (
        element("dd", each.value, Markup(" "), element("small", each.unit)) if each.unit else element("dd", each.value)
    )
    return element("div", element("dt", each.about), value)


def _finding(each: Finding) -> Markup:
    detail = element("small", each.detail) if each.detail else ""
    return element("li", element("span", _mark(each.status)), element("div", each.title, detail))


def _mark(status: Status) -> Markup:
    return element("span", status, class_=f"mark {status}")


def _part(part: Part, *, titled: bool) -> Markup:
    parts = []
    if titled:
        parts = [element("h2", part.title), element("p", part.subtitle, class_="soft")]
    return joined(*parts, *(_section(each, "h3" if titled else "h2") for each in part.sections))


def _section(section: Section, heading: str) -> Markup:
    return element("section", element(heading, section.title), *map(_block, section.blocks))


def _block(block: Block) -> Markup:
    if isinstance(block, Paragraph):
        return element("p", block.text, class_=f"warning {block.status}" if block.status else None)
    if isinstance(block, Figure):
        note = element("p", block.note, class_="note") if block.note else ""
        return element("figure", element("figcaption", block.title), block.drawing, note, class_="chart")
    if isinstance(block, Table):
        return _table(block.told)
    return _plates(block)


def _table(table: Table) -> Markup:
    def row(cells: tuple[str, ...]) -> Markup:
        first, *others = cells
        labels = table.head[1:] or ("",) * len(others)
        shown = [element("td", each, data_label=label or None) for each, label in zip(others, labels, strict=True)]
        if table.statuses and others[-1]:
            mark = element("span", others[-1], class_=f"mark {others[-1]}")
            shown[-1] = element("td", mark, data_label=labels[-1])
        return element("tr", element("th", first, scope="row"), *shown)

    parts = [element("caption", table.title)] if table.title else []
    if table.head:
        parts.append(
            element("thead", element("tr", *(element("th", _breaking(each), scope="col") for each in table.head)))
        )
    parts.append(element("tbody", *map(row, table.rows)))
    return element("div", element("table", *parts, class_=None if table.head else "facts"), class_="wide")


def _breaking(name: str) -> Markup:
    """With leave to break a file's name before its suffix."""
    first, *others = name.split(".")
    return joined(first, *(joined(element("wbr"), f".{each}") for each in others))


def _plates(block: Plates) -> Markup:
    return element("div", *map(_plate, block.plates), class_="plates")


def _plate(plate: Plate) -> Markup:
    picture = element("img", alt=plate.name, src=plate.picture) if plate.picture else ""
    lines = []
    for each in plate.texts:
        shown = each.text or element("em", "nothing")
        lines += [element("dt", each.reader), element("dd", shown, class_=None if each.right else "wrong")]
    caption = element("figcaption", element("dl", *lines), element("small", plate.name))
    return element("figure", picture, caption)
