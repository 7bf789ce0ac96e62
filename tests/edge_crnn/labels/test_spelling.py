from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.alphabet import PLATES, Alphabet
from edge_crnn.errors import DatasetError
from edge_crnn.labels.spelling import spelled

FOLDER = Path("images")
DIGITS = Alphabet(tuple("0123456789"), 10)


def spell(*texts: str, alphabet: Alphabet = DIGITS, drop: bool = False) -> tuple[list[str], list[str]]:
    """Labels and notes."""
    notes: list[str] = []
    named = [(FOLDER / f"{place}.png", text) for place, text in enumerate(texts)]
    return [label for _, label in spelled(named, alphabet, FOLDER, drop, notes.append)], notes


def test_all_unknown_characters_are_counted_in_one_error() -> None:
    with pytest.raises(DatasetError) as caught:
        spell("12", "1-2 3-", "x-", "4")
    for part in ("'-' 3, ' ' 1, 'x' 1", "'1-2 3-' of images/1.png", "0123456789", "--label-pattern", "--drop-unknown"):
        assert part in str(caught.value)


def test_another_case_is_recognised() -> None:
    with pytest.raises(DatasetError, match=r"'a' 1, 'b' 1; .* or fold their case \(--fold-case upper\)"):
        spell("aAb", alphabet=Alphabet(tuple("AB"), 0))
    with pytest.raises(DatasetError, match=r"--fold-case lower"):
        spell("É", alphabet=Alphabet(("é",), 0))


def test_dropped_characters_are_reported_once() -> None:
    labels, notes = spell("12-34", "1 2-", "5", drop=True)
    assert labels == ["1234", "12", "5"]
    assert notes == ["images: dropped 3 characters that the alphabet does not have: '-' 2, ' ' 1"]
    assert spell("12", drop=True) == (["12"], [])


def test_a_label_of_which_nothing_is_left() -> None:
    with pytest.raises(DatasetError, match=r"2 labels have no symbol of the alphabet 0123456789, such as .*1\.png"):
        spell("1", "--", "x", drop=True)


def test_with_a_label_map_white_space_counts_for_nothing() -> None:
    assert spell("서울 18 나 6897", " 18\t나6897", alphabet=PLATES) == (["A18sk6897", "Z18sk6897"], [])
    labels, notes = spell("서울-18나 6897", alphabet=PLATES, drop=True)
    assert (labels, len(notes)) == (["A18sk6897"], 1)


@pytest.mark.parametrize(
    "text",
    ["1234 2", "A18sk6897 2", "서울 18 나 68 97", "1 8나6897", "서울18나6897\u30002", "18나6\t897", "서 울 18나6897"],
)
def test_stray_white_space_is_not_dropped_silently_with_a_label_map(text: str) -> None:
    """LPRNet_Pytorch#4: the second image of a plate, `1234 2.jpg`, had the label 12342."""
    with pytest.raises(DatasetError, match="characters that the alphabet does not have"):
        spell(text, alphabet=PLATES)
    labels, notes = spell(text, alphabet=PLATES, drop=True)
    assert labels == [PLATES.label(text)]
    assert "dropped 1 characters" in notes[0]


@pytest.mark.parametrize("text", ["Z 18 나 6897", " 18나 6897 ", "서울18 sk 6897", "A 18나\t6897"])
def test_with_a_label_map_white_space_of_the_reading_may_be_written(text: str) -> None:
    assert spell(text, alphabet=PLATES) == ([PLATES.label(text)], [])


@given(st.lists(st.text(alphabet="01é- \u2028", min_size=1)), st.sampled_from(["NFC", "NFD"]))
def test_dropping_leaves_the_symbols_in_their_order(texts: list[str], form: str) -> None:
    alphabet = Alphabet(("0", "1", "é"), 1)
    kept = ["".join(character for character in text if character in "01é") for text in texts]
    given_ = [unicodedata.normalize(form, text) for text in texts]
    if not all(kept):
        with pytest.raises(DatasetError, match="no symbol"):
            spell(*given_, alphabet=alphabet, drop=True)
        return
    labels, notes = spell(*given_, alphabet=alphabet, drop=True)
    dropped = Counter(character for text in texts for character in text if character not in "01é")
    assert labels == kept
    assert len(notes) == bool(dropped)
    assert all(f"{character!r} {count}" in notes[0] for character, count in dropped.items())
