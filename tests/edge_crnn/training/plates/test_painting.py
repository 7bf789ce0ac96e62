from __future__ import annotations

import re

import numpy as np
import pytest

from edge_crnn.training.degrade import PX_PER_MM, Image
from edge_crnn.training.fonts import find_fonts
from edge_crnn.training.glyphs import Face, font_face
from edge_crnn.training.layouts import label_at
from edge_crnn.training.plates.form import Cell, Form
from edge_crnn.training.plates.painting import BOLT_MM, LIGHTS, PAD, Light, paint
from edge_crnn.training.plates.table import FORMS, NEGATIVES, ROAD


@pytest.fixture(scope="module")
def face() -> Face:
    return font_face(find_fonts()[1], tuple(ROAD))


def plate(form: Form, label: str, face: Face, seed: int = 3, light: Light = "day") -> Image:
    return paint(form, label, face, np.random.default_rng(seed), light)[PAD:-PAD, PAD:-PAD]


def changed(image: Image, other: Image) -> Cell:
    """Return the box of the pixels that differ, in millimetres."""
    rows, columns = np.nonzero(np.abs(image.astype(int) - other).sum(axis=2) > 60)
    assert len(rows)
    top = rows.min() / PX_PER_MM
    left = columns.min() / PX_PER_MM
    return Cell(left, top, (columns.max() + 1) / PX_PER_MM - left, (rows.max() + 1) / PX_PER_MM - top)


def lies_in(box: Cell, cell: Cell, slack: float = 2.5) -> bool:
    return (
        box.x >= cell.x - slack
        and box.y >= cell.y - slack
        and box.x + box.width <= cell.x + cell.width + slack
        and box.y + box.height <= cell.y + cell.height + slack
    )


def spans(form: Form, label: str) -> list[tuple[int, int]]:
    """Return the part of the label that stands in every cell."""
    match = re.fullmatch(form.labels.regex, label)
    assert match
    parts: list[tuple[int, int]] = []
    for start, stop in match.regs[1:]:
        if label[start:stop].isdecimal():
            parts += [(place, place + 1) for place in range(start, stop)]
        else:
            parts.append((start, stop))
    return parts[-len(form.cells) :]  # without the letter for no region


@pytest.mark.parametrize("kind", ROAD)
def test_every_part_of_the_label_shows_in_its_cell_alone(kind: str, face: Face) -> None:
    form = ROAD[kind]
    label = label_at(7, 0, kind)
    first = plate(form, label, face)
    others = [label_at(seed, 0, kind) for seed in range(30)]
    for cell, (start, stop) in zip(form.cells, spans(form, label), strict=True):
        parts = {other[start:stop] for other in others} - {label[start:stop]}
        if not parts:
            assert label[start:stop] in ("gj", "qo")  # 허 and 배, the only syllable of their forms
            continue
        other = plate(form, label[:start] + max(parts) + label[stop:], face)
        assert lies_in(changed(first, other), cell)


@pytest.mark.parametrize(("kind", "label"), [("white-long", "Z{0}sk{1}"), ("yellow-large", "A{0}qk{1}")])
def test_digits_are_as_tall_as_their_row(kind: str, label: str, face: Face) -> None:
    form = FORMS[kind]
    box = changed(plate(form, label.format(88, 8880), face), plate(form, label.format(88, 8881), face))
    cell = form.cells[-1]
    assert box.y == pytest.approx(cell.y, abs=2.5)
    assert box.height == pytest.approx(cell.height, abs=4)


def test_a_region_is_stacked(face: Face) -> None:
    form = FORMS["yellow-long-region"]
    cell = form.cells[0]
    upper = cell._replace(height=cell.height / 2)
    lower = upper._replace(y=cell.y + upper.height)
    for region, other, half in (("E", "L", upper), ("M", "O", lower)):  # 충남 경남; 전남 전북
        box = changed(plate(form, f"{region}18qk6897", face), plate(form, f"{other}18qk6897", face))
        assert lies_in(box, half)


@pytest.mark.parametrize(("kind", "is_bare"), [("green-two-line", True), ("white-short", False)])
def test_a_bare_one_is_a_bar(kind: str, is_bare: bool, face: Face) -> None:
    form = FORMS[kind]
    cell = form.cells[-1]
    image = plate(form, "Z18sk6891", face).astype(int)
    top, bottom, left, right = (
        round(mm * PX_PER_MM) for mm in (cell.y + 4, cell.y + cell.height - 4, cell.x, cell.x + cell.width)
    )
    ink = np.abs(image[top:bottom, left:right] - np.median(image.reshape(-1, 3), axis=0)).sum(axis=2) > 100
    widths = ink.sum(axis=1)
    assert (widths.max() - widths.min() <= 1) == is_bare
    if is_bare:
        assert 0.15 <= widths.mean() / (right - left) <= 0.26


@pytest.mark.parametrize("kind", ["white-long", "white-short", "green-two-line", "yellow-large"])
def test_bolts_are_as_wide_as_real_ones_and_stand_where_they_should(kind: str, face: Face) -> None:
    form = FORMS[kind]
    label = label_at(1, 0, kind)
    seen = 0
    for seed in range(8):
        bolted, plain = (plate(drawn, label, face, seed) for drawn in (form, form._replace(bolts=())))
        for x, y in form.bolts:
            reach = 16 * PX_PER_MM
            around = np.s_[
                round(y * PX_PER_MM - reach) : round(y * PX_PER_MM + reach),
                max(4, round(x * PX_PER_MM - reach)) : round(x * PX_PER_MM + reach),
            ]
            if (np.abs(bolted[around].astype(int) - plain[around]).sum(axis=2) > 60).sum() < 20:
                continue  # this bolt is missing
            seen += 1
            box = changed(bolted[around], plain[around])
            assert BOLT_MM[0] - 3 <= box.height <= BOLT_MM[1] + 3
    assert seen >= 6


@pytest.mark.parametrize("kind", FORMS)
def test_the_ground_has_its_colour_by_day(kind: str, face: Face) -> None:
    form = FORMS[kind]
    label = label_at(1, 0, kind)
    grounds = [colours.ground for colours in form.paints]
    for seed in range(3):
        ground = np.median(plate(form, label, face, seed).reshape(-1, 3), axis=0)
        assert min(abs(ground / max(ground) - np.array(nominal) / max(nominal)).max() for nominal in grounds) < 0.2


@pytest.mark.parametrize("kind", ROAD)
@pytest.mark.parametrize("light", LIGHTS)
def test_the_text_stands_out_in_every_light(kind: str, light: Light, face: Face) -> None:
    form = ROAD[kind]
    label = label_at(1, 0, kind)
    for seed in range(3):
        image = plate(form, label, face, seed, light).astype(int)
        cell = form.cells[-1]
        part = image[
            round(cell.y * PX_PER_MM) : round((cell.y + cell.height) * PX_PER_MM),
            round(cell.x * PX_PER_MM) : round((cell.x + cell.width) * PX_PER_MM),
        ]
        assert np.ptp(part.mean(axis=2)) > 25


def test_infrared_pictures_are_grey_and_green_has_either_polarity(face: Face) -> None:
    form = FORMS["green-two-line"]
    grounds = []
    for seed in range(12):
        image = plate(form, "Z18sk6897", face, seed, "infrared")
        assert (image == image[..., :1]).all()
        grounds.append(float(np.median(image)))
    assert min(grounds) < 115
    assert max(grounds) > 160


def test_at_night_the_plate_is_brighter_than_the_car(face: Face) -> None:
    form = FORMS["white-long"]
    for seed in range(6):
        whole = paint(form, "Z18sk6897", face, np.random.default_rng(seed), "night")
        car = whole[: PAD // 4].mean()
        assert np.median(whole[PAD:-PAD, PAD:-PAD]) > 1.5 * car


def test_the_film_s_strip_is_blue_and_left(face: Face) -> None:
    form = FORMS["white-long-2019-film"]
    image = plate(form, "Z152rk3108", face).astype(int)
    blue = image[..., 0] - image[..., 2] > 60
    assert blue[20:60, 8:30].mean() > 0.3
    assert blue[:, 45:].mean() < 0.02


def test_holders_bear_text_beside_the_plate_and_leave_the_label_alone(face: Face) -> None:
    form = FORMS["white-short"]
    with_holder = 0
    for seed in range(12):
        canvas = paint(form, "Z18sk6897", face, np.random.default_rng(seed), "day").astype(int)
        below, above = canvas[-PAD:-10, PAD:-PAD], canvas[10:PAD, PAD:-PAD]
        with_holder += max(np.abs(np.diff(part, axis=1)).max() for part in (below, above)) > 60
    assert 2 <= with_holder <= 9


@pytest.mark.parametrize("kind", ["yellow-long-region", "foreign-france"])
def test_the_same_numbers_paint_the_same_plate(kind: str, face: Face) -> None:
    label = label_at(1, 0, kind)
    image, same = (paint(ROAD[kind], label, face, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(image, same)


def test_negatives_use_the_same_drawings() -> None:
    assert NEGATIVES["delivery-long"].cells == FORMS["yellow-long-region"].cells
    assert NEGATIVES["military-long"].cells == FORMS["white-long"].cells
