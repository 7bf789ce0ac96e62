from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn import ctc
from edge_crnn.binomial import lower_bound
from edge_crnn.confidence import fewest, likelihood, temper, threshold
from edge_crnn.errors import InputError, ModelSpecError
from edge_crnn.model.spec import Confidence, CoveragePoint, DecoderSpec, InputSpec, ModelSpec, OutputSpec

CURVE = (
    CoveragePoint(0.999, 3000, 3000, 0.9990),
    CoveragePoint(0.99, 6000, 5990, 0.9972),
    CoveragePoint(0.9, 8000, 7992, 0.9982),  # an unlucky threshold before it must not end the search
    CoveragePoint(0.5, 9000, 8900, 0.9868),
)
SPEC = ModelSpec(
    "fake",
    tuple("abc"),
    3,
    InputSpec(2, 2, "HWC", 1.0, 0.0),
    OutputSpec(4, 4),
    confidence=Confidence(10_000, 9_500, "aa", 1.2, 0.02, 0.01, (), CURVE),
)


def rows(seed: int, images: int = 3, classes: int = 4, sharpness: float = 4.0) -> np.ndarray:
    powers = np.exp(sharpness * np.random.default_rng(seed).normal(size=(images, 6, classes)))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_temperature_1_changes_nothing() -> None:
    probabilities = rows(0)
    assert temper(probabilities, 3, 1.0) is probabilities


@settings(deadline=None)
@given(st.integers(0, 99), st.floats(0.2, 5))
def test_a_temperature_divides_log_probabilities(seed: int, temperature: float) -> None:
    tempered = temper(rows(seed), 3, temperature)
    logits = np.log(rows(seed).astype(np.float64)) / temperature
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    assert tempered == pytest.approx(expected, rel=1e-6)
    assert np.array_equal(tempered.argmax(axis=-1), rows(seed).argmax(axis=-1))


@settings(deadline=None)
@given(st.integers(0, 99), st.floats(0.3, 3))
def test_what_is_read_greedily_stays_and_is_less_sure_the_hotter(seed: int, temperature: float) -> None:
    before, hotter = (ctc.greedy(temper(rows(seed), 3, degree), 3) for degree in (temperature, 1.2 * temperature))
    for first, second in zip(before, hotter, strict=True):
        assert (first.indices, first.spans) == (second.indices, second.spans)
        assert all(cool >= hot for cool, hot in zip(first.confidences, second.confidences, strict=True))


@given(st.lists(st.integers(0, 19), min_size=1, max_size=40), st.floats(0.2, 5))
@settings(deadline=None, max_examples=20)
def test_each_image_of_a_batch_is_tempered_as_alone(order: list[int], temperature: float) -> None:
    images = rows(7, images=20, classes=42)
    batch = temper(images[order], 41, temperature)
    for place, image in enumerate(order):
        assert np.array_equal(batch[place], temper(images[image : image + 1], 41, temperature)[0])


@pytest.mark.parametrize("wrong", [np.nan, -0.5, 7.0])
def test_what_is_no_probability_is_not_made_one(wrong: float) -> None:
    images = rows(0)
    images[1, 2, 0] = wrong
    with pytest.raises(InputError):
        temper(images, 3, 2.0)


POINTS = ((0.2, 0.1), (0.5, 0.1), (0.6, 0.7), (0.9, 0.95))


@pytest.mark.parametrize(
    ("posterior", "expected"),
    [(0, 0.1), (0.2, 0.1), (0.3, 0.1), (0.5, 0.1), (0.55, 0.4), (0.6, 0.7), (0.75, 0.825), (0.9, 0.95), (1, 0.95)],
)
def test_between_its_points_the_fit_is_a_line(posterior: float, expected: float) -> None:
    assert likelihood(posterior, POINTS) == pytest.approx(expected)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=9),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_the_fit_is_monotone_and_within_its_points(
    points: list[tuple[float, float]], first: float, second: float
) -> None:
    posteriors = sorted({point[0] for point in points})
    chances = sorted(point[1] for point in points)[: len(posteriors)]
    fit = tuple(zip(posteriors, chances, strict=True))
    low, high = (likelihood(posterior, fit) for posterior in sorted((first, second)))
    assert low <= high
    if fit:
        assert chances[0] <= low
        assert high <= chances[-1]
    else:
        assert (low, high) == tuple(sorted((first, second)))


@pytest.mark.parametrize(
    ("precision", "expected"), [(0.0, 0.5), (0.98, 0.5), (0.997, 0.9), (0.9982, 0.9), (0.999, 0.999)]
)
def test_a_threshold_accepts_as_many_as_the_target_allows(precision: float, expected: float) -> None:
    assert threshold(SPEC, precision, SPEC.decoder) == expected
    assert threshold(SPEC, precision, replace(SPEC.decoder, reject_below=0.3)) == expected


def test_what_a_threshold_cannot_give() -> None:
    with pytest.raises(ModelSpecError, match=r"fake: its confidences are not calibrated.*edge-crnn calibrate"):
        threshold(replace(SPEC, confidence=None), 0.9, SPEC.decoder)
    with pytest.raises(InputError, match=r"no threshold shows a precision of 0.9995; .* at most 0.999$"):
        threshold(SPEC, 0.9995, SPEC.decoder)
    with pytest.raises(
        InputError, match=r"with 10,000 images, and to show a precision of 0.9999, it needs 29,956 readings"
    ):
        threshold(SPEC, 0.9999, SPEC.decoder)
    with pytest.raises(InputError, match="no number of images shows a precision of 1; ask for less"):
        threshold(SPEC, 1.0, SPEC.decoder)
    with pytest.raises(InputError, match=r"its own decoder, greedy, grammar none, found beam of width 10, grammar a.;"):
        threshold(SPEC, 0.9, DecoderSpec("beam", grammar="a."))


@settings(deadline=None)
@given(st.floats(0.1, 0.9999))
def test_so_many_without_an_error_show_it_and_one_less_does_not(precision: float) -> None:
    need = fewest(precision)
    assert lower_bound(need, need) >= precision - 1e-12
    assert need == 1 or lower_bound(need - 1, need - 1) < precision + 1e-12
