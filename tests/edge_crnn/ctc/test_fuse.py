from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_crnn import ctc
from edge_crnn.alphabet import Alphabet
from edge_crnn.ctc import Grammar, Lexicon, Prior
from edge_crnn.ctc.fuse import LEAST
from edge_crnn.errors import InputError

from .small import Floats, Labels, batches, posteriors

ABC = Alphabet(("a", "b", "c"), blank=1)
WIDE = {"width": 300, "n_best": 300, "min_ratio": 0, "top_k": None}


def slow(rows: Floats, weights: list[float]) -> dict[Labels, float]:
    """Share of each text that is possible in any image, by all alignments of all images."""
    by_image = [posteriors(image, 1) for image in rows]
    texts = {text for texts_of_image in by_image for text in texts_of_image}
    products = {
        text: math.prod(max(own.get(text, 0.0), LEAST) ** weight for own, weight in zip(by_image, weights, strict=True))
        for text in texts
    }
    total = sum(products.values())
    return {text: product / total for text, product in products.items()}


@given(batches(4, most_steps=4), st.data())
def test_it_is_the_product_of_the_posteriors(rows: Floats, data: st.DataObject) -> None:
    weights = data.draw(
        st.none() | st.lists(st.floats(0.0, 3.0), min_size=len(rows), max_size=len(rows)).filter(lambda w: sum(w) >= 1)
    )
    expected = slow(rows, weights or [1.0] * len(rows))
    readings = ctc.fuse(rows, 1, weights=weights, **WIDE)
    assert {reading.indices: reading.confidence for reading in readings} == pytest.approx(expected, rel=1e-6, abs=1e-9)
    confidences = [reading.confidence for reading in readings]
    assert confidences == sorted(confidences, reverse=True)
    alone = [posteriors(image, 1) for image in rows]
    for reading in readings:
        assert reading.posteriors == pytest.approx([own.get(reading.indices, 0.0) for own in alone], rel=1e-12)
        assert reading.posteriors[reading.best] == max(reading.posteriors)
        assert len(reading.spans) == len(reading.confidences) == len(reading.indices)


@given(batches(4, lowest=1), st.integers(1, 5))
def test_a_narrow_search_promises_no_more_than_is_true(rows: Floats, width: int) -> None:
    expected = slow(rows, [1.0] * len(rows))
    for reading in ctc.fuse(rows, 1, width=width, n_best=width):
        assert reading.confidence <= expected[reading.indices] * (1 + 1e-9)


@given(batches(4, lowest=1, most_images=1), st.integers(1, 5))
def test_of_one_image_it_is_the_beam(rows: Floats, width: int) -> None:
    (alone,) = ctc.beam(rows, 1, width=width, n_best=width)
    assume(all(one.confidence > 1.000001 * other.confidence for one, other in pairwise(alone)))  # ties go either way
    fused = ctc.fuse(rows, 1, width=width, n_best=width)
    assert [reading.indices for reading in fused] == [reading.indices for reading in alone]
    assert [reading.confidence for reading in fused] == pytest.approx([reading.confidence for reading in alone])
    assert [reading.spans for reading in fused] == [reading.spans for reading in alone]
    assert [reading.confidences for reading in fused] == [reading.confidences for reading in alone]
    assert [reading.agreeing for reading in fused] == [1, *[0] * (len(fused) - 1)]


@given(batches(4, lowest=1), st.sampled_from([math.inf, 20.0]), st.sampled_from([0.0, 0.2]), st.booleans())
def test_lexicon_and_prior_count_once(rows: Floats, weight: float, rescue: float, with_prior: bool) -> None:
    entries = [(0, 2), (3,), (2, 2)]
    lexicon = Lexicon.of(entries, ABC, weight=weight, rescue=rescue)
    prior = Prior.fit(entries, ABC, weight=0.7) if with_prior else None
    if rows.shape[1] < lexicon.shortest:
        return
    plain = {reading.indices: reading.confidence for reading in ctc.fuse(rows, 1, **WIDE)}
    seen = max(plain, key=plain.__getitem__)
    scores = {}
    for label in {*plain, *entries} if rescue else plain:
        score = plain.get(label, 0.0)
        is_known = label in entries
        if is_known and seen not in entries and label in lexicon.near(seen):
            score += rescue * plain[seen] * (len(label) + (label == (2, 2)) <= rows.shape[1])
        score *= math.exp(prior.log_of([label])[0]) if prior else 1.0
        score *= weight if is_known and math.isfinite(weight) else is_known or math.isfinite(weight)
        if score > 0:
            scores[label] = score
    total = sum(scores.values())
    covered = 1.0
    if math.isinf(weight):
        near = lexicon.near(seen) if seen not in entries else []
        fit = [label for label in near if len(label) + (label == (2, 2)) <= rows.shape[1]]
        covered = min(1.0, sum(plain.get(label, 0.0) for label in entries) + len(fit) * rescue * plain[seen])
    readings = {reading.indices: reading for reading in ctc.fuse(rows, 1, lexicon=lexicon, prior=prior, **WIDE)}
    for label, reading in readings.items():
        if not math.isinf(weight) or rescue:  # else the unknown are no candidates, and their share stays doubt
            assert reading.weighted == pytest.approx(scores[label] / total * covered, rel=1e-6, abs=1e-9)
        if rescue or math.isfinite(weight):
            assert reading.confidence == pytest.approx(plain.get(label, 0.0), rel=1e-6, abs=1e-9)
        assert math.isfinite(weight) or label in entries


def test_two_blurred_images_outvote_a_wrong_one() -> None:
    wrong = np.full((1, 3, 4), 0.01)
    right = np.full((1, 3, 4), 0.01)
    wrong[0, 0, [0, 2]] = [0.75, 0.23]
    right[0, 0, [0, 2]] = [0.35, 0.63]
    for rows in (wrong, right):
        rows[0, 1, 1] = rows[0, 2, 3] = 0.97
    assert ctc.beam(wrong, 1)[0][0].indices == (0, 3)
    (reading,) = ctc.fuse(np.concatenate([wrong, right, right, right]), 1)
    assert (reading.indices, reading.agreeing) == ((2, 3), 3)
    assert reading.best in (1, 2, 3)
    assert reading.confidence > max(reading.posteriors)
    (reading,) = ctc.fuse(np.concatenate([wrong, right]), 1, weights=[1.0, 0.1])
    assert (reading.indices, reading.agreeing) == ((0, 3), 1)


def test_a_zero_in_one_image_is_no_proof() -> None:
    sure = np.eye(4)[[[0, 1, 3]]] * 1.0
    other = np.eye(4)[[[2, 1, 3]]] * 1.0
    (reading, second) = ctc.fuse(np.concatenate([sure, other, sure]), 1, n_best=2)
    assert (reading.indices, second.indices) == ((0, 3), (2, 3))
    assert (reading.agreeing, second.agreeing) == (2, 1)
    assert reading.confidence == pytest.approx(1.0)


def test_only_labels_of_the_grammar_are_read() -> None:
    rows = np.full((3, 3, 4), 0.25)
    grammar = Grammar.compile("ab|c", ABC)
    assert {reading.indices for reading in ctc.fuse(rows, 1, grammar=grammar, n_best=10)} == {(0, 2), (3,)}
    rows = np.eye(4)[[[1, 1, 1]]] * 1.0
    assert ctc.fuse(rows, 1, grammar=grammar) == []


def test_skipped_steps_count_in_the_spans() -> None:
    rows = np.full((2, 5, 4), 0.01)
    rows[:, np.arange(5), [3, 3, 0, 1, 2]] = 0.97
    (reading,) = ctc.fuse(rows, 1, 2)
    assert reading.indices == (0, 2)
    assert reading.spans == ((2, 3), (4, 5))


@pytest.mark.parametrize("weights", [[1.0], [[1.0, 1.0]], [0.4, 0.4], [-1.0, 3.0], [np.nan, 2.0]])
def test_bad_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="expected 2 non-negative numbers"):
        ctc.fuse(np.full((2, 3, 4), 0.25), 1, weights=weights)


def test_no_image_is_refused() -> None:
    with pytest.raises(InputError, match="no image to fuse"):
        ctc.fuse(np.zeros((0, 3, 4)), 1)
    with pytest.raises(InputError, match="n_best is 20, expected a whole number from 1 to 10"):
        ctc.fuse(np.full((1, 3, 4), 0.25), 1, n_best=20)
