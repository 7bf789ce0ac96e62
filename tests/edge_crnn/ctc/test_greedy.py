from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn import ctc
from edge_crnn.errors import InputError

Floats = npt.NDArray[np.float32]


def softmax(logits: npt.NDArray[Any]) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Floats, int, int]:
    """Probabilities (N, T, C), a blank anywhere, and skipped steps."""
    images = draw(st.integers(1, 4))
    steps = draw(st.integers(1, 12))
    classes = draw(st.integers(2, 6))
    seed = draw(st.integers(0, 2**32 - 1))
    sharpness = draw(st.sampled_from([0.0, 1.0, 5.0]))
    logits = np.random.default_rng(seed).normal(size=(images, steps, classes)) * sharpness
    return softmax(logits), draw(st.integers(0, classes - 1)), draw(st.integers(0, steps - 1))


def slow(probabilities: Floats, blank: int, skip_steps: int) -> list[tuple[int, float, tuple[int, int]]]:
    """Return the characters, peaks and spans of an image."""
    runs = groupby(range(skip_steps, len(probabilities)), key=lambda step: int(probabilities[step].argmax()))
    readings = []
    for index, run in runs:
        steps = list(run)
        if index != blank:
            peak = max(float(probabilities[step, index]) for step in steps)
            readings.append((index, peak, (steps[0], steps[-1] + 1)))
    return readings


@given(batches())
def test_it_collapses_repeats_and_drops_blanks(batch: tuple[Floats, int, int]) -> None:
    probabilities, blank, skip_steps = batch
    decoded = ctc.greedy(probabilities, blank, skip_steps)
    assert len(decoded) == len(probabilities)
    for image, result in zip(probabilities, decoded, strict=True):
        expected = slow(image, blank, skip_steps)
        assert result.indices == tuple(index for index, _, _ in expected)
        assert result.spans == tuple(span for _, _, span in expected)
        assert result.confidences == pytest.approx([peak for _, peak, _ in expected], rel=1e-6)
        assert all(0 <= peak <= 1 for peak in result.confidences)


@given(batches())
def test_confidence_is_the_posterior_of_the_sequence(batch: tuple[Floats, int, int]) -> None:
    decoded = ctc.greedy(*batch)
    posteriors = ctc.posterior(batch[0], [reading.indices for reading in decoded], *batch[1:])
    assert [reading.confidence for reading in decoded] == posteriors.tolist()


@given(batches())
def test_a_batch_decodes_as_its_singles(batch: tuple[Floats, int, int]) -> None:
    probabilities, blank, skip_steps = batch
    singles = [ctc.greedy(image[np.newaxis], blank, skip_steps)[0] for image in probabilities]
    assert ctc.greedy(probabilities, blank, skip_steps) == singles
    assert ctc.greedy(np.asfortranarray(probabilities), blank, skip_steps) == singles


def test_an_example_by_hand() -> None:
    steps = [
        [0.1, 0.9, 0.0],
        [0.8, 0.1, 0.1],
        [0.6, 0.4, 0.0],
        [0.0, 1.0, 0.0],
        [0.7, 0.2, 0.1],
        [0.2, 0.2, 0.6],
    ]
    (reading,) = ctc.greedy(np.array([steps], np.float32), blank=1, skip_steps=1)
    assert reading.indices == (0, 0, 2)
    assert reading.spans == ((1, 3), (4, 5), (5, 6))
    assert reading.confidences == pytest.approx((0.8, 0.7, 0.6))


def test_the_lowest_class_wins_a_tie() -> None:
    (reading,) = ctc.greedy(np.full((1, 1, 4), 0.25, np.float32), blank=3)
    assert reading.indices == (0,)


def test_nothing_but_blanks_is_the_empty_sequence() -> None:
    (reading,) = ctc.greedy(np.array([[[0.25, 0.75]] * 2], np.float32), blank=1)
    assert reading == ctc.Decoded((), 0.75**2, (), ())


def test_no_image_gives_no_result() -> None:
    assert ctc.greedy(np.zeros((0, 5, 3), np.float32), blank=2) == []


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_is_taken(dtype: Any) -> None:
    probabilities = softmax(np.random.default_rng(3).normal(size=(2, 8, 5)) * 4).astype(dtype)
    assert [len(reading.indices) for reading in ctc.greedy(probabilities, blank=0)] == [
        len(slow(image, 0, 0)) for image in probabilities
    ]


def test_rows_of_a_quantised_softmax_count_as_probabilities() -> None:
    steps = np.array([[[0.5, 0.496], [1.008, 0.0]]], np.float32)
    (reading,) = ctc.greedy(steps, blank=1)
    assert reading.confidences == pytest.approx((1.0,))
    assert reading.confidence == pytest.approx(1.0)
    assert reading.confidence <= 1.0


def test_best_paths_equal_those_of_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow")
    probabilities = softmax(np.random.default_rng(0).normal(size=(64, 20, 5)) * 2)
    probabilities[0] = 0.2  # ties everywhere
    lengths = np.full(64, 20)
    (sparse,), _ = tf.nn.ctc_greedy_decoder(np.log(probabilities).transpose(1, 0, 2), lengths)
    dense = tf.sparse.to_dense(sparse, default_value=-1).numpy()
    expected = [tuple(row[row >= 0].tolist()) for row in dense]
    assert [reading.indices for reading in ctc.greedy(probabilities, blank=4)] == expected


GOOD = np.full((2, 3, 4), 0.25, np.float32)


def with_value(value: float) -> Floats:
    changed = GOOD.copy()
    changed[1, 2, 3] = value
    return changed


@pytest.mark.parametrize(
    ("probabilities", "blank", "skip_steps", "message"),
    [
        (GOOD[0], 0, 0, r"shape \(3, 4\), expected \(N, T, C\)"),
        (GOOD[None], 0, 0, r"shape \(1, 2, 3, 4\), expected \(N, T, C\)"),
        ((GOOD * 255).astype(np.uint8), 0, 0, "are uint8, expected float32"),
        (GOOD.astype(object), 0, 0, "are object, expected float32"),
        (with_value(np.nan), 0, 0, r"probabilities\[1, 2, 3\] is nan, 1 of 1 non-finite"),
        (with_value(np.inf), 0, 0, r"probabilities\[1, 2, 3\] is inf"),
        (with_value(-np.inf), 0, 0, r"probabilities\[1, 2, 3\] is -inf"),
        (np.array([[[0.25, 0.8, -0.05]]], np.float32), 0, 0, r"probabilities\[0, 0, 2\] is -0.05, expected prob"),
        (with_value(0.3), 0, 0, r"probabilities\[1, 2\] sums to 1.05, expected 1"),
        (np.log(GOOD), 0, 0, "apply softmax"),
        (np.zeros((1, 3, 4), np.float32), 0, 0, r"probabilities\[0, 0\] sums to 0"),
        (GOOD, 4, 0, "blank is 4, expected 0 to 3"),
        (GOOD, -1, 0, "blank is -1, expected 0 to 3"),
        (GOOD, 0, 3, "skip_steps is 3, expected 0 to 2"),
        (GOOD, 0, -1, "skip_steps is -1, expected 0 to 2"),
        (np.zeros((1, 0, 4), np.float32), 0, 0, "skip_steps is 0"),
        (np.ones((1, 3, 1), np.float32), 0, 0, "1 classes, expected the blank and at least one symbol"),
    ],
)
def test_bad_input_is_refused_by_every_decoder(
    probabilities: npt.NDArray[Any], blank: int, skip_steps: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ctc.greedy(probabilities, blank, skip_steps)
    with pytest.raises(InputError, match=message):
        ctc.beam(probabilities, blank, skip_steps)
    with pytest.raises(InputError, match=message):
        ctc.posterior(probabilities, [()] * len(probabilities), blank, skip_steps)
    with pytest.raises(InputError, match=message):
        ctc.best_path(probabilities, blank, skip_steps)
    with pytest.raises(InputError, match=message):
        ctc.search(probabilities, blank, skip_steps)


@given(batches(), st.booleans())
def test_the_best_path_alone_has_the_same_labels_and_its_own_probability(
    batch: tuple[Floats, int, int], merge_repeated: bool
) -> None:
    probabilities, blank, skip_steps = batch
    readings = ctc.best_path(*batch, merge_repeated=merge_repeated)
    singles = [
        ctc.best_path(image[np.newaxis], blank, skip_steps, merge_repeated=merge_repeated)[0] for image in probabilities
    ]
    for image, scored, alone, full in zip(probabilities, readings, singles, ctc.greedy(*batch), strict=True):
        path = image[skip_steps:]
        assert scored == (alone.indices, pytest.approx(alone.log_probability))
        assert scored.log_probability == pytest.approx(np.log(path.max(axis=-1), dtype=np.float64).sum(), abs=1e-5)
        assert scored.log_probability <= np.log(full.confidence) + 1e-5
        if merge_repeated:
            assert scored.indices == full.indices
        else:
            assert scored.indices == tuple(index for index in path.argmax(axis=-1).tolist() if index != blank)


@pytest.mark.parametrize("merge_repeated", [True, False])
def test_the_best_path_is_tensorflows(merge_repeated: bool) -> None:
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(1)
    logs = np.log(softmax(rng.normal(size=(64, 20, 5)) * 2))
    lengths = rng.integers(1, 21, 64)
    (sparse,), scores = tf.nn.ctc_greedy_decoder(
        logs.transpose(1, 0, 2), lengths.astype(np.int32), merge_repeated=merge_repeated
    )
    dense = tf.sparse.to_dense(sparse, default_value=-1).numpy()
    readings = ctc.best_path(logs, 4, form="log-probabilities", lengths=lengths, merge_repeated=merge_repeated)
    assert [reading.indices for reading in readings] == [tuple(row[row >= 0].tolist()) for row in dense]
    np.testing.assert_allclose([reading.log_probability for reading in readings], -scores.numpy()[:, 0], atol=1e-4)


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 3.0])
def test_many_images_have_the_best_paths_of_each(sharpness: float) -> None:
    rows = softmax(np.random.default_rng(2).normal(size=(40, 12, 4)) * sharpness)
    rows[:4] = [[[0.5, 0.0, 0.5, 0.0]], [[0.0, 0.0, 0.5, 0.5]], [[0.5, 0.0, 0.51, 0.0]], [[0.51, 0.0, 0.5, 0.0]]]
    readings = ctc.best_path(rows, 2)
    for row, reading in zip(rows, readings, strict=True):
        (alone,) = ctc.best_path(row[np.newaxis], 2)
        assert reading == (alone.indices, pytest.approx(alone.log_probability))
    assert [reading.indices for reading in readings] == [reading.indices for reading in ctc.greedy(rows, 2)]
