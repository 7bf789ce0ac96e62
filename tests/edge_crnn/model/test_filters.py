from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.model.filters import Adaptive, Clahe, Filter, Otsu, parse, parse_all

KNOWN: dict[str, Filter] = {
    "otsu": Otsu(),
    " otsu ": Otsu(),
    "adaptive mean 11 2": Adaptive("mean", 11, 2.0),
    "adaptive gaussian 3 -1.5": Adaptive("gaussian", 3, -1.5),
    "clahe 2 8": Clahe(2.0, 8),
    "clahe 0.5 1": Clahe(0.5, 1),
}


@pytest.mark.parametrize(("text", "expected"), KNOWN.items())
def test_words_are_a_filter(text: str, expected: Filter) -> None:
    assert parse(text) == expected


def test_filters_before_and_after_resizing() -> None:
    assert parse_all(()) == ((), ())
    assert parse_all(("otsu", "clahe 2 8")) == ((Otsu(), Clahe(2.0, 8)), ())
    assert parse_all(("clahe 2 8", "resize", "otsu")) == ((Clahe(2.0, 8),), (Otsu(),))
    assert parse_all(("resize", "otsu")) == ((), (Otsu(),))


WRONG = {
    "": 'expected a list of "otsu", "adaptive mean BLOCK C"',
    "Otsu": 'expected a list of "otsu"',
    "otsu 3": 'expected a list of "otsu"',
    "adaptive median 11 2": 'expected a list of "otsu"',
    "adaptive mean 11": 'expected a list of "otsu"',
    "adaptive mean 10 2": "block 10 is even, expected an odd number",
    "adaptive mean 1 2": "found '1', expected a whole number from 3 to 999",
    "adaptive mean 11.0 2": "found '11.0', expected a whole number",
    "adaptive mean ١١ 2": "found '١١', expected a whole number",
    "adaptive mean 11 nan": "found 'nan', expected a number from -1000 to 1000",
    "adaptive mean 11 two": "found 'two', expected a number from -1000 to 1000",
    "clahe -1 8": "found '-1', expected a number from 0 to 1000",
    "clahe 2 0": "found '0', expected a whole number from 1 to 64",
    "clahe inf 8": "found 'inf', expected a number",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_a_wrong_filter_says_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^filter {text!r}: .*{message}"):
        parse_all(("otsu", text))


def test_resizing_has_one_place() -> None:
    with pytest.raises(ValueError, match="'resize' occurs 2 times, expected once at most"):
        parse_all(("resize", "otsu", "resize"))


@given(st.lists(st.sampled_from(["otsu", "adaptive", "mean", "clahe", "3", "2", "-1", "1e3", "x"])))
def test_any_words_are_a_filter_or_an_error(words: list[str]) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse(" ".join(words)), Filter)
