from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.watch.page.search import matches, normal

PLATE = "서울 18 나 6897"
TEXTS = st.text(st.sampled_from("서울경기나다가각1289 -AbＡ１ㄱㄴ"), max_size=12)


def is_found(text: str, part: str) -> bool:
    return matches(normal(text), normal(part))


@pytest.mark.parametrize(
    "part",
    [
        "서울",
        "18나",
        "18 나",
        "나6897",
        "6897",
        "울 18",
        "１８",
        "ㅅㅇ",
        "ㄴ6",
        unicodedata.normalize("NFD", "서울 18 나"),
        "",
    ],
)
def test_a_part_is_found(part: str) -> None:
    assert is_found(PLATE, part)


@pytest.mark.parametrize("part", ["6898", "소", "ㄷ", "서울186", "서울 18 나 68977", "너"])
def test_what_is_no_part_is_not_found(part: str) -> None:
    assert not is_found(PLATE, part)


def test_letters_are_found_in_either_case() -> None:
    assert is_found("H 77 DK", "h77d")


@given(TEXTS, st.integers(0, 12), st.integers(0, 12))
def test_every_slice_is_found(text: str, start: int, end: int) -> None:
    assert is_found(text, text[start:end])


@given(TEXTS)
def test_a_normal_text_stays_as_it_is(text: str) -> None:
    assert normal(normal(text)) == normal(text)


@given(TEXTS, TEXTS)
def test_without_lone_consonants_it_is_the_search_for_a_substring(text: str, part: str) -> None:
    part = part.replace("ㄱ", "").replace("ㄴ", "")
    assert is_found(text, part) == (normal(part) in normal(text))
