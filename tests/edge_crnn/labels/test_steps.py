from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.alphabet import Alphabet
from edge_crnn.ctc.greedy import greedy
from edge_crnn.errors import DatasetError
from edge_crnn.labels.steps import require_steps

FOLDER = Path("images")
ALPHABET = Alphabet(("a", "bb", "é"), 0)


def fits(label: str, steps: int) -> bool:
    try:
        require_steps([(FOLDER / "a.png", label)], ALPHABET, steps, FOLDER)
    except DatasetError:
        return False
    return True


@pytest.mark.parametrize(("label", "needed"), [("a", 1), ("aa", 3), ("abba", 3), ("bbbb", 3), ("éé", 3), ("aaa", 5)])
def test_repeated_symbols_are_counted(label: str, needed: int) -> None:
    """PaddleOCR#17876: a label that did not fit had a loss of 0, so that training seemed to succeed."""
    assert fits(label, needed)
    assert not fits(label, needed - 1)


@given(st.lists(st.sampled_from(ALPHABET.symbols), min_size=1, max_size=5))
def test_a_label_fits_if_some_path_of_classes_reads_as_it(symbols: list[str]) -> None:
    """The reference writes the label with a blank between equal symbols only, and decodes it."""
    label = "".join(symbols)
    path: list[int] = []
    for index in ALPHABET.encode(label):
        path += [ALPHABET.blank, index] if path and path[-1] == index else [index]
    probabilities = np.eye(ALPHABET.classes, dtype=np.float32)[None, path]
    assert tuple(greedy(probabilities, ALPHABET.blank, 0)[0].indices) == ALPHABET.encode(label)
    assert fits(label, len(path))
    assert not fits(label, len(path) - 1)


def test_the_message_counts_the_labels_and_names_the_longest() -> None:
    labels = [(FOLDER / f"{place}.png", label) for place, label in enumerate(["a", "aaa", "aaaa", "bb"])]
    with pytest.raises(DatasetError) as caught:
        require_steps(labels, ALPHABET, 4, FOLDER)
    for part in ("2 of 4 labels", "4 time steps", "'aaaa' of images/2.png", "needs 7"):
        assert part in str(caught.value)
