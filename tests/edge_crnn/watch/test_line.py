"""A line is crossed by what goes from one side to the other, once."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import InputError
from edge_crnn.watch.line import Crossing, Line
from edge_crnn.watch.place import Place
from tests.edge_crnn.watch.street import Seen, quad_of

SHARES = st.floats(0, 1)
POINTS = st.tuples(SHARES, SHARES)
NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


def direction_of(line: Line, points: list[tuple[float, float]]) -> str | None:
    crossing = Crossing(line)
    for x, y in points:
        crossing.move(Place.of(quad_of(Seen("", x, y, 40))), (320, 180))
    return crossing.direction


@given(POINTS, POINTS, NAMES, NAMES)
def test_a_line_is_parsed_from_its_text(start: tuple[float, float], end: tuple[float, float], a: str, b: str) -> None:
    if start == end or a == b:
        with pytest.raises(InputError):
            Line(start, end, a, b)
    else:
        line = Line(start, end, a, b)
        assert Line.parse(str(line)) == line


@given(st.text(max_size=30))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    with contextlib.suppress(InputError):
        Line.parse(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0,0.6", "expected X,Y X,Y"),
        ("0,0.6 1;0.6", "1;0.6"),
        ("0,0.6 2,0.6", "coordinate 2"),
        ("0,nan 1,0.6", "coordinate nan"),
        ("0,0.6 0,0.6", "two different points"),
        ("0,0.6 1,0.6 in in", "two names"),
    ],
)
def test_an_unusable_line_is_rejected(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Line.parse(text)


def test_the_direction_is_the_side_that_it_goes_to() -> None:
    line = Line.parse("0,0.5 1,0.5 out in")
    assert direction_of(line, [(100, 40), (100, 80), (100, 140)]) == "in"
    assert direction_of(line, [(100, 140), (100, 80), (100, 40)]) == "out"
    assert direction_of(line, [(100, 40), (200, 60)]) is None
    assert direction_of(line, [(100, 40), (100, 140), (100, 40)]) == "out"


def test_a_vehicle_that_stops_on_the_line_does_not_cross_it_again_and_again() -> None:
    line = Line.parse("0,0.5 1,0.5 out in")
    assert direction_of(line, [(100, 40), *[(100, 90 + step % 3) for step in range(9)]]) is None
    assert direction_of(line, [(100, 40), *[(100, 90 + step % 3) for step in range(9)], (100, 30)]) is None


def test_passing_beside_the_line_is_no_crossing() -> None:
    assert direction_of(Line.parse("0,0.5 0.5,0.5 out in"), [(250, 40), (250, 140)]) is None
