from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.ctc.korean_plates import COMMERCIAL
from edge_crnn.training.layouts import label_at
from edge_crnn.training.plates.form import CAPITALS, DIGITS, REGIONS, Cell, Pattern, Row
from edge_crnn.training.plates.table import FORMS, NEGATIVES, ROAD


@given(st.sampled_from(sorted(ROAD)), st.integers(0, 2**64), st.integers(0, 999_999))
def test_every_cell_has_a_text_that_the_form_has_a_glyph_for(kind: str, seed: int, index: int) -> None:
    form = ROAD[kind]
    label = label_at(seed, index, kind)
    texts = form.texts(label)
    assert len(texts) == len(form.cells)
    for text in texts:
        assert set(text if form.is_stacked else [text]) <= set(form.glyphs)
    assert form.read(label).replace(" ", "") == "".join(texts)


@pytest.mark.parametrize(
    ("kind", "label", "text"),
    [
        ("white-long", "Z18sk6897", "18 나 6897"),
        ("white-long-2019-film-rental", "Z152gk3108", "152 하 3108"),
        ("yellow-long-region", "A18qk6897", "서울 18 바 6897"),
        ("military-long", "Z18dbr6897", "18 육 6897"),
        ("foreign-france", "AB 123 CD", "AB 123 CD"),
    ],
)
def test_labels_as_people_write_them(kind: str, label: str, text: str) -> None:
    assert ROAD[kind].read(label) == text


def test_a_label_of_another_form_has_no_texts() -> None:
    with pytest.raises(ValueError, match="Z18qk6897"):
        FORMS["yellow-long-region"].texts("Z18qk6897")


def test_a_stacked_region_is_drawn_syllable_by_syllable() -> None:
    long, two_line = FORMS["yellow-long-region"], FORMS["yellow-two-line"]
    assert long.labels == two_line.labels == COMMERCIAL
    assert set(long.glyphs) - set(two_line.glyphs) == set("".join(REGIONS.values()))
    assert set(two_line.glyphs) - set(long.glyphs) == set(REGIONS.values())


def test_cells_are_adjacent() -> None:
    form = FORMS["white-long"]._replace(rows=(Row(10, 20, 30, (5, 7)), Row(1, 2, 3, (4,))))
    assert form.cells == (Cell(10, 20, 5, 30), Cell(15, 20, 7, 30), Cell(1, 2, 4, 3))


@pytest.mark.parametrize("text", ["A", "AA 00", "0A0 A"])
def test_a_pattern_has_a_group_for_every_glyph(text: str) -> None:
    match = re.fullmatch(Pattern(text).regex, text)
    assert match
    assert "".join(match.groups()) == text.replace(" ", "")
    assert not re.fullmatch(Pattern(text).regex, text.lower())


def test_foreign_plates_need_digits_and_capitals() -> None:
    assert NEGATIVES["foreign-china"].glyphs == (*DIGITS, *CAPITALS)
