from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.backends import FakeBackend
from edge_crnn.binomial import lower_bound
from edge_crnn.calibration import (
    calibrate,
    calibration_error,
    coverage,
    decode,
    fit_isotonic,
    fit_temperature,
    reliability,
)
from edge_crnn.confidence import likelihood, temper, threshold
from edge_crnn.errors import DatasetError
from edge_crnn.model.spec import Confidence, CoveragePoint, DecoderSpec, InputSpec, ModelSpec, OutputSpec
from edge_crnn.reading import Reading

SPEC = ModelSpec("fake", tuple("abc"), 3, InputSpec(2, 2, "HWC", 1.0, 0.0), OutputSpec(7, 4), skip_steps=1)

scored = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.8, 1.0]) | st.floats(0, 1), st.booleans()), min_size=1
)


def arrays(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])


def world(temperature: float, images: int = 1500, seed: int = 3) -> tuple[np.ndarray, list[str]]:
    """Return the rows of a network that is too sure by `temperature`, and true texts drawn from the tempered rows."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(images, 7, 4)) * 12
    powers = np.exp(logits)
    rows = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    honest = np.cumsum(temper(rows, 3, temperature), axis=-1)
    paths = (random.random((images, 7, 1)) > honest).sum(axis=-1).clip(0, 3)
    return rows, ["".join("abc"[k] for k, _ in groupby(path) if k != 3) for path in paths[:, 1:].tolist()]


def replace_negatives(point: CoveragePoint) -> CoveragePoint:
    """Return the point as a calibration without negatives counts it."""
    return replace(point, negatives=0)


def fake(rows: np.ndarray) -> FakeBackend:
    return FakeBackend(rows[:1], SPEC.input.shape)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
def test_the_temperature_of_a_network_is_found(temperature: float) -> None:
    rows, truths = world(temperature)
    labels = [SPEC.alphabet.encode(truth) for truth in truths]
    assert fit_temperature(rows, labels, 3, 1) == pytest.approx(temperature, rel=0.1)


def test_impossible_texts_do_not_move_it() -> None:
    rows, truths = world(1.7)
    labels = [SPEC.alphabet.encode(truth) for truth in truths]
    temperature = fit_temperature(rows, labels, 3, 1)
    assert fit_temperature(np.concatenate([rows, rows[:9]]), [*labels, *[(0,) * 7] * 9], 3, 1) == temperature


def slow_isotonic(right: list[float]) -> list[float]:
    """Return the isotonic regression of values in score order, by its minimax formula (Barlow et al. 1972)."""
    n = len(right)
    return [max(min(sum(right[a : b + 1]) / (b + 1 - a) for b in range(i, n)) for a in range(i + 1)) for i in range(n)]


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=25), st.integers(0, 999))
def test_pooling_is_isotonic_regression(right: list[bool], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(right))
    confidences = (np.arange(len(right)) + 1) / (len(right) + 1)
    points = fit_isotonic(confidences[order], np.array(right)[order])
    expected = slow_isotonic([1.0, *right, 0.0])
    assert [chance for _, chance in points] == pytest.approx(
        [chance for chance, _ in groupby(expected, lambda x: round(x, 9))]
    )
    spots = [0.0, *confidences, 1.0]
    pools = [[spots[i] for i, _ in group] for _, group in groupby(enumerate(expected), lambda pair: round(pair[1], 9))]
    assert [posterior for posterior, _ in points] == pytest.approx([sum(pool) / len(pool) for pool in pools])


@settings(deadline=None)
@given(scored)
def test_isotonic_is_monotone_and_never_certain(pairs: list[tuple[float, bool]]) -> None:
    points = fit_isotonic(*arrays(pairs))
    posteriors, chances = zip(*points, strict=True)
    assert list(posteriors) == sorted(set(posteriors))
    assert list(chances) == sorted(set(chances))
    assert all(0 < chance < 1 for chance in chances)
    assert all(0 <= posterior <= 1 for posterior in posteriors)
    mapped = [likelihood(confidence, points) for confidence in np.linspace(0, 1, 50)]
    assert mapped == sorted(mapped)


def test_calibration_error_of_honest_and_of_shifted_confidences() -> None:
    random = np.random.default_rng(1)
    chances = random.random(40_000)
    right = random.random(40_000) < chances
    assert calibration_error(chances, right) < 0.01
    assert calibration_error(np.minimum(chances + 0.1, 1), right) > 0.08
    assert calibration_error(np.ones(4), np.array([True, True, True, False])) == pytest.approx(0.25)


def test_bins_are_of_equal_mass() -> None:
    confidences = np.array([0.9, 0.1, 0.8, 0.2, 0.99])
    bins = reliability(confidences, np.array([True, False, False, True, True]), bins=2)
    assert [bin_.readings for bin_ in bins] == [3, 2]
    assert bins[0].confidence == pytest.approx((0.1 + 0.2 + 0.8) / 3)
    assert bins[0].right == pytest.approx(1 / 3)
    assert (bins[1].confidence, bins[1].right) == (pytest.approx(0.945), 1.0)
    assert sum(bin_.readings for bin_ in reliability(confidences, np.ones(5, bool))) == 5


@settings(deadline=None)
@given(scored, st.integers(1, 30))
def test_the_curve_counts_what_its_thresholds_accept(pairs: list[tuple[float, bool]], points: int) -> None:
    confidences, right = arrays(pairs)
    curve = coverage(confidences, right, points=points)
    assert 1 <= len(curve) <= points
    assert curve[-1].accepted == len(right)
    assert [point.accepted for point in curve] == sorted({point.accepted for point in curve})
    for point in curve:
        accepted = confidences >= point.threshold
        assert point.accepted == accepted.sum()
        assert point.right == right[accepted].sum()
        assert point.shown == lower_bound(point.right, point.accepted) <= point.right / point.accepted


@settings(deadline=None)
@given(scored, st.data())
def test_the_curve_counts_negatives_apart(pairs: list[tuple[float, bool]], data: st.DataObject) -> None:
    confidences, right = arrays(pairs)
    flags = st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs))
    is_negative = np.array(data.draw(flags))
    right &= ~is_negative
    curve = coverage(confidences, right, is_negative=is_negative)
    assert [replace_negatives(point) for point in curve] == list(coverage(confidences, right))
    for point in curve:
        assert point.negatives == (is_negative & (confidences >= point.threshold)).sum()


@settings(deadline=None)
@given(scored, st.data())
def test_a_text_outside_the_grammar_is_never_accepted(pairs: list[tuple[float, bool]], data: st.DataObject) -> None:
    confidences, right = arrays(pairs)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs))))
    assert coverage(confidences, right, allowed) == coverage(confidences[allowed], right[allowed])


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, list[str]]:
    return world(1.7, images=2000)


@pytest.mark.thorough
@pytest.mark.parametrize("decoder", [DecoderSpec(), DecoderSpec("beam", beam_width=4), DecoderSpec(grammar="[ab]+")])
@pytest.mark.parametrize("isotonic", [False, True])
def test_confidences_become_true_and_thresholds_hold(
    drawn: tuple[np.ndarray, list[str]], decoder: DecoderSpec, isotonic: bool
) -> None:
    rows, truths = drawn
    spec = calibrate(replace(SPEC, decoder=decoder), fake(rows), rows, truths, "ab" * 32, isotonic=isotonic)
    assert spec.confidence is not None
    assert replace(spec, confidence=None) == replace(SPEC, decoder=decoder)
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert (spec.confidence.images, spec.confidence.sha256) == (2000, "ab" * 32)
    assert bool(spec.confidence.isotonic) is isotonic
    assert spec.confidence.error < 0.05 < 0.1 < spec.confidence.error_before

    readings = decode(spec, fake(rows), rows)
    confidences = np.array([reading.confidence for reading in readings])
    right = np.array([reading.label == truth for reading, truth in zip(readings, truths, strict=True)])
    assert spec.confidence.right == right.sum()
    assert spec.confidence.error == calibration_error(confidences, right)
    for precision in (0.6, 0.7, 0.8):
        limit = threshold(spec, precision, spec.decoder)
        chosen = replace(spec, decoder=replace(spec.decoder, reject_below=limit))
        accepted = np.array([reading.accepted for reading in decode(chosen, fake(rows), rows)])
        assert lower_bound(int(right[accepted].sum()), int(accepted.sum())) >= precision

    fresh, answers = world(1.7, images=2000, seed=4)
    readings_again = decode(spec, fake(rows), fresh)
    right_again = np.array([reading.label == truth for reading, truth in zip(readings_again, answers, strict=True)])
    assert calibration_error(np.array([reading.confidence for reading in readings_again]), right_again, bins=5) < 0.04


@pytest.mark.thorough
def test_an_accepted_negative_is_wrong(drawn: tuple[np.ndarray, list[str]]) -> None:
    rows, truths = drawn
    negatives, _ = world(1.7, images=700, seed=5)
    spec = calibrate(SPEC, fake(rows), rows, truths, "x", negatives=negatives)
    plain = calibrate(SPEC, fake(rows), rows, truths, "x")
    assert spec.confidence is not None
    assert plain.confidence is not None
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert spec.confidence.temperature == plain.confidence.temperature
    assert (spec.confidence.images, spec.confidence.negatives) == (2000, 700)
    assert spec.confidence.right == plain.confidence.right
    mixture = np.concatenate([rows, negatives])
    texts = [*truths, *[""] * 700]
    for fitted, error in ((SPEC, spec.confidence.error_before), (spec, spec.confidence.error)):
        decoded = decode(fitted, fake(rows), mixture)
        right = np.array([reading.label == text for reading, text in zip(decoded, texts, strict=True)])
        assert error == calibration_error(np.array([reading.confidence for reading in decoded]), right)
    readings = decode(spec, fake(rows), rows)
    others = decode(spec, fake(rows), negatives)
    for point in spec.confidence.coverage[::7]:
        accepted = [r.label == truth for r, truth in zip(readings, truths, strict=True) if accepts(r, point)]
        assert point.negatives == sum(accepts(reading, point) for reading in others)
        assert (point.accepted, point.right) == (len(accepted) + point.negatives, sum(accepted))
        assert spec.confidence.coverage_of(point) == len(accepted) / 2000
    assert threshold(spec, 0.5, spec.decoder) > threshold(plain, 0.5, plain.decoder)


def accepts(reading: Reading, point: CoveragePoint) -> bool:
    """Return whether a threshold accepts a reading; a reading without a text is never accepted."""
    return reading.label != "" and reading.confidence >= point.threshold


@pytest.mark.parametrize("decoder", [DecoderSpec(), DecoderSpec("beam"), DecoderSpec("beam", grammar="[ab]*")])
def test_a_reading_without_a_text_is_never_accepted(decoder: DecoderSpec) -> None:
    rows = np.zeros((2, 7, 4), np.float32)
    rows[..., 3] = 1  # certain blanks
    rows[1, 4] = (1, 0, 0, 0)
    empty, text = decode(replace(SPEC, decoder=decoder), fake(rows), rows)
    assert (empty.label, empty.accepted) == ("", False)
    assert (text.label, text.accepted) == ("a", True)


def test_a_reading_keeps_its_threshold_on_the_default(drawn: tuple[np.ndarray, list[str]]) -> None:
    """An earlier threshold does not change the curve, and stays."""
    rows, truths = drawn
    plain = calibrate(SPEC, fake(rows), rows, truths, "x")
    strict = calibrate(replace(SPEC, decoder=DecoderSpec(reject_below=0.9)), fake(rows), rows, truths, "x")
    assert strict.confidence == plain.confidence
    assert strict.decoder.reject_below == 0.9
    assert calibrate(strict, fake(rows), rows, truths, "x") == strict  # calibrating again changes nothing


def test_at_temperature_1_nothing_changes(drawn: tuple[np.ndarray, list[str]]) -> None:
    rows, _ = drawn
    unchanged = replace(SPEC, confidence=Confidence(9, 9, "x", 1.0, 0.0, 0.0, (), ()))
    assert decode(unchanged, fake(rows), rows[:300]) == decode(SPEC, fake(rows), rows[:300])


def test_folders_that_show_nothing(drawn: tuple[np.ndarray, list[str]]) -> None:
    rows, truths = drawn
    with pytest.raises(DatasetError, match="99 images to calibrate with, expected at least 100: add"):
        calibrate(SPEC, fake(rows), rows[:99], truths[:99], "x")
    read = [reading.label for reading in decode(SPEC, fake(rows), rows)]
    with pytest.raises(DatasetError, match=r"all 2000 images are read correctly, .*: add harder ones"):
        calibrate(SPEC, fake(rows), rows, read, "x")
    with pytest.raises(DatasetError, match="none of 2000 images is read correctly: check their labels"):
        calibrate(SPEC, fake(rows), rows, ["ccc" if label != "ccc" else "a" for label in read], "x")
