"""The spelling of classes, learned from labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.conventions.measure.spelling import (
    Spelling,
    agreeing,
    alphabets,
    learned,
    likely_blanks,
    likeness,
    log_likelihoods,
    placed,
    right,
    sequences,
)
from edge_crnn import ctc


def spoken(texts: list[tuple[int, ...]], steps: int, classes: int, blank: int) -> np.ndarray:
    """(N, steps, classes) probabilities whose best path is the text, with a blank after each class."""
    table = np.full((len(texts), steps, classes), 0.02 / (classes - 1), np.float32)
    path = np.full((len(texts), steps), blank)
    for row, text in zip(path, texts, strict=True):
        row[: 2 * len(text) : 2] = text
    np.put_along_axis(table, path[..., None], 0.98, axis=2)
    return table


@given(
    table=st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).dirichlet(np.ones(4), (3, 9))),
    blank=st.integers(0, 3), skip=st.integers(0, 4),
)  # fmt: skip
def test_sequences_are_those_of_the_decoder(table: np.ndarray, blank: int, skip: int) -> None:
    table = table.astype(np.float32)
    assert sequences(table, blank, skip) == [one.indices for one in ctc.greedy(table, blank, skip)]


@given(order=st.permutations("0123456789"), texts=st.lists(st.text("0123456789", min_size=1), min_size=1))
def test_any_order_explains_everything_that_it_wrote(order: list[str], texts: list[str]) -> None:
    read = [tuple(order.index(character) for character in text) for text in texts]
    assert likeness(read, texts) == 1
    characters = learned(read, texts, 11, 10)
    assert {characters[place] for text in read for place in text} == set("".join(texts))
    assert all(shown in (None, character) for shown, character in zip(characters, order, strict=False))


def test_readings_of_another_length_explain_nothing() -> None:
    assert likeness([(1, 2, 3)], ["12"]) == 0


def test_the_likely_blanks_are_both_ends_and_the_commonest_class() -> None:
    table = spoken([(1,)], 8, 5, blank=2)
    assert likely_blanks(table, None) == (4, 0, 2)
    assert likely_blanks(table, 3) == (3,)


def test_labels_tell_an_alphabet_apart_from_others() -> None:
    usual = list(alphabets(37, 36, ["ab", "09"]))
    assert (*"0123456789abcdefghijklmnopqrstuvwxyz", None) in usual
    shown: list[str | None] = [None] * 37
    shown[10] = "a"
    assert agreeing(shown, usual) == [(*"0123456789abcdefghijklmnopqrstuvwxyz", None)]


def test_the_sorted_characters_of_the_labels_are_an_alphabet() -> None:
    assert (None, *"ACK") in list(alphabets(4, 0, ["CAK"]))


def test_spare_classes_stand_before_and_behind() -> None:
    assert placed("ab", 5, 4, 1) == (None, "a", "b", None, None)
    assert placed("ab", 5, 0, 0) == (None, "a", "b", None, None)
    assert placed("ab", 5, 0, 2) == (None, None, None, "a", "b")


@pytest.mark.parametrize("blank", [0, 2, 4])
def test_likelihoods_and_texts(blank: int) -> None:
    characters = placed("abcd", 5, blank, 0)
    spelling = Spelling(blank, 0, characters)
    classes = [spelling.classes_of(text) for text in ("ab", "dda")]
    table = spoken([one for one in classes if one is not None], 9, 5, blank)
    assert right(table, spelling, ["ab", "dda"]).tolist() == [True, True]
    assert right(table, spelling, ["ab", "dd?"]).tolist() == [True, False]
    likely = log_likelihoods(table, spelling, ["ab", "dd?"])
    assert likely[0] == pytest.approx(np.log(ctc.posterior(table[:1], [classes[0] or ()], blank)[0]))
    assert likely[1] == pytest.approx(np.log(1e-5))
