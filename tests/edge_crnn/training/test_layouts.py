from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.alphabet import PLATES, PLATES_2019
from edge_crnn.errors import AlphabetError
from edge_crnn.training.layouts import (
    HANGUL,
    HANGUL_2019,
    KINDS,
    KINDS_2019,
    LAYOUTS,
    check_label,
    label_at,
    labels_of,
    read_label,
)
from edge_crnn.training.plates.form import REGIONS
from edge_crnn.training.plates.table import NEGATIVES, ROAD

LABEL = re.compile(r"([A-PZ])\d\d([a-z]{2})\d{4}")


def test_the_37_syllables_and_16_regions():
    assert len(HANGUL) == 37
    assert (HANGUL["sk"], HANGUL["gj"], HANGUL["dh"], HANGUL["wn"]) == ("나", "허", "오", "주")
    assert "".join(REGIONS) == "ABCDEFGHIJKLMNOP"
    assert (REGIONS["A"], REGIONS["H"], REGIONS["P"]) == ("서울", "부산", "제주")


@given(st.integers(0, 2**64), st.integers(0, 36_999_999), st.sampled_from(KINDS))
def test_every_label_is_one_of_a_plate_of_its_kind(seed: int, index: int, kind: str):
    label = label_at(seed, index, kind)
    match = LABEL.fullmatch(label)
    assert match
    assert PLATES.spell(PLATES.encode(label)) == label
    assert PLATES.label(PLATES.read(label)) == label
    check_label(label, kind)
    assert match[2] in HANGUL
    assert (match[1] != "Z") == kind.endswith("region")


@given(st.integers(0, 2**64), st.integers(0, 399_999_999))
def test_every_label_of_2019_is_one_of_its_alphabet(seed: int, index: int):
    label = label_at(seed, index, "long-white-2019")
    assert re.fullmatch(r"\d{3}[a-z]{2}\d{4}", label)
    assert label[3:5] in HANGUL_2019
    assert PLATES_2019.spell(PLATES_2019.encode(label)) == label
    assert PLATES_2019.label(PLATES_2019.read(label)) == label
    check_label(label, "long-white-2019")


def test_plates_of_2019_have_the_letters_for_hire_and_for_deliveries_too():
    assert set(HANGUL_2019) - set(HANGUL) == {"gk", "gh", "qo"}
    assert set(HANGUL) < set(HANGUL_2019)
    assert [HANGUL_2019[keys] for keys in ("gk", "gj", "gh", "qo")] == ["하", "허", "호", "배"]


@pytest.mark.parametrize("label", ["12rk3108", "1523rk108", "Z152rk3108", "152zz3108", "A52rk3108"])
def test_a_label_of_another_form_is_refused(label: str):
    with pytest.raises(AlphabetError, match="is no label of a long-white-2019 plate, expected one like 187sk6897"):
        check_label(label, "long-white-2019")


def test_labels_are_the_ones_that_runs_have_always_had():
    labels = [label_at(3, index, "yellow-region") for index in (0, 1, 36_999_999)]
    assert labels == [
        "K99rn4536",
        "E07wh5821",
        "J57sh9814",
    ]


@pytest.mark.parametrize("kind", [*KINDS, *KINDS_2019])
def test_labels_of_a_run_differ_whatever_the_kind(kind: str):
    labels = {label_at(3, index, kind).lstrip("ABCDEFGHIJKLMNOPZ") for index in range(20_000)}
    assert len(labels) == 20_000


def test_labels_are_even_over_digits_syllables_and_regions():
    n = 20_000
    labels = [label_at(5, index, "green-region") for index in range(0, 5 * n, 5)]
    for place, values in ((0, "".join(REGIONS)), *((place, "0123456789") for place in (1, 2, 5, 6, 7, 8))):
        seen = [sum(label[place] == value for label in labels) for value in values]
        assert min(seen) > 0.85 * n / len(values)
        assert max(seen) < 1.15 * n / len(values)
    uses = [sum(label[3:5] == keys for label in labels) for keys in HANGUL]
    assert min(uses) > 0.7 * n / len(HANGUL)


def test_an_index_past_the_labels_is_refused():
    with pytest.raises(ValueError, match="37,000,000: a run has plates 0 to 36,999,999"):
        label_at(1, 37_000_000, "green")
    with pytest.raises(ValueError, match="400,000,000: a run has plates 0 to 399,999,999"):
        label_at(1, 400_000_000, "long-white-2019")


@pytest.mark.parametrize("kind", [*KINDS, *KINDS_2019])
def test_the_slots_show_the_whole_label_inside_the_plate_without_overlap(kind: str):
    layout = LAYOUTS[kind]
    shown = [place for slot in layout.slots for place in range(slot.first, slot.first + slot.length)]
    assert sorted(shown) == list(range(1 if layout.labels.regions == "Z" else 0, 9))
    for number, slot in enumerate(layout.slots):
        assert slot.x >= 0
        assert slot.y >= 0
        assert slot.x + slot.width <= layout.width
        assert slot.y + slot.height <= layout.height
        for other in layout.slots[:number]:
            beside = slot.x >= other.x + other.width or other.x >= slot.x + slot.width
            above = slot.y >= other.y + other.height or other.y >= slot.y + slot.height
            assert beside or above


@given(st.integers(0, 2**64), st.integers(0, 999_999), st.sampled_from(sorted(ROAD)))
def test_every_label_of_a_form_is_one_of_its_own(seed: int, index: int, kind: str):
    label = label_at(seed, index, kind)
    assert label == label_at(seed, index, kind)
    check_label(label, kind)
    assert re.fullmatch(labels_of(kind).regex, label)


@pytest.mark.parametrize(
    ("kind", "label", "example"),
    [
        ("white-long", "Z18qk6897", "Z18sk6897"),
        ("white-long-2019-rental", "Z187sk6897", "Z187gh6897"),
        ("yellow-long-region", "Z18qk6897", "A18dk6897"),
        ("military-short", "Z18sk6897", "Z18dbr6897"),
    ],
)
def test_a_label_that_the_law_does_not_allow_is_refused(kind: str, label: str, example: str):
    with pytest.raises(AlphabetError, match=f"{label}.*{kind} plate, expected .* {example}"):
        check_label(label, kind)


def test_a_label_of_another_country_is_refused_with_an_example():
    with pytest.raises(AlphabetError, match=r"foreign-china plate, expected one like [A-Z]{2} [0-9]{5}$"):
        check_label("Z18sk6897", "foreign-china")


def test_labels_are_read_as_people_write_them():
    assert read_label("A18sk6897", "green-region") == "서울 18 나 6897"
    assert read_label("187qo6897", "long-white-2019") == "187 배 6897"
    assert read_label("Z187gk6897", "white-long-2019-rental") == "187 하 6897"
    assert {read_label(label_at(1, 2, kind), kind)[-1].isalnum() for kind in NEGATIVES} == {True}
