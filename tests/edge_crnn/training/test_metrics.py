from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import InputError
from edge_crnn.training.metrics import edit_distance, score

TEXTS = st.text("ab1", max_size=6)


@cache
def slow(text: str, expected: str) -> int:
    """The definition, by recursion."""
    if not text or not expected:
        return len(text) + len(expected)
    here = text[0] != expected[0]
    return min(slow(text[1:], expected[1:]) + here, slow(text[1:], expected) + 1, slow(text, expected[1:]) + 1)


@given(TEXTS, TEXTS)
def test_edit_distance_is_the_definition(text: str, expected: str) -> None:
    assert edit_distance(text, expected) == slow(text, expected) == edit_distance(expected, text)


def test_each_figure_by_hand() -> None:
    # correct; one lost in front, which shifts the rest; one too many behind; nothing read.
    scored = score(["1234", "234", "12345", ""], ["1234", "1234", "1234", "12"])
    assert scored.exact == 1 / 4
    assert scored.character_error_rate == (0 + 1 + 1 + 2) / (4 + 4 + 4 + 2)
    assert scored.letter_accuracy == (4 + 0 + 4 + 0) / (4 + 4 + 5 + 2)
    assert scored.edit_distance == (0 + 1 / 4 + 1 / 4 + 1) / 4


@given(st.lists(TEXTS, min_size=1))
def test_the_truth_scores_full(labels: list[str]) -> None:
    scored = score(labels, labels)
    assert (scored.exact, scored.letter_accuracy) == (1, 1)
    assert (scored.character_error_rate, scored.edit_distance) == (0, 0)


def test_nothing_is_right_for_an_empty_label() -> None:
    scored = score(["", "12", "123"], ["", "", "123"])
    assert scored.exact == 2 / 3
    assert scored.character_error_rate == 2 / 3
    assert scored.letter_accuracy == 3 / 5
    assert scored.edit_distance == 2 / 3
    none = score(["", ""], ["", ""])
    assert (none.exact, none.character_error_rate, none.letter_accuracy, none.edit_distance) == (1, 0, 1, 0)


@pytest.mark.parametrize(("read", "labels"), [([], []), (["1"], [])])
def test_unusable_texts_are_not_scored(read: list[str], labels: list[str]) -> None:
    with pytest.raises(InputError, match="expected the same number of both"):
        score(read, labels)
