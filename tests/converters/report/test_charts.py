from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.report.charts import Line, Point, Row, doubling_scale, named_or_numbered, plot, rows, scale
from converters.report.markup import Markup, element, joined

_VALUES = st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=1, max_size=9)


@settings(deadline=None)
@given(values=_VALUES, at_zero=st.booleans())
def test_an_axis_is_around_its_values_with_ticks_at_round_numbers(values: list[float], at_zero: bool) -> None:
    axis = scale(values, "", at_zero=at_zero)
    slack = 1e-9 * max(map(abs, [*values, 1e-300]))
    assert axis.low - slack <= min(values)
    assert axis.high + slack >= max(values)
    assert not at_zero or axis.low <= 0 <= axis.high
    assert 2 <= len(axis.ticks) <= 9
    assert (axis.ticks[0], axis.ticks[-1]) == (axis.low, axis.high)
    assert (axis.place(axis.low), axis.place(axis.high)) == (0, 100)
    places = [axis.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.982, 1.0], (0.98, 0.985, 0.99, 0.995, 1.0)),
        ([9.3, 43.5, 0], (0, 10, 20, 30, 40, 50)),
        ([-0.3, 0.3], (-0.4, -0.2, 0.0, 0.2, 0.4)),
        ([0.0], (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    ],
)
def test_ticks(values: list[float], ticks: tuple[float, ...]) -> None:
    assert scale(values, "").ticks == ticks


def test_doubling_is_the_same_distance_everywhere() -> None:
    axis = doubling_scale([1, 4, 2, 4], "threads")
    assert [axis.place(tick) for tick in axis.ticks] == pytest.approx([0, 50, 100])
    assert doubling_scale([3], "threads").place(3) == pytest.approx(50)


def test_a_row_shows_its_dot_its_interval_and_its_value() -> None:
    drawn = rows([Row("int8", "9 of 10", 0.9, "pass", (0.5, 1.0))], scale([0.0, 1.0], "share"), [(0.25, "gate")])
    assert ">int8</div>" in drawn
    assert ">9 of 10</div>" in drawn
    assert 'cx="90.00%"' in drawn
    assert 'x1="50.00%" x2="100.00%"' in drawn
    assert drawn.count('x1="25.00%" x2="25.00%"') == 2  # the gate, above and in the row


def _labels(drawn: Markup) -> list[tuple[float, float, float, bool]]:
    """Return position of the dot in percent, top and side of the text in pixels, and whether the text ends there."""
    matches = re.findall(
        r'<svg x="([\d.]+)%" y="([\d.]+)%" overflow="visible"><circle[^>]*></circle>'
        r'<text x="(-?\d+)" y="(-?[\d.e+]+)" dy="0.35em" text-anchor="(start|end)"',
        drawn,
    )
    return [
        (float(x), 3 * float(y) + float(up), float(beside), anchor == "end") for x, y, beside, up, anchor in matches
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 50), st.sampled_from([0.98, 0.99, 0.985])), min_size=1, max_size=9))
def test_names_of_dots_do_not_overlap_on_any_screen(places: list[tuple[float, float]]) -> None:
    points = [Point(x, y, f"engine {number}", "ours") for number, (x, y) in enumerate(places)]
    drawn = plot(scale([0, 50], "ms"), scale([0.97, 1], "correct"), points=points, height=300)
    labels = _labels(drawn)
    assert len(labels) == len(points)
    width = 8 * 6.6
    for px in (250, 620):
        boxes = []
        for across, top, beside, ends in labels:
            start = px * across / 100 + beside - (width if ends else 0)
            boxes.append((start, start + width, top))
        for number, (left, right, top) in enumerate(boxes):
            for start, end, other in boxes[:number]:
                assert abs(top - other) > 14 or right <= start + 1e-6 or end <= left + 1e-6


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_names_of_lines_do_not_overlap(ends: list[float]) -> None:
    lines = [Line(f"line {number}", ((0, 0), (1, end)), "s1") for number, end in enumerate(ends)]
    drawn = plot(scale([0, 1], "x"), scale([0, 100], "y"), lines=lines, height=200)
    tops = sorted(map(float, re.findall(r'y="([-\d.e]+)" overflow="visible"><text', drawn)))
    assert len(tops) == len(ends)
    assert all(below - above >= 14.9 for above, below in itertools.pairwise(tops))
    assert tops[-1] <= 200.1


def test_text_is_escaped_and_markup_is_not() -> None:
    inner = element("b", "<&>", title='"x"', data_label=None)
    assert inner == '<b title="&quot;x&quot;">&lt;&amp;&gt;</b>'
    assert joined(inner, "<") == f"{inner}&lt;"
    assert element("text", "x", x=1 / 3, class_="a b") == '<text x="0.3333" class="a b">x</text>'


def test_close_rules_with_the_same_name_share_it() -> None:
    axis = scale([-10.0, 10.0], "")
    for apart, names in ((0.3, 1), (8.0, 2)):
        drawn = rows([Row("int8", "0", 0.0, "pass")], axis, [(-apart, "gate"), (apart, "gate")])
        assert drawn.count(">gate<") == names
        assert drawn.count('class="rule"') == 2 * (1 + 1)


def test_more_points_than_a_phone_has_room_to_name_are_numbered_from_the_left() -> None:
    points = [Point(9.0 - number, 1.0, f"engine {number}", "ours") for number in range(6)]
    assert named_or_numbered(points[:5]) == (points[:5], "")
    shown, key = named_or_numbered(points)
    assert [(point.x, point.name) for point in shown] == [(4.0 + number, str(number + 1)) for number in range(6)]
    assert key.startswith("From the left: 1 engine 5, 2 engine 4, ")
