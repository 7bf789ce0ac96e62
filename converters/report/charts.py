"""Charts in SVG that are as wide as the screen: positions are percentages, and text keeps its size.

Colours are classes of the page's style, so that a chart follows the light, dark and print styles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from .markup import Markup, element, joined

_CHARACTER_PX, _BOLD_PX, _LINE_PX = 6.6, 7.4, 15.0
_MOST_NAMED = 5
_CLOSE = 15.0
"""Distance, in percent of a phone's width, within which two names would overlap."""
_WIDTHS_PX = (250, 400, 620, 860)
"""Widths of a plot on a phone, on a tablet, on paper and on a monitor; labels must not overlap on any."""


def number(value: float) -> str:
    """Format a number briefly, with enough digits for a chart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Scale:
    """An axis: maps a value to its position."""

    low: float
    high: float
    ticks: tuple[float, ...]
    title: str
    form: Callable[[float], str] = number
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return the position in percent of the axis' length; a value beyond an end is put at that end."""
        bend = math.log if self.logarithmic else float
        share = (bend(value) - bend(self.low)) / (bend(self.high) - bend(self.low)) if value > self.low else 0.0
        return 100 * min(max(share, 0.0), 1.0)


def scale(
    values: Iterable[float], title: str, form: Callable[[float], str] = number, *, at_zero: bool = False, most: int = 5
) -> Scale:
    """Make an axis around the values, with its ends and ticks at round numbers.

    Args:
        values: the values to show.
        title: title of the axis.
        form: formats the number at a tick.
        at_zero: whether the axis must include zero.
        most: about the largest number of steps between ticks.
    """
    covered = [*values] or [0.0]
    if at_zero:
        covered.append(0.0)
    low = min(covered)
    high = max(covered)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        low, high = (low - 1, high + 1) if low and not at_zero else (0.0, high or 1.0)
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    ticks = tuple(float(f"{count * step:.12g}") for count in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks, title, form)


def doubling_scale(values: Iterable[float], title: str) -> Scale:
    """Make a logarithmic axis with a tick at every value, for numbers of images or threads."""
    ticks = tuple(sorted(set(values)))
    low, high = (ticks[0], ticks[-1]) if len(ticks) > 1 else (ticks[0] / 2, ticks[0] * 2)
    return Scale(low, high, ticks, title, logarithmic=True)


# --- rows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A line of a chart: a name, a dot with its interval, and the value in words."""

    name: str
    value: str
    at: float
    tone: str
    """A class of the style, which is a colour."""
    span: tuple[float, float] | None = None
    """An interval, or the smallest and the largest value."""
    box: tuple[float, float] | None = None
    """The middle part of `span`."""
    dots: tuple[float, ...] = ()
    """Single measurements."""
    strong: bool = False


def rows(lines: Sequence[Row | str], axis: Scale, rules: Sequence[tuple[float, str]] = ()) -> Markup:
    """Draw rows below one another over a common axis.

    Args:
        lines: rows from top to bottom; a str is the heading of the rows after it.
        axis: the axis of all rows.
        rules: values that are marked in every row, and their names.
    """
    places = [axis.place(value) for value, _ in rules]
    parts = []
    if rules:
        named = [
            element("text", name, x=f"{place:.2f}%", y="70%", text_anchor=_anchor(place), class_="ruled")
            for place, name in _merged(list(zip(places, (name for _, name in rules), strict=True)))
        ]
        above = element("div", _track(joined(*named), axis, places), class_="track above")
        parts.append(element("div", above, aria_hidden="true"))
    for line in lines:
        if isinstance(line, str):
            parts.append(element("div", line, class_="heading"))
            continue
        name = element("strong", line.name) if line.strong else line.name
        parts.append(
            element(
                "div",
                element("div", name, class_="name"),
                element("div", line.value, class_="value"),
                element("div", _track(_marks(line, axis), axis, places), class_="track", aria_hidden="true"),
            )
        )
    return element("div", *parts, _row_axis(axis), class_="rows")


def _merged(rules: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Merge the labels of close rules with the same name into one label between them; positions are in percent."""
    labels: list[tuple[float, str]] = []
    for place, name in sorted(rules):
        if labels and labels[-1][1] == name and place - labels[-1][0] < _CLOSE:
            labels[-1] = ((labels[-1][0] + place) / 2, name)
        else:
            labels.append((place, name))
    return labels


def _track(marks: Markup, axis: Scale, rules: Sequence[float]) -> Markup:
    lines = [_vertical(axis.place(tick), "grid") for tick in axis.ticks]
    lines += [_vertical(place, "rule") for place in rules]
    return element("svg", *lines, marks, width="100%", height="100%")


def _vertical(place: float, class_: str) -> Markup:
    return element("line", x1=f"{place:.2f}%", x2=f"{place:.2f}%", y1="0", y2="100%", class_=class_)


def _marks(row: Row, axis: Scale) -> Markup:
    parts = []
    for bounds, class_ in ((row.span, "span"), (row.box, "box")):
        if bounds is not None:
            start, end = map(axis.place, bounds)
            parts.append(
                element("line", x1=f"{start:.2f}%", x2=f"{end:.2f}%", y1="50%", y2="50%", class_=f"{class_} {row.tone}")
            )
    parts += [
        element("circle", cx=f"{axis.place(dot):.2f}%", cy="50%", r=2.5, class_=f"faint {row.tone}") for dot in row.dots
    ]
    parts.append(element("circle", cx=f"{axis.place(row.at):.2f}%", cy="50%", r=5, class_=f"dot {row.tone}"))
    return joined(*parts)


def _row_axis(axis: Scale) -> Markup:
    texts = [
        element("text", axis.form(tick), x=f"{axis.place(tick):.2f}%", y="1em", text_anchor=_anchor(axis.place(tick)))
        for tick in axis.ticks
    ]
    drawing = element("svg", *texts, width="100%", height="100%")
    title = element("div", axis.title, class_="axis-title") if axis.title else ""
    return element("div", element("div", drawing, class_="track axis"), title, aria_hidden="true")


def _anchor(place: float) -> str:
    if place < 1:
        return "start"
    return "end" if place > 99 else "middle"


# --- x against y -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A dot with its name beside it."""

    x: float
    y: float
    name: str
    tone: str
    strong: bool = False


def named_or_numbered(points: Sequence[Point]) -> tuple[list[Point], str]:
    """Return the points with their names, or with numbers and a key if a phone has no room for the names."""
    if len(points) <= _MOST_NAMED:
        return list(points), ""
    order = sorted(points, key=lambda point: (point.x, point.name))
    key = ", ".join(f"{number} {point.name}" for number, point in enumerate(order, 1))
    return [replace(point, name=str(number)) for number, point in enumerate(order, 1)], f"From the left: {key}. "


@dataclass(frozen=True)
class Line:
    """A line through points, with its name at its end."""

    name: str
    points: tuple[tuple[float, float], ...]
    tone: str
    band: tuple[tuple[float, float, float], ...] = ()
    """Points (x, low, high) of a band around the line."""
    dots: bool = False


def plot(
    x: Scale,
    y: Scale,
    *,
    lines: Sequence[Line] = (),
    points: Sequence[Point] = (),
    rules: Sequence[tuple[float, str]] = (),
    height: int = 300,
) -> Markup:
    """Draw lines and dots over two axes, with their names beside them.

    Args:
        x: the axis from left to right.
        y: the axis from bottom to top.
        lines: lines, drawn first.
        points: dots, drawn over the lines.
        rules: values of y that are marked across the plot, and their names.
        height: height of the plot alone, in pixels.
    """
    parts = [_frame(x, y)]
    for value, name in rules:
        place = 100 - y.place(value)
        parts.append(element("line", x1="0", x2="100%", y1=f"{place:.2f}%", y2=f"{place:.2f}%", class_="rule"))
        parts.append(element("text", name, x="100%", y=f"{place:.2f}%", dy=-5, text_anchor="end", class_="ruled"))
    parts += [_line(line, x, y) for line in lines]
    parts += _ends([line for line in lines if line.name], x, y, height)
    parts += _dots(points, x, y, height)
    drawing = element("svg", *parts, width="100%", height=str(height))
    named = " named" if any(line.name for line in lines) else ""
    return element(
        "div",
        element("div", y.title, class_="y-title"),
        element("div", drawing, class_="canvas"),
        element("div", x.title, class_="x-title"),
        class_=f"plot{named}",
        aria_hidden="true",
    )


def _frame(x: Scale, y: Scale) -> Markup:
    parts = []
    for tick in y.ticks:
        place = f"{100 - y.place(tick):.2f}%"
        parts.append(element("line", x1="0", x2="100%", y1=place, y2=place, class_="grid"))
        parts.append(element("text", y.form(tick), x=-8, y=place, dy="0.35em", text_anchor="end"))
    for tick in x.ticks:
        place = f"{x.place(tick):.2f}%"
        parts.append(element("line", x1=place, x2=place, y1="0", y2="100%", class_="grid"))
        parts.append(element("text", x.form(tick), x=place, y="100%", dy="1.5em", text_anchor="middle"))
    return joined(*parts)


def _line(line: Line, x: Scale, y: Scale) -> Markup:
    def at(a: float, b: float) -> str:
        return f"{x.place(a):.2f},{100 - y.place(b):.2f}"

    parts = []
    if line.band:
        around = [at(a, low) for a, low, _ in line.band] + [at(a, high) for a, _, high in reversed(line.band)]
        parts.append(element("polygon", points=" ".join(around), class_=f"band {line.tone}"))
    drawn = " ".join(at(a, b) for a, b in line.points)
    parts.append(element("polyline", points=drawn, class_=f"line {line.tone}", vector_effect="non-scaling-stroke"))
    stretched = element("svg", *parts, viewBox="0 0 100 100", preserveAspectRatio="none", width="100%", height="100%")
    dots = [
        element("circle", cx=f"{x.place(a):.2f}%", cy=f"{100 - y.place(b):.2f}%", r=3.5, class_=f"dot {line.tone}")
        for a, b in (line.points if line.dots else ())
    ]
    return joined(stretched, *dots)


def _ends(lines: Sequence[Line], x: Scale, y: Scale, height: int) -> list[Markup]:
    """Draw the lines' names beside their last points, moved apart so that they do not overlap."""
    ends = sorted(((height * (1 - y.place(line.points[-1][1]) / 100), line) for line in lines), key=lambda end: end[0])
    tops = [top for top, _ in ends]
    for index in range(1, len(tops)):
        tops[index] = max(tops[index], tops[index - 1] + _LINE_PX)
    if tops and tops[-1] > height:
        limit: float = height
        for index in reversed(range(len(tops))):  # back up from the bottom
            tops[index] = min(tops[index], limit)
            limit = tops[index] - _LINE_PX
    return [
        element(
            "svg",
            element("text", line.name, x=9, dy="0.35em", class_=f"label {line.tone}"),
            x=f"{x.place(line.points[-1][0]):.2f}%", y=top, overflow="visible",
        )
        for top, (_, line) in zip(tops, ends, strict=True)
    ]  # fmt: skip


def _dots(points: Sequence[Point], x: Scale, y: Scale, height: int) -> list[Markup]:
    places = [(x.place(point.x), height * (1 - y.place(point.y) / 100)) for point in points]
    labels: list[tuple[float, float, float, float]] = []  # percent, then pixels: left, right, middle of the line
    leads = []
    drawn = []
    for point, (across, down) in zip(points, places, strict=True):
        width = len(point.name) * (_BOLD_PX if point.strong else _CHARACTER_PX)
        left, top = _room(across, down, width, places, labels, height)
        inner = [element("circle", r=6 if point.strong else 4.5, class_=f"dot {point.tone}")]
        place = {"x": f"{across:.2f}%", "y": f"{100 - y.place(point.y):.2f}%", "overflow": "visible"}
        if abs(top - down) > _LINE_PX / 2:
            lead = element("line", x1=0, y1=0, x2=-7 if left else 7, y2=top - down, class_="lead")
            leads.append(element("svg", lead, **place))
        shift, anchor = (-10, "end") if left else (10, "start")
        tone = f"{point.tone} strong" if point.strong else point.tone
        inner.append(
            element("text", point.name, x=shift, y=top - down, dy="0.35em", text_anchor=anchor, class_=f"label {tone}")
        )
        drawn.append(element("svg", *inner, **place))
    return [*leads, *drawn]


def _room(
    across: float,
    down: float,
    width: float,
    dots: Sequence[tuple[float, float]],
    labels: list[tuple[float, float, float, float]],
    height: int,
) -> tuple[bool, float]:
    """Find a place where a label overlaps no dot and no other label at any width of the plot.

    Returns:
        Whether the label is left of its dot, and its distance from the top in pixels.
    """
    sides = (True, False) if across > 50 else (False, True)
    for step in range(40):
        move = (step + 1) // 2 * _LINE_PX * (1 if step % 2 else -1)
        for left in sides:
            start, end = (-12 - width, -8) if left else (8, 12 + width)
            top = down + move
            if 0 <= top <= height and _fits(across, start, end, top, dots, labels):
                labels.append((across, start, end, top))
                return left, top
    labels.append((across, 8, 12 + width, down))
    return False, down


def _fits(
    across: float,
    start: float,
    end: float,
    top: float,
    dots: Sequence[tuple[float, float]],
    labels: Sequence[tuple[float, float, float, float]],
) -> bool:
    for px in _WIDTHS_PX:
        own = px * across / 100
        if own + end > px + 12 or own + start < -4:
            return False
        for other, down in dots:
            place = px * other / 100
            if abs(down - top) < _LINE_PX * 0.8 and own + start - 6 < place < own + end + 6:
                return False
        for other, left, right, line in labels:
            place = px * other / 100
            if abs(line - top) < _LINE_PX and own + start < place + right and place + left < own + end:
                return False
    return True
