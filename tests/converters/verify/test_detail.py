from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.verify.detail import alignment, detail
from converters.verify.gate import Readings
from edge_crnn.dataset import Dataset, Entry
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec
from edge_crnn.records.verification import Confusion, SymbolErrors

SPEC = ModelSpec(
    name="digits",
    symbols=tuple("0123"),
    blank=4,
    input=InputSpec(width=1, height=1, axes="HWC", scale=1.0, offset=0.0),
    output=OutputSpec(steps=6, classes=5),
)
WORDS = st.lists(st.integers(0, 2), max_size=6).map(tuple)


def slow_distance(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(
            distance(i - 1, j) + 1,
            distance(i, j - 1) + 1,
            distance(i - 1, j - 1) + (first[i - 1] != second[j - 1]),
        )

    return distance(len(first), len(second))


@given(WORDS, WORDS)
def test_an_alignment_is_of_both_texts_with_the_fewest_changes(truth: tuple[int, ...], read: tuple[int, ...]) -> None:
    pairs = alignment(truth, read)
    assert tuple(first for first, _ in pairs if first is not None) == truth
    assert tuple(second for _, second in pairs if second is not None) == read
    assert (None, None) not in pairs
    assert sum(first != second for first, second in pairs) == slow_distance(truth, read)


def rows(text: str, sure: float = 0.9) -> np.ndarray:
    """(6, 5) probabilities of a text without repeats; each step is so sure."""
    row = np.full((6, 5), (1 - sure) / 4, np.float32)
    for step, index in enumerate([*map(int, text), *[4] * (6 - len(text))]):
        row[step, index] = sure
    return row


def readings(*texts: str, sure: float = 0.9) -> Readings:
    probabilities = np.stack([rows(text, sure) for text in texts])
    reading = Readings.of(probabilities, SPEC)
    assert reading.labels == texts
    return reading


def dataset(*labels: str) -> Dataset:
    return Dataset(Path("drawn"), tuple(Entry(Path(f"{label}.png"), label) for label in labels))


def test_symbols_that_are_read_wrong_are_counted_for_each_folder() -> None:
    sets = [dataset("0123", "10"), dataset("201")]
    theirs = [readings("0123", "1"), readings("201")]
    ours = [readings("0103", "130"), readings("201")]
    details = detail(SPEC, sets, theirs, ours)
    assert details.errors == (SymbolErrors(6, 1, 2), SymbolErrors(3, 0, 0))
    assert set(details.confusions) == {Confusion("0", "", 1, 0), Confusion("2", "0", 0, 1), Confusion("", "3", 0, 1)}


def test_a_confusion_that_both_have_alike_is_left_out() -> None:
    sets = [dataset("0123")]
    both = [readings("0132")]
    details = detail(SPEC, sets, both, both)
    assert details.errors == (SymbolErrors(4, 2, 2),)
    assert details.confusions == ()
    assert details.mean_probability_change == details.mean_confidence_change == 0


def test_moved_probabilities_and_confidences_are_shown() -> None:
    sets = [dataset("0123", "10"), dataset("201")]
    theirs = [readings("0123", "10"), readings("201")]
    ours = [readings("0123", "10", sure=0.7), readings("201", sure=0.7)]
    details = detail(SPEC, sets, theirs, ours)
    assert details.mean_probability_change == pytest.approx((0.2 + 4 * 0.05) / 5, rel=1e-5)
    assert details.mean_confidence_change < -0.1
    assert details.calibration_error > details.reference_calibration_error > 0  # all are correct, none is sure
