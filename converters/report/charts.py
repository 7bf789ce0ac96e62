"""Pictures of numbers in SVG that is as wide as the screen: places are percentages, text keeps its size.

Colours are classes of the page's style, so that a picture follows light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from .markup import Markup, element, joined

_CHARACTER_PX, _BOLD_PX, _LINE_PX = 6.6, 7.4, 15.0
_MOST_NAMED = 5
_CLOSE = 15.0
"""Percent of a phone's width, within which two names would meet."""
_WIDTHS_PX = (250, 400, 620, 860)
"""Of a plot on a phone, a tablet, on paper and on a desk: labels must not meet on any."""


def number(value: float) -> str:
    """As short as it is exact enough to read off a picture."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Scale:
    """From a value to its place along an axis."""

    low: float
    high: float
    ticks: tuple[float, ...]
    title: str
    form: Callable[[float], str] = number
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Percent of the axis' length; a value beyond an end is put there."""
        bend = math.log if self.logarithmic else float
        share = (bend(value) - bend(self.low)) / (bend(self.high) - bend(self.low)) if value > self.low else 0.0
        return 100 * min(max(share, 0.0), 1.0)


def scale(
    values: Iterable[float], title: str, form: Callable[[float], str] = number, *, at_zero: bool = False, most: int = 5
) -> Scale:
    """An axis around the values, its ends and ticks at round numbers."""
    found = list(values) or [0.0]
    low, high = min(found), max(found)
    if at_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        low, high = (low - 1, high + 1) if low and not at_zero else (0.0, high or 1.0)
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(float(f"{each * step:.12g}") for each in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks, title, form)


def doubling_scale(values: Iterable[float], title: str) -> Scale:
    """A logarithmic axis with a tick at each of the values, such as numbers of images or threads."""
    ticks = tuple(sorted(set(values)))
    low, high = (ticks[0], ticks[-1]) if len(ticks) > 1 else (ticks[0] / 2, ticks[0] * 2)
    return Scale(low, high, ticks, title, logarithmic=True)


# --- rows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One thing on a line of its own: a dot, what surrounds it, and its value in words."""

    name: str
    value: str
    at: float
    tone: str
    """A class of the style."""
    span: tuple[float, float] | None = None
    """An interval, or from the least to the most."""
    box: tuple[float, float] | None = None
    """The middle of what `span` covers."""
    dots: tuple[float, ...] = ()
    """Single measurements."""
    strong: bool = False


def rows(lines: Sequence[Row | str], axis: Scale, rules: Sequence[tuple[float, str]] = ()) -> Markup:
    """Rows below one another over a common axis; a str stands as the heading of those that follow.

    Args:
        lines: from top to bottom.
        axis: of all of them.
        rules: values that are marked in every row, and what they are called.
    """
    places = [axis.place(value) for value, _ in rules]
    parts = []
    if rules:
        named = [
            element("text", name, x=f"{place:.2f}%", y="70%", text_anchor=_anchor(place), class_="ruled")
            for place, name in _told_once(list(zip(places, (name for _, name in rules), strict=True)))
        ]
        above = element("div", _track(joined(*named), axis, places), class_="track above")
        parts.append(element("div", above, aria_hidden="true"))
    for each in lines:
        if isinstance(each, str):
            parts.append(element("div", each, class_="heading"))
            continue
        name = element("strong", each.name) if each.strong else each.name
        parts.append(
            element(
                "div",
                element("div", name, class_="name"),
                element("div", each.value, class_="value"),
                element("div", _track(_marks(each, axis), axis, places), class_="track", aria_hidden="true"),
            )
        )
    return element("div", *parts, _row_axis(axis), class_="rows")


def _told_once(rules: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Rules of one name that stand close share it, between them; places in percent."""
    told: list[tuple[float, str]] = []
    for place, name in sorted(rules):
        if told and told[-1][1] == name and place - told[-1][0] < _CLOSE:
            told[-1] = ((told[-1][0] + place) / 2, name)
        else:
            told.append((place, name))
    return told


def _track(marks: Markup, axis: Scale, rules: Sequence[float]) -> Markup:
    lines = [_vertical(axis.place(each), "grid") for each in axis.ticks]
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
        element("circle", cx=f"{axis.place(each):.2f}%", cy="50%", r=2.5, class_=f"faint {row.tone}")
        for each in row.dots
    ]
    parts.append(element("circle", cx=f"{axis.place(row.at):.2f}%", cy="50%", r=5, class_=f"dot {row.tone}"))
    return joined(*parts)


def _row_axis(axis: Scale) -> Markup:
    texts = [
        element("text", axis.form(each), x=f"{axis.place(each):.2f}%", y="1em", text_anchor=_anchor(axis.place(each)))
        for each in axis.ticks
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
    """The points, and what their names stand for: where a phone has no room for all names, numbers from the left."""
    if len(points) <= _MOST_NAMED:
        return list(points), ""
    order = sorted(points, key=lambda point: (point.x, point.name))
    key = ", ".join(f"{number} {each.name}" for number, each in enumerate(order, 1))
    return [replace(each, name=str(number)) for number, each in enumerate(order, 1)], f"From the left: {key}. "


@dataclass(frozen=True)
class Line:
    """A line through points, its name at its end."""

    name: str
    points: tuple[tuple[float, float], ...]
    tone: str
    band: tuple[tuple[float, float, float], ...] = ()
    """(x, low, high) around it."""
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
    """Lines and dots over two axes; what they are called stands beside them.

    Args:
        x: from left to right.
        y: from bottom to top.
        lines: drawn first.
        points: drawn over them.
        rules: values of y that are marked across, and what they are called.
        height: of the plot alone, in pixels.
    """
    parts = [_frame(x, y)]
    for value, name in rules:
        place = 100 - y.place(value)
        parts.append(element("line", x1="0", x2="100%", y1=f"{place:.2f}%", y2=f"{place:.2f}%", class_="rule"))
        parts.append(element("text", name, x="100%", y=f"{place:.2f}%", dy=-5, text_anchor="end", class_="ruled"))
    parts += [_line(each, x, y) for each in lines]
    parts += _ends([each for each in lines if each.name], x, y, height)
    parts += _dots(points, x, y, height)
    drawing = element("svg", *parts, width="100%", height=str(height))
    named = " named" if any(each.name for each in lines) else ""
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
    for each in y.ticks:
        place = f"{100 - y.place(each):.2f}%"
        parts.append(element("line", x1="0", x2="100%", y1=place, y2=place, class_="grid"))
        parts.append(element("text", y.form(each), x=-8, y=place, dy="0.35em", text_anchor="end"))
    for each in x.ticks:
        place = f"{x.place(each):.2f}%"
        parts.append(element("line", x1=place, x2=place, y1="0", y2="100%", class_="grid"))
        parts.append(element("text", x.form(each), x=place, y="100%", dy="1.5em", text_anchor="middle"))
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
    """The lines' names, beside their last points and moved apart."""
    ends = sorted(((height * (1 - y.place(each.points[-1][1]) / 100), each) for each in lines), key=lambda end: end[0])
    wanted = [top for top, _ in ends]
    for index in range(1, len(wanted)):
        wanted[index] = max(wanted[index], wanted[index - 1] + _LINE_PX)
    over = max(0.0, (wanted[-1] if wanted else 0) - height)
    for index in reversed(range(len(wanted))):  # back up from the bottom
        limit = height if index == len(wanted) - 1 else wanted[index + 1] - _LINE_PX
        wanted[index] = min(wanted[index], limit) if over else wanted[index]
    return [
        element(
            "svg",
            element("text", each.name, x=9, dy="0.35em", class_=f"label {each.tone}"),
            x=f"{x.place(each.points[-1][0]):.2f}%", y=top, overflow="visible",
        )
        for top, (_, each) in zip(wanted, ends, strict=True)
    ]  # fmt: skip


def _dots(points: Sequence[Point], x: Scale, y: Scale, height: int) -> list[Markup]:
    taken = [(x.place(each.x), height * (1 - y.place(each.y) / 100)) for each in points]
    labels: list[tuple[float, float, float, float]] = []  # percent, then pixels: left, right, middle of the line
    leads, drawn = [], []
    for each, (across, down) in zip(points, taken, strict=True):
        width = len(each.name) * (_BOLD_PX if each.strong else _CHARACTER_PX)
        left, top = _room(across, down, width, taken, labels, height)
        inner = [element("circle", r=6 if each.strong else 4.5, class_=f"dot {each.tone}")]
        place = {"x": f"{across:.2f}%", "y": f"{100 - y.place(each.y):.2f}%", "overflow": "visible"}
        if abs(top - down) > _LINE_PX / 2:
            lead = element("line", x1=0, y1=0, x2=-7 if left else 7, y2=top - down, class_="lead")
            leads.append(element("svg", lead, **place))
        inner.append(
            element(
                "text", each.name, x=-10 if left else 10, y=top - down, dy="0.35em",
                text_anchor="end" if left else "start", class_=f"label {each.tone}{' strong' if each.strong else ''}",
            )
        )  # fmt: skip
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
    """Where a label meets neither dot nor label at any width of the plot: whether left of its dot, and how far down."""
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
