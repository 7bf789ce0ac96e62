"""Calibration of an artifact's confidences on labelled images, and on negatives: images without a correct text.

A temperature is fitted to the network by maximum likelihood of the true texts, which uses the probabilities of every
image and not only its correct or wrong reading. If that is not enough, isotonic regression maps the posterior of the
text that was read to the share of such texts that are correct. The accuracy-coverage curve then shows the effect of a
threshold on the mixture of images and negatives: an accepted negative is wrong.

Readings are ranked by their posterior. None of the other measures that `benchmarks.confidence` compares, such as the
margin to the second text, the least sure character or the entropy, separates correct from wrong better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from . import ctc
from .backends import Backend, Probabilities
from .binomial import lower_bound
from .confidence import SHOWN
from .dataset import chunked
from .errors import DatasetError
from .model.spec import Confidence, CoveragePoint, ModelSpec, ReliabilityBin
from .reader import Reader
from .reading import Reading

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

BINS = 20
"""Number of bins of equal mass, for the calibration error and the reliability curve."""

FEWEST = 100
"""Smallest number of images to calibrate with."""

_POINTS = 100  # points of the accuracy-coverage curve
_CHUNK = 256
_TEMPERATURES = (0.2, 5.0)
_PRECISE = 5e-3  # precision of the temperature's logarithm
_TINY = 1e-300


def calibrate(
    spec: ModelSpec,
    engine: Backend,
    probabilities: Probabilities,
    truths: Sequence[str],
    sha256: str,
    *,
    negatives: Probabilities | None = None,
    isotonic: bool = False,
) -> ModelSpec:
    """Calibrate the confidences of an artifact for its own decoder.

    Args:
        spec: the spec of the artifact.
        engine: an open engine of the artifact, which does not run.
        probabilities: (N, T, C) float32, the engine's output for the images.
        truths: the labels of the N images.
        sha256: the hash of all images; see `dataset.content_hash`.
        negatives: (M, T, C) float32, the engine's output for images without a correct text; None: there are none.
            They count as often as images, so M / (N + M) is their share of what the model is to read.
        isotonic: add isotonic regression after the temperature.

    Returns:
        The spec with `confidence` filled in.

    Raises:
        DatasetError: there are fewer than `FEWEST` labelled images, or all or none of them are read correctly.
    """
    if len(truths) < FEWEST:
        raise DatasetError(f"{len(truths)} images to calibrate with, expected at least {FEWEST}: add labelled images")
    raw = replace(spec, confidence=None, decoder=replace(spec.decoder, reject_below=0.0))
    everything = probabilities if negatives is None else np.concatenate([probabilities, negatives])
    before = decode(raw, engine, everything)
    texts = [*truths, *[""] * (len(everything) - len(truths))]
    right = np.array([reading.label == text for reading, text in zip(before, texts, strict=True)])
    labelled = right[: len(truths)]
    if labelled.all() or not labelled.any():
        raise DatasetError(
            f"all {len(truths)} images are read correctly, so no confidence can be matched with errors: add harder ones"
            if labelled.all()
            else f"none of {len(truths)} images is read correctly: check their labels and the model"
        )
    fitted = Confidence(
        images=len(truths),
        negatives=len(everything) - len(truths),
        right=0,
        sha256=sha256,
        # From labelled images alone: a network that never saw negatives gives an empty text no probability, so they
        # would only make it as unsure as possible.
        temperature=fit_temperature(probabilities, [*map(spec.alphabet.encode, truths)], spec.blank, spec.skip_steps),
        error_before=calibration_error(_confidences(before), right),
        error=0.0,
        reliability=(),
        coverage=(),
    )
    readings = decode(replace(raw, confidence=fitted), engine, everything)
    right = np.array([reading.label == text for reading, text in zip(readings, texts, strict=True)])
    if isotonic:
        fitted = replace(fitted, isotonic=fit_isotonic(_confidences(readings), right))
        readings = decode(replace(raw, confidence=fitted), engine, everything)
    confidences = _confidences(readings)
    allowed = np.array([reading.accepted for reading in readings])
    fitted = replace(
        fitted,
        right=int(right[: fitted.images].sum()),
        error=calibration_error(confidences, right),
        reliability=reliability(confidences, right),
        coverage=coverage(confidences, right, allowed, is_negative=np.arange(len(right)) >= fitted.images),
    )
    return replace(spec, confidence=fitted)


def decode(spec: ModelSpec, engine: Backend, probabilities: Probabilities) -> list[Reading]:
    """Decode (N, T, C) probabilities like a reader with this spec."""
    reader = Reader(spec, lambda: engine)
    return [reading for chunk in _chunks(len(probabilities)) for reading in reader.decode(probabilities[chunk])]


def fit_temperature(
    probabilities: Probabilities, labels: Sequence[Sequence[int]], blank: int, skip_steps: int
) -> float:
    """Find the temperature, from 0.2 to 5, with the largest sum of the true texts' log posteriors (Guo et al. 2017).

    Args:
        probabilities: (N, T, C) float, the output of the network.
        labels: N sequences of class indices.
        blank: class index of the blank.
        skip_steps: number of leading time steps that are not decoded.
    """
    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))

    def loss(logarithm: float) -> float:
        total = 0.0
        for chunk in _chunks(len(labels)):
            logits = logs[chunk] * np.float32(math.exp(-logarithm))
            posteriors = ctc.posterior(logits, labels[chunk], blank, skip_steps, form="logits")
            # A text that is impossible at every temperature adds the same number to all of them.
            total -= float(np.log(np.maximum(posteriors, _TINY)).sum())
        return total

    return math.exp(_least(loss, *map(math.log, _TEMPERATURES)))


def fit_isotonic(confidences: Floats, right: Flags) -> tuple[tuple[float, float], ...]:
    """Fit an isotonic regression of correct (1) and wrong (0) on (N,) confidences.

    It pools adjacent violators (Ayer et al. 1955). A wrong reading of confidence 1 and a correct reading of confidence
    0 are added, so that no reading is ever called certain.

    Returns:
        Points to interpolate between: the mean confidence of a pool and its share of correct readings.
    """
    order = np.argsort(confidences, kind="stable")
    values, starts = np.unique(np.concatenate([[0.0], confidences[order], [1.0]]), return_index=True)
    counts = np.diff([*starts, len(order) + 2]).astype(float)
    rights = np.add.reduceat(np.concatenate([[1.0], right[order], [0.0]]), starts)
    pools: list[tuple[float, float, float]] = []  # readings, correct ones, sum of confidences
    for pool in zip(counts.tolist(), rights.tolist(), (counts * values).tolist(), strict=True):
        pools.append(pool)
        while len(pools) > 1 and pools[-2][1] * pools[-1][0] >= pools[-1][1] * pools[-2][0]:
            last = pools.pop()
            before = pools.pop()
            pools.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    return tuple((total / count, good / count) for count, good, total in pools)


def calibration_error(confidences: Floats, right: Flags, bins: int = BINS) -> float:
    """Return the expected calibration error (Naeini et al. 2015) of (N,) confidences, in bins of equal mass."""
    return sum(
        part.readings * abs(part.confidence - part.right) for part in reliability(confidences, right, bins)
    ) / len(right)


def reliability(confidences: Floats, right: Flags, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Return the mean confidence and the share of correct readings in bins of equal mass, the least sure first."""
    order = np.argsort(confidences, kind="stable")
    return tuple(
        ReliabilityBin(len(part), float(confidences[part].mean()), float(right[part].mean()))
        for part in np.array_split(order, min(bins, len(order)))
    )


def coverage(
    confidences: Floats,
    right: Flags,
    allowed: Flags | None = None,
    points: int = _POINTS,
    is_negative: Flags | None = None,
) -> tuple[CoveragePoint, ...]:
    """Return the accuracy-coverage curve: thresholds that accept more and more of (N,) readings, in equal steps.

    A reading for which `allowed` is False is never accepted, whatever its confidence. Readings of negatives, for which
    `is_negative` is True, are counted apart as well.
    """
    counted = np.zeros(len(right), bool) if is_negative is None else is_negative
    kept = np.flatnonzero(allowed) if allowed is not None else np.arange(len(right))
    order = kept[np.argsort(-confidences[kept], kind="stable")]
    ranked = confidences[order]
    sizes = np.unique(np.ceil(np.arange(1, points + 1) * len(order) / points).astype(int))
    curve = {}
    for size in sizes[sizes > 0]:
        threshold = float(ranked[size - 1])
        accepted = int(np.searchsorted(-ranked, -threshold, side="right"))  # never splits equal confidences
        good = int(right[order[:accepted]].sum())
        bound = lower_bound(good, accepted, SHOWN)
        curve[threshold] = CoveragePoint(threshold, accepted, good, bound, int(counted[order[:accepted]].sum()))
    return tuple(curve.values())


def _confidences(readings: Sequence[Reading]) -> Floats:
    return np.array([reading.confidence for reading in readings])


def _chunks(count: int) -> list[slice]:
    return [slice(part[0], part[-1] + 1) for part in chunked(range(count), _CHUNK)]


def _least(function: Callable[[float], float], low: float, high: float) -> float:
    """Find the minimum of a unimodal function by golden-section search (Kiefer 1953)."""
    golden = (math.sqrt(5) - 1) / 2
    left = high - golden * (high - low)
    right = low + golden * (high - low)
    at_left = function(left)
    at_right = function(right)
    while high - low > _PRECISE:
        if at_left <= at_right:
            high = right
            right = left
            at_right = at_left
            left = high - golden * (high - low)
            at_left = function(left)
        else:
            low = left
            left = right
            at_left = at_right
            right = low + golden * (high - low)
            at_right = function(right)
    return (low + high) / 2
