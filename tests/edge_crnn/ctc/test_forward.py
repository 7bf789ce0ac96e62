from __future__ import annotations

from itertools import groupby, product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn import ctc
from edge_crnn.errors import InputError

Floats = npt.NDArray[np.float64]


@st.composite
def images(draw: st.DrawFn) -> tuple[Floats, int]:
    """Probabilities (1, T, C), small enough to enumerate all alignments, some of them 0, and a blank."""
    steps = draw(st.integers(1, 5))
    classes = draw(st.integers(2, 3))
    weights = draw(st.lists(st.integers(0, 9), min_size=steps * classes, max_size=steps * classes))
    rows = np.array(weights, np.float64).reshape(1, steps, classes)
    rows[rows.sum(axis=-1) == 0] = 1.0
    return rows / rows.sum(axis=-1, keepdims=True), draw(st.integers(0, classes - 1))


def slow(rows: Floats, blank: int) -> dict[tuple[int, ...], float]:
    """Posterior of each label sequence: the sum over all alignments that collapse to it."""
    posteriors: dict[tuple[int, ...], float] = {}
    for path in product(range(rows.shape[1]), repeat=len(rows)):
        sequence = tuple(index for index, _ in groupby(path) if index != blank)
        chance = float(np.prod([row[index] for row, index in zip(rows, path, strict=True)]))
        posteriors[sequence] = posteriors.get(sequence, 0.0) + chance
    return posteriors


@given(images())
def test_it_sums_all_alignments(image: tuple[Floats, int]) -> None:
    rows, blank = image
    expected = slow(rows[0], blank)
    posteriors = ctc.posterior(np.repeat(rows, len(expected), axis=0), list(expected), blank)
    np.testing.assert_allclose(posteriors, list(expected.values()), rtol=1e-12, atol=1e-300)


@given(images(), st.integers(0, 2))
def test_skipped_steps_do_not_count(image: tuple[Floats, int], skip_steps: int) -> None:
    rows, blank = image
    label = [(1 - min(blank, 1),)]
    padded = np.concatenate([np.full((1, skip_steps, rows.shape[2]), 1 / rows.shape[2]), rows], axis=1)
    assert ctc.posterior(padded, label, blank, skip_steps) == ctc.posterior(rows, label, blank)


def test_an_example_by_hand() -> None:
    rows = np.array([[[0.4, 0.6], [0.3, 0.7]]])
    expected = [0.6 * 0.7, 1 - 0.6 * 0.7, 0.0]
    posteriors = ctc.posterior(np.repeat(rows, 3, axis=0), [(), (0,), (0, 0)], blank=1)
    np.testing.assert_allclose(posteriors, expected, rtol=1e-15)


def test_a_certain_network_is_certain() -> None:
    rows = np.eye(3)[[0, 2, 0, 1, 1]][np.newaxis]
    assert ctc.posterior(rows, [(0, 0, 1)], blank=2).tolist() == [1.0]
    assert ctc.posterior(rows, [(0, 1)], blank=2).tolist() == [0.0]


def test_a_long_line_does_not_underflow_on_the_way() -> None:
    steps = 4000
    labels = [(0, 1) * 500]
    rows = np.full((1, steps, 3), 0.0005)
    rows[0, np.arange(steps), np.tile([0, 2, 1, 2], steps // 4)] = 0.999
    # The best path alone has this much; all other alignments of so sharp an output add little.
    assert 0.999**steps < ctc.posterior(rows, [(0, 1) * 1000], blank=2)[0] < 0.999**steps * 10
    assert ctc.posterior(rows, labels, blank=2)[0] == 0.0


def test_no_image_gives_no_posterior() -> None:
    assert ctc.posterior(np.zeros((0, 5, 3), np.float32), [], blank=2).shape == (0,)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([(0,)], "1 label sequences for 2 images"),
        ([(0,), (0, 2)], r"labels\[1\] has class 2, expected 0 to 3 without blank 2"),
        ([(0,), (4,)], r"labels\[1\] has class 4"),
        ([(-1,), (0,)], r"labels\[0\] has class -1"),
    ],
)
def test_bad_labels_are_refused(labels: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ctc.posterior(np.full((2, 3, 4), 0.25), labels, blank=2)
