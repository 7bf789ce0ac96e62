"""The two prefix searches find the same, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn import ctc
from edge_crnn.alphabet import Alphabet
from edge_crnn.ctc import Grammar
from edge_crnn.ctc.search_batch import search_batch
from edge_crnn.ctc.search_singly import search_singly
from edge_crnn.ctc.symbols import select

ALPHABET = Alphabet(("a", "b", "c"), blank=1)
GRAMMARS = (None, Grammar.compile("[ab]*c?", ALPHABET), Grammar.compile("(aa|bc){1,2}", ALPHABET))


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.sampled_from([0.0, 1.0, 3.0, 8.0, 40.0]),
    st.booleans(),
    st.sampled_from(GRAMMARS),
)
def test_one_after_the_other_or_all_at_once(
    seed: int, width: int, sharpness: float, coarse: bool, grammar: Grammar | None
) -> None:
    rng = np.random.default_rng(seed)
    powers = np.exp(rng.normal(size=(5, 14, 4)) * sharpness)
    rows = powers / powers.sum(axis=-1, keepdims=True)
    if coarse:  # many ties and zeros
        rows = np.round(rows * 8)
        rows[rows.sum(axis=-1) == 0] = 1.0
        rows /= rows.sum(axis=-1, keepdims=True)
    symbols = select(rows, 1, 1e-5 if seed % 2 else 0.0, 2 if seed % 3 else None, grammar)
    remaining = rng.integers(3, 15, 5)
    for image, length in enumerate(remaining):
        rows[image, length:] = [0, 1, 0, 0]
        symbols.chances[image, length:] = 0
    counts = symbols._replace(counts=np.count_nonzero(symbols.chances, axis=-1))
    batch = search_batch(rows, counts, remaining, 1, width, grammar)
    assert batch == search_singly(rows, counts, remaining, 1, width, grammar)


@pytest.mark.parametrize("search", [search_batch, search_singly])
def test_long_inputs_do_not_underflow(search: Callable[..., list[list[tuple[int, ...]]]]) -> None:
    rows = np.full((1, 1600, 4), 0.2)
    rows[0, :, 1] = 0.4  # to the power of 1600 it is no float64
    rows[0, 50::200] = [0.0, 0.2, 0.0, 0.8]
    rows[0, 100::200] = [0.0, 0.2, 0.8, 0.0]
    (sequences,) = search(rows, select(rows, 1, 0.6, None, None), np.array([1600]), 1, 3, None)
    assert sequences[0] == (3, 2) * 8
    assert len(sequences) == 3


def test_which_search_is_taken_shows_in_nothing() -> None:
    rng = np.random.default_rng(0)
    powers = np.exp(rng.normal(size=(40, 20, 8)) * 4)
    rows = powers / powers.sum(axis=-1, keepdims=True)
    alone = [ctc.beam(row[np.newaxis], 7, n_best=10)[0] for row in rows]
    assert ctc.beam(rows, 7, n_best=10) == alone
