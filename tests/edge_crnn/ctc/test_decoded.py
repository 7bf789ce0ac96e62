"""Tests of the input that all decoders share: the forms of scores, and lengths."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge_crnn import ctc
from edge_crnn.errors import InputError

DECODERS: dict[str, Callable[..., Any]] = {
    "greedy": ctc.greedy,
    "best_path": ctc.best_path,
    "beam": lambda *args, **options: ctc.beam(*args, width=4, n_best=3, **options),
    "tf_beam": lambda *args, **options: ctc.tf_beam(*args, width=4, n_best=3, **options),
    "search": lambda *args, **options: ctc.search(*args, width=4, n_best=3, **options),
}
each_decoder = pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)


def rows_of(seed: int, images: int = 4, steps: int = 9, classes: int = 5) -> npt.NDArray[np.float64]:
    powers = np.exp(np.random.default_rng(seed).normal(size=(images, steps, classes)) * 2)
    rows: npt.NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return rows


def labels(readings: Any) -> Any:
    """Return the labels alone, since the numbers differ in their last digits between the forms."""
    return [[reading.indices for reading in (image if isinstance(image, list) else [image])] for image in readings]


def close(reading: Any) -> Any:
    """Return a value that equals the result up to rounding, since arrays and plain numbers sum in different orders."""
    return (
        reading._replace(log_probability=pytest.approx(reading.log_probability))
        if hasattr(reading, "_replace")
        else reading
    )


@each_decoder
@pytest.mark.parametrize("seed", range(5))
def test_every_form_of_the_same_scores_reads_the_same(decode: Callable[..., Any], seed: int) -> None:
    rows = rows_of(seed)
    shifts = np.random.default_rng(seed).normal(size=(4, 9, 1)) * 100
    expected = labels(decode(rows, 2, 1))
    assert labels(decode(np.log(rows), 2, 1, form="log-probabilities")) == expected
    assert labels(decode(np.log(rows) + shifts, 2, 1, form="logits")) == expected


def test_every_form_has_the_same_posterior() -> None:
    rows = rows_of(3)
    sequences = [(0,), (1, 3), (), (0, 0, 4)]
    expected = ctc.posterior(rows, sequences, 2)
    for form, scores in (("log-probabilities", np.log(rows)), ("logits", np.log(rows) - 1000)):
        np.testing.assert_allclose(ctc.posterior(scores, sequences, 2, form=form), expected, rtol=1e-10)


def test_a_probability_of_0_has_a_logarithm() -> None:
    scores = np.array([[[0.0, -np.inf], [-np.inf, 0.0]]])
    assert ctc.greedy(scores, 1, form="log-probabilities") == [ctc.Decoded((0,), 1.0, (1.0,), ((0, 1),))]


@each_decoder
@pytest.mark.parametrize("form", ["probabilities", "log-probabilities", "logits"])
def test_steps_after_the_length_of_an_image_are_ignored(decode: Callable[..., Any], form: ctc.Form) -> None:
    lengths = [9, 3, 6, 4]
    rows = rows_of(7)
    scores = rows if form == "probabilities" else np.log(rows)
    alone = [close(decode(scores[i : i + 1, :length], 2, 1, form=form)[0]) for i, length in enumerate(lengths)]
    for image, length in enumerate(lengths):
        scores[image, length:] = [0.0, np.nan, np.inf, -np.inf, 7.0]
    assert decode(scores, 2, 1, form=form, lengths=lengths) == alone
    assert decode(scores, 2, 1, form=form, lengths=np.array(lengths, np.uint8)) == alone


def test_posteriors_stop_at_the_length_as_well() -> None:
    rows = rows_of(11)
    expected = [ctc.posterior(rows[image : image + 1, :4], [(0, 1)], 2)[0] for image in range(4)]
    assert ctc.posterior(rows, [(0, 1)] * 4, 2, lengths=[4] * 4).tolist() == expected


@each_decoder
@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([3], r"lengths are int64 of shape \(1,\), expected 2 integers"),
        ([[3, 3]], r"of shape \(1, 2\)"),
        ([3.0, 3.0], "lengths are float64"),
        ([3, 1], r"lengths\[1\] is 1, expected 2 to 3"),
        ([4, 3], r"lengths\[0\] is 4, expected 2 to 3"),
        ([3, -1], r"lengths\[1\] is -1"),
    ],
)
def test_bad_lengths_are_refused(decode: Callable[..., Any], lengths: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode(np.full((2, 3, 4), 0.25), 0, 1, lengths=lengths)


@each_decoder
@pytest.mark.parametrize(
    ("scores", "form", "message"),
    [
        (np.zeros((1, 2, 4)), "log-probabilities", r"log-probabilities\[0, 0\] has exponentials that sum to 4"),
        (np.full((1, 2, 4), 1e9), "log-probabilities", "sum to inf, expected 1: apply softmax to logits first"),
        (np.full((1, 2, 4), np.nan), "log-probabilities", r"log-probabilities\[0, 0, 0\] is nan, 1 of 8 non-finite"),
        (np.full((1, 2, 4), np.inf), "log-probabilities", "is inf"),
        (np.full((1, 2, 4), -np.inf), "log-probabilities", "sum to 0"),
        (np.full((1, 2, 4), np.nan), "logits", r"logits\[0, 0, 0\] is nan"),
        (np.full((1, 2, 4), np.inf), "logits", "is inf"),
        (np.full((1, 2, 4), -np.inf), "logits", "is -inf"),
        (np.full((1, 2, 4), 0.25), "scores", "form is 'scores', expected one of probabilities, log-prob"),
        (np.zeros((2, 4)), "logits", r"logits have shape \(2, 4\), expected \(N, T, C\)"),
    ],
)
def test_scores_of_another_form_are_refused(
    decode: Callable[..., Any], scores: npt.NDArray[Any], form: ctc.Form, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        decode(scores, 0, form=form)


@given(
    arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        arrays.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=4),
        elements={"allow_nan": True, "allow_infinity": True},
    ),
    st.sampled_from(["probabilities", "log-probabilities", "logits"]),
    st.integers(-1, 4),
    st.integers(-1, 4),
)
def test_any_array_is_read_or_refused(scores: npt.NDArray[Any], form: ctc.Form, blank: int, skip_steps: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for decode in DECODERS.values():
            try:
                readings = decode(scores, blank, skip_steps, form=form)
            except InputError:
                continue
            assert len(readings) == len(scores)
