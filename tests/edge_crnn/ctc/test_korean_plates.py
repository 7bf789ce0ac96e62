from __future__ import annotations

import re
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.alphabet import PLATES
from edge_crnn.ctc import Grammar
from edge_crnn.ctc.automaton import FAR
from edge_crnn.ctc.korean_plates import LEGAL, LabelSet
from edge_crnn.training.layouts import label_at
from edge_crnn.training.plates.form import REGIONS, SYLLABLES
from edge_crnn.training.plates.table import FORMS, NEGATIVES
from tests.edge_crnn.ctc.counting import count_labels

GRAMMAR = Grammar.compile("korean-plates", PLATES)
PRIVATE = "가나다라마거너더러머버서어저고노도로모보소오조구누두루무부수우주"


def is_legal(has_region: bool, digits: int, syllable: str) -> bool:
    """State the law again, in its own words."""
    if syllable in "바사아자":
        return has_region and digits == 2
    if syllable in "하호":
        return not has_region
    return (syllable == "허" or syllable in PRIVATE) and not (has_region and digits == 3)


def accepts(label: str) -> bool:
    try:
        return GRAMMAR.accepts(PLATES.encode(label))
    except ValueError:  # a symbol that is not in the alphabet
        return False


def test_the_grammar_is_the_law() -> None:
    for region, digits, (spelling, syllable) in product([*REGIONS, "Z"], (1, 2, 3, 4), SYLLABLES.items()):
        label = f"{region}{'4321'[:digits]}{spelling}6897"
        assert accepts(label) == (digits in (2, 3) and is_legal(region != "Z", digits, syllable)), label
    assert len(PRIVATE) == 32
    assert not accepts("18sk6897")


@given(st.sampled_from(sorted(FORMS)), st.integers(0, 2**64), st.integers(0, 999_999))
def test_every_drawn_label_is_in_the_grammar(kind: str, seed: int, index: int) -> None:
    assert accepts(label_at(seed, index, kind))


@given(st.data())
def test_every_label_of_the_grammar_is_drawn_as_some_form(data: st.DataObject) -> None:
    state, label = 0, ""
    while GRAMMAR.steps[state, -1] > 0:
        after = GRAMMAR.transitions[state]
        symbol = data.draw(st.sampled_from(np.flatnonzero(GRAMMAR.steps[after, -1] < FAR).tolist()))
        state = after[symbol]
        label = label + PLATES.spell([symbol])
    assert [name for name, form in FORMS.items() if re.fullmatch(form.labels.regex, label)]


def test_forms_and_grammar_have_the_same_number_of_labels() -> None:
    assert {form.labels for form in FORMS.values()} == set(LEGAL)
    assert count_labels(GRAMMAR) == sum(len(label_set.regions) * label_set.size for label_set in LEGAL)


@pytest.mark.parametrize(("first", "second"), list(combinations(LEGAL, 2)))
def test_no_two_sets_share_a_label(first: LabelSet, second: LabelSet) -> None:
    assert (
        not set(first.regions) & set(second.regions)
        or first.digits != second.digits
        or not set(first.spellings) & set(second.spellings)
    )


@given(st.sampled_from(sorted(NEGATIVES)), st.integers(0, 2**64), st.integers(0, 999_999))
def test_no_negative_is_in_the_grammar(kind: str, seed: int, index: int) -> None:
    assert not accepts(label_at(seed, index, kind))
