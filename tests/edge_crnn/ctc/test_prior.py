from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn import ctc
from edge_crnn.alphabet import Alphabet
from edge_crnn.ctc import Lexicon, Prior
from edge_crnn.ctc.search_batch import search_batch
from edge_crnn.ctc.search_singly import search_singly
from edge_crnn.ctc.symbols import select
from edge_crnn.errors import InputError

from .small import Floats, Labels, batches, posteriors

ABC = Alphabet(("a", "b", "c"), blank=1)
SYMBOLS = [0, 2, 3]
WIDE = {"width": 300, "n_best": 300, "min_ratio": 0, "top_k": None}
lists = st.lists(st.lists(st.sampled_from(SYMBOLS), max_size=4).map(tuple), min_size=1, max_size=8)


def chance(label: Labels, fitted: list[Labels], smoothing: float) -> float:
    """Return P(label), counted anew for every symbol."""
    total = 1.0
    for before, after in zip(("start", *label), (*label, "end"), strict=True):
        pairs = [pair for label in fitted for pair in zip(("start", *label), (*label, "end"), strict=True)]
        left = [pair for pair in pairs if pair[0] == before]
        total *= (left.count((before, after)) + smoothing) / (len(left) + smoothing * (len(SYMBOLS) + 1))
    return total


@given(lists, st.floats(0.01, 3.0), st.floats(0.0, 2.0), st.lists(st.sampled_from(SYMBOLS), max_size=5).map(tuple))
def test_it_is_a_smoothed_bigram_model(fitted: list[Labels], smoothing: float, weight: float, label: Labels) -> None:
    prior = Prior.fit(fitted, ABC, smoothing=smoothing, weight=weight)
    assert prior.log_of([label]) == pytest.approx([weight * math.log(chance(label, fitted, smoothing))])
    again = Prior.from_json(prior.to_json(), ABC, weight=weight)
    assert (again.factors == prior.factors).all()
    certain = Prior.fit(fitted, ABC, smoothing=smoothing).factors
    assert certain[[0, 2, 3, 4]][:, [0, 2, 3, 4]].sum(axis=1) == pytest.approx(1.0)


@given(batches(4), lists, st.floats(0.0, 2.0))
def test_posteriors_are_weighed_and_stay_the_networks_own(rows: Floats, fitted: list[Labels], weight: float) -> None:
    prior = Prior.fit(fitted, ABC, weight=weight)
    for image, readings in zip(rows, ctc.beam(rows, 1, prior=prior, **WIDE), strict=True):
        own = posteriors(image, 1)
        scores = {label: p * chance(label, fitted, 1.0) ** weight for label, p in own.items()}
        total = sum(scores.values())
        assert {reading.indices: reading.weighted for reading in readings} == pytest.approx(
            {label: score / total for label, score in scores.items()}
        )
        assert {reading.indices: reading.confidence for reading in readings} == pytest.approx(own)
        assert [reading.weighted for reading in readings] == sorted(
            (reading.weighted for reading in readings), reverse=True
        )


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(0.0, 3.0), lists)
def test_a_narrow_beam_keeps_the_prefixes_of_the_textbook_search(
    seed: int, width: int, sharpness: float, fitted: list[Labels]
) -> None:
    powers = np.exp(np.random.default_rng(seed).normal(size=(2, 10, 4)) * (0.1 + sharpness))
    rows = powers / powers.sum(axis=-1, keepdims=True)
    prior = Prior.fit(fitted, ABC)
    for image, readings in zip(
        rows, ctc.beam(rows, 1, width=width, n_best=width, min_ratio=0, prior=prior), strict=True
    ):
        assert {reading.indices for reading in readings} == slow_search(image, prior, width)


def slow_search(rows: Floats, prior: Prior, width: int) -> set[Labels]:
    """Hannun 2014, figure 2, with a language model of symbols."""
    beam: dict[Labels, tuple[float, float]] = {(): (1.0, 0.0)}  # prefix → ending in blank, in its label
    for row in rows:
        grown: dict[Labels, list[float]] = {}
        for prefix, (ending_blank, ending_label) in beam.items():
            grown.setdefault(prefix, [0.0, 0.0])[0] += (ending_blank + ending_label) * row[1]
            for index in SYMBOLS:
                ways = ending_blank + ending_label
                if prefix[-1:] == (index,):
                    grown[prefix][1] += ending_label * row[index]
                    ways = ending_blank
                before = prefix[-1] if prefix else 4
                grown.setdefault((*prefix, index), [0.0, 0.0])[1] += ways * row[index] * prior.factors[before, index]
        best = sorted(grown, key=lambda prefix: -sum(grown[prefix]))[:width]
        beam = {prefix: (grown[prefix][0], grown[prefix][1]) for prefix in best}
    return set(beam)


@given(batches(4, most_steps=9), st.integers(1, 6), lists)
def test_both_searches_find_the_same(rows: Floats, width: int, fitted: list[Labels]) -> None:
    factors = Prior.fit(fitted, ABC).factors
    symbols = select(rows, 1, 0.0, None, None)
    arguments = rows, symbols, np.full(len(rows), rows.shape[1]), 1, width, None, factors
    assert search_batch(*arguments) == search_singly(*arguments)


@given(batches(4, lowest=1), lists, st.integers(1, 4))
def test_a_batch_decodes_as_its_singles(rows: Floats, fitted: list[Labels], width: int) -> None:
    labels = [label for label in fitted if label] or [(0,)]
    for lexicon in (None, Lexicon.of([*labels, (2,)], ABC, weight=3.0, rescue=0.1)):
        options = {"width": width, "n_best": width, "prior": Prior.fit(fitted, ABC), "lexicon": lexicon}
        assert ctc.beam(rows, 1, **options) == [ctc.beam(image[np.newaxis], 1, **options)[0] for image in rows]


def test_it_decides_between_equals() -> None:
    rows = np.full((1, 3, 4), 1e-3)
    rows[0, 0, [0, 2]] = 0.499
    rows[0, 1, 1] = rows[0, 2, 3] = 0.997
    for often, label in ((0, (0, 3)), (2, (2, 3))):
        prior = Prior.fit([(often, 3)] * 9 + [(0, 0)], ABC)
        ((reading,),) = ctc.beam(rows, 1, prior=prior)
        assert reading.indices == label
        assert reading.confidence == ctc.posterior(rows, [label], 1)[0] < 0.5 < reading.weighted


def test_symbols_stand_at_their_classes() -> None:
    prior = Prior.fit([(1, 3), (1,)], Alphabet(("a", "b"), blank=2, unused=(0,)))
    assert prior.counts == {"": {"a": 2}, "a": {"b": 1, "": 1}, "b": {"": 1}}
    assert prior.factors[4, [0, 1, 3, 4]] == pytest.approx([1 / 6, 3 / 6, 1 / 6, 1 / 6])
    with pytest.raises(InputError, match="the prior has '\ufffd', expected the symbols ab"):
        Prior.fit([(0,)], prior.alphabet)


def test_one_that_says_nothing_changes_nothing() -> None:
    powers = np.exp(np.random.default_rng(3).normal(size=(6, 12, 4)) * 3)
    rows = powers / powers.sum(axis=-1, keepdims=True)
    plain = ctc.beam(rows, 1, n_best=5)
    weighed = ctc.beam(rows, 1, n_best=5, prior=Prior.fit([(0, 2)], ABC, weight=0.0))
    for expected, readings in zip(plain, weighed, strict=True):
        assert [reading.indices for reading in readings] == [reading.indices for reading in expected]
        assert [reading.weighted for reading in readings] == pytest.approx([reading.confidence for reading in expected])


def test_a_long_line_does_not_underflow() -> None:
    prior = Prior.fit([(0,)], ABC, weight=3.0)
    rows = np.full((1, 900, 4), 0.1)
    rows[0, :, 2] = 0.1
    rows[0, np.arange(900), np.tile([2, 1], 450)] = 0.7
    ((reading,),) = ctc.beam(rows, 1, prior=prior, width=3)
    assert set(reading.indices) == {2}
    assert 0 <= reading.weighted <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p.json: not valid JSON"),
        ("[]", "^p.json: found no prior of version 1"),
        ('{"version": 2}', "found no prior of version 1"),
        ('{"version": 1, "smoothing": 1, "counts": []}', "expected `smoothing`, a number, and `counts`"),
        ('{"version": 1, "smoothing": "1", "counts": {}}', "expected `smoothing`"),
        ('{"version": 1, "smoothing": 1, "counts": {"a": 1}}', "expected `smoothing`"),
        (
            '{"version": 1, "smoothing": 0, "counts": {}}',
            "^p.json: a prior's smoothing is 0, expected a number above 0",
        ),
        ('{"version": 1, "smoothing": NaN, "counts": {}}', "smoothing is nan"),
        ('{"version": 1, "smoothing": 1, "counts": {"x": {}}}', "the prior has 'x', expected the symbols abc: fit it"),
        ('{"version": 1, "smoothing": 1, "counts": {"a": {"y": 1}}}', "the prior has 'y'"),
        ('{"version": 1, "smoothing": 1, "counts": {"a": {"b": -1}}}', "has 'b' -1 times after 'a', expected a count"),
        ('{"version": 1, "smoothing": 1, "counts": {"a": {"b": 1.5}}}', "has 'b' 1.5 times"),
        ('{"version": 1, "smoothing": 1, "counts": {"a": {"b": true}}}', "has 'b' True times"),
    ],
)
def test_files_that_are_none_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Prior.from_json(text, ABC, "p.json")


def test_counts_that_are_invalid_are_refused() -> None:
    with pytest.raises(InputError, match="no label to fit a prior to"):
        Prior.fit([], ABC)
    with pytest.raises(InputError, match="labels to fit a prior to: class 1 has no symbol"):
        Prior.fit([(1,)], ABC)
    with pytest.raises(InputError, match="weight is -1, expected 0 or more"):
        Prior.fit([(0,)], ABC, weight=-1)
    with pytest.raises(InputError, match="is for 4 classes with blank 1, found 3 with blank 1"):
        ctc.beam(np.full((1, 3, 3), 1 / 3), 1, prior=Prior.fit([(0,)], ABC))
    with pytest.raises(InputError, match="is for at most 4096 classes, found 5001"):
        Prior.fit([(0,)], Alphabet(tuple(map(chr, range(0x4E00, 0x4E00 + 5000))), blank=5000))


def test_the_file_says_which_symbol_follows_which() -> None:
    data = json.loads(Prior.fit([(0, 2), (0,)], ABC, smoothing=0.5).to_json())
    assert data == {
        "version": 1,
        "smoothing": 0.5,
        "counts": {"": {"a": 2}, "a": {"b": 1, "": 1}, "b": {"": 1}},
    }
