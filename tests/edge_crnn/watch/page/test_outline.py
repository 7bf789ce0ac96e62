from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import InputError
from edge_crnn.watch.page.outline import Outline, parse
from tests.edge_crnn.watch.page.examples import SQUARE

SHARES = st.floats(0, 1)
NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=40)


def body(*regions: Any) -> bytes:
    return json.dumps({"regions": regions}).encode()


def region(**changes: Any) -> dict[str, Any]:
    return {"name": "gate", "points": [list(point) for point in SQUARE], **changes}


@given(st.lists(NAMES, max_size=4, unique=True), st.tuples(SHARES, SHARES))
def test_outlines_survive_json(names: list[str], corner: tuple[float, float]) -> None:
    outlines = tuple(Outline(name, (*SQUARE, corner)) for name in names)
    content = body(*(outline.as_json() for outline in outlines))
    try:
        assert parse(content) == outlines
    except InputError as error:
        assert "no area" in str(error)  # noqa: PT017 - a corner may fold the square onto itself


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"[]", "no list"),
        (b'{"regions": {}}', "no list"),
        (body(*[region(name=str(number)) for number in range(17)]), "at most 16"),
        (body(region(), region()), "same name"),
        (body(region(), region(name=" gate ")), "same name"),
        (body(3), "not a JSON object"),
        (body(region(name="")), "no name"),
        (body(region(name="a\nb")), "no name"),
        (body(region(name="x" * 41)), "no name"),
        (body(region(points=[[0, 0], [1, 1]])), "3 to 32 points"),
        (body(region(points=[[0, 0]] * 33)), "3 to 32 points"),
        (body(region(points=[[0, 0], [0, 2], [1, 1]])), "3 to 32 points"),
        (body(region(points=[[0, 0], [0, True], [1, 1]])), "3 to 32 points"),
        (body(region(points=[[0, 0], [0, float("nan")], [1, 1]])), "3 to 32 points"),
        (body(region(points=[[0, 0], [0.5, 0.5], [1, 1]])), "no area"),
    ],
)
def test_a_bad_outline_is_refused_with_its_reason(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(content)
