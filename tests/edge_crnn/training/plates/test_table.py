"""The table agrees with the official drawings, and every form is drawable."""

from __future__ import annotations

from itertools import combinations

import pytest

from edge_crnn.training.layouts import KINDS, KINDS_2019, label_at
from edge_crnn.training.plates.form import Cell
from edge_crnn.training.plates.painting import BOLT_MM
from edge_crnn.training.plates.table import FORMS, NEGATIVES, ROAD

every_form = pytest.mark.parametrize("kind", ROAD)


def test_names_are_unique() -> None:
    assert len(ROAD) == len(FORMS) + len(NEGATIVES)
    names = [*KINDS, *KINDS_2019, *ROAD]
    assert len(set(names)) == len(names)


@every_form
def test_cells_lie_apart_on_the_plate(kind: str) -> None:
    form = ROAD[kind]
    for cell in form.cells:
        assert 0 <= cell.x < cell.x + cell.width <= form.width
        assert 0 <= cell.y < cell.y + cell.height <= form.height
    for cell, other in combinations(form.cells, 2):
        assert (
            cell.x + cell.width <= other.x + 1e-9
            or other.x + other.width <= cell.x + 1e-9
            or cell.y + cell.height <= other.y
            or other.y + other.height <= cell.y
        )


@every_form
def test_bolts_are_mirrored_and_touch_no_glyph(kind: str) -> None:
    form = ROAD[kind]
    if not form.bolts:
        assert kind.startswith("foreign")
        return
    (left, top), (right, other) = form.bolts
    assert (left + right, top) == (form.width, other)
    reach = BOLT_MM[1] / 2
    for cell in form.cells:
        gap = 0.05 * cell.width  # beside the ink of the widest glyph
        for x, y in form.bolts:
            beside = x + reach <= cell.x + gap or x - reach >= cell.x + cell.width - gap
            assert beside or y + reach <= cell.y or y - reach >= cell.y + cell.height


@every_form
def test_a_strip_or_an_emblem_leaves_room_for_the_glyphs(kind: str) -> None:
    form = ROAD[kind]
    first = min(cell.x for cell in form.cells)
    assert first >= (form.strip.width if form.strip else 0)
    assert first >= (38 if form.emblem else 0)


def test_the_commercial_long_plate() -> None:
    form = FORMS["yellow-long-region"]
    assert (form.width, form.height, form.bolts) == (520, 110, ((20, 55), (500, 55)))
    assert form.is_stacked
    starts = (32, 87, 142, 197, 268, 323, 378, 433)
    widths = (55, 55, 55, 71, 55, 55, 55, 55)
    assert form.cells == tuple(Cell(x, 13.5, width, 83) for x, width in zip(starts, widths, strict=True))


@pytest.mark.parametrize("kind", ["yellow-two-line", "green-two-line-region", "green-two-line-rental"])
def test_plates_of_two_lines(kind: str) -> None:
    form = FORMS[kind]
    assert (form.width, form.height, form.bolts) == (335, 170, ((65, 26), (270, 26)))
    region, *digits = form.cells[:3]
    assert (region.x, region.x + region.width) == (82, 177)
    assert [(digit.x, digit.x + digit.width) for digit in digits] == [(177, 215), (215, 253)]
    assert {(cell.y, cell.y + cell.height) for cell in form.cells[:3]} == {(9, 57)}
    assert {(cell.y, cell.y + cell.height) for cell in form.cells[3:]} == {(68, 160)}
    assert [cell.width for cell in form.cells[3:]] == [60, 62, 62, 62, 62]


def test_large_plates() -> None:
    white, yellow = FORMS["white-large"], FORMS["yellow-large"]
    assert (white.width, white.height, white.bolts[0]) == (440, 200, (75, 30))
    assert white.cells[0].x == 11
    assert [cell.width for cell in white.cells] == [59, 59, 64, 59, 59, 59, 59]
    assert {(cell.y, cell.y + cell.height) for cell in white.cells} == {(60, 165)}
    assert (yellow.width, yellow.height, yellow.bolts[0]) == (440, 220, (75, 34))
    assert yellow.cells[0].x == 107
    assert [cell.width for cell in yellow.cells] == [126, 50, 50, 89, 78, 78, 78, 78]
    assert {(cell.y, cell.y + cell.height) for cell in yellow.cells} == {(11, 72), (84, 200)}


def test_bolts_of_white_plates() -> None:
    assert FORMS["white-long"].bolts == FORMS["white-long-2019"].bolts == ((20, 55), (500, 55))
    assert FORMS["white-short"].bolts == ((65, 25), (270, 25))


@pytest.mark.parametrize("kinds", [list(FORMS), [kind for kind in NEGATIVES if kind.startswith("military")]])
def test_labels_of_a_run_differ_whatever_the_form(kinds: list[str]) -> None:
    labels = {label_at(3, index, kinds[index % len(kinds)]) for index in range(20_000)}
    assert len(labels) == 20_000


def test_only_green_plates_have_a_bare_one() -> None:
    assert [kind for kind, form in FORMS.items() if form.has_bare_one] == [
        kind for kind in FORMS if kind.startswith("green")
    ]
