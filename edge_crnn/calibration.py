"""Confidences that can be trusted: fitted on what an artifact says about labelled images.

A temperature is fitted to the network, so that the posteriors of all texts are those that the labels had: by maximum
likelihood of the true texts, which takes what every image says, not only whether it was read right. Where that is not
enough, isotonic regression turns the posterior of the text that was read into how often such a text is right. The
accuracy-coverage curve then tells what a threshold gives.

The posterior is what ranks: of the measures that `benchmarks.confidence` holds beside it, such as the margin to the
second text, the least sure character or the entropy, none tells right from wrong better.
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
"""Of equal mass, for the calibration error and the reliability curve."""

FEWEST = 100
"""Images to calibrate with."""

_POINTS = 100  # of the accuracy-coverage curve
_CHUNK = 256
_TEMPERATURES = (0.2, 5.0)
_PRECISE = 5e-3  # of the temperature's logarithm
_TINY = 1e-300


def calibrate(
    spec: ModelSpec,
    engine: Backend,
    probabilities: Probabilities,
    truths: Sequence[str],
    sha256: str,
    *,
    isotonic: bool = False,
) -> ModelSpec:
    """The spec with its confidences calibrated, for its own decoder.

    Args:
        spec: of the artifact.
        engine: open over it; nothing is run here.
        probabilities: (N, T, C) float32 that it gave for the images.
        truths: N labels of the images.
        sha256: of the images; see `dataset.content_hash`.
        isotonic: whether isotonic regression follows the temperature.

    Raises:
        DatasetError: there are fewer than `FEWEST` images, or all or none of them are read right.
    """
    if len(truths) < FEWEST:
        raise DatasetError(f"{len(truths)} images to calibrate with, expected at least {FEWEST}: add labelled images")
    raw = replace(spec, confidence=None, decoder=replace(spec.decoder, reject_below=0.0))
    before = decode(raw, engine, probabilities)
    right = np.array([each.label == truth for each, truth in zip(before, truths, strict=True)])
    if right.all() or not right.any():
        raise DatasetError(
            f"all {len(right)} images are read right, so that nothing tells how unsure is wrong: add harder images"
            if right.all()
            else f"none of {len(right)} images is read right: check their labels, or take the artifact that is for them"
        )
    fitted = Confidence(
        images=len(truths),
        right=0,
        sha256=sha256,
        temperature=fit_temperature(probabilities, [*map(spec.alphabet.encode, truths)], spec.blank, spec.skip_steps),
        error_before=calibration_error(_confidences(before), right),
        error=0.0,
        reliability=(),
        coverage=(),
    )
    readings = decode(replace(raw, confidence=fitted), engine, probabilities)
    right = np.array([each.label == truth for each, truth in zip(readings, truths, strict=True)])
    if isotonic:
        fitted = replace(fitted, isotonic=fit_isotonic(_confidences(readings), right))
        readings = decode(replace(raw, confidence=fitted), engine, probabilities)
    confidences, allowed = _confidences(readings), np.array([each.accepted for each in readings])
    fitted = replace(
        fitted,
        right=int(right.sum()),
        error=calibration_error(confidences, right),
        reliability=reliability(confidences, right),
        coverage=coverage(confidences, right, allowed),
    )
    return replace(spec, confidence=fitted)


def decode(spec: ModelSpec, engine: Backend, probabilities: Probabilities) -> list[Reading]:
    """What a reader with that spec makes of (N, T, C) probabilities."""
    reader = Reader(spec, lambda: engine)
    return [reading for chunk in _chunks(len(probabilities)) for reading in reader.decode(probabilities[chunk])]


def fit_temperature(
    probabilities: Probabilities, labels: Sequence[Sequence[int]], blank: int, skip_steps: int
) -> float:
    """The temperature, from 0.2 to 5, at which the true texts are most likely: the sum of their log posteriors.

    Args:
        probabilities: (N, T, C) float.
        labels: N sequences of class indices.
        blank: class index of the blank.
        skip_steps: leading time steps that are not decoded.
    """
    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))

    def loss(logarithm: float) -> float:
        total = 0.0
        for chunk in _chunks(len(labels)):
            logits = logs[chunk] * np.float32(math.exp(-logarithm))
            posteriors = ctc.posterior(logits, labels[chunk], blank, skip_steps, form="logits")
            # A text that is impossible at every temperature adds the same to all.
            total -= float(np.log(np.maximum(posteriors, _TINY)).sum())
        return total

    return math.exp(_least(loss, *map(math.log, _TEMPERATURES)))


def fit_isotonic(confidences: Floats, right: Flags) -> tuple[tuple[float, float], ...]:
    """Isotonic regression of right (1) and wrong (0) on (N,) confidences, as points to draw lines between.

    Pool adjacent violators (Ayer et al. 1955); a point is a pool's mean confidence and its share of right readings. One
    wrong reading of confidence 1 and one right one of confidence 0 are added, so that nothing is ever called certain.
    """
    order = np.argsort(confidences, kind="stable")
    values, starts = np.unique(np.concatenate([[0.0], confidences[order], [1.0]]), return_index=True)
    counts = np.diff([*starts, len(order) + 2]).astype(float)
    rights = np.add.reduceat(np.concatenate([[1.0], right[order], [0.0]]), starts)
    pools: list[tuple[float, float, float]] = []  # readings, right ones, sum of confidences
    for pool in zip(counts.tolist(), rights.tolist(), (counts * values).tolist(), strict=True):
        pools.append(pool)
        while len(pools) > 1 and pools[-2][1] * pools[-1][0] >= pools[-1][1] * pools[-2][0]:
            last, before = pools.pop(), pools.pop()
            pools.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    return tuple((total / count, good / count) for count, good, total in pools)


def calibration_error(confidences: Floats, right: Flags, bins: int = BINS) -> float:
    """Expected calibration error (Naeini et al. 2015) of (N,) confidences, in bins of equal mass."""
    return sum(
        each.readings * abs(each.confidence - each.right) for each in reliability(confidences, right, bins)
    ) / len(right)


def reliability(confidences: Floats, right: Flags, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Mean confidence and share of right readings in bins of equal mass, the least sure first."""
    order = np.argsort(confidences, kind="stable")
    return tuple(
        ReliabilityBin(len(part), float(confidences[part].mean()), float(right[part].mean()))
        for part in np.array_split(order, min(bins, len(order)))
    )


def coverage(
    confidences: Floats, right: Flags, allowed: Flags | None = None, points: int = _POINTS
) -> tuple[CoveragePoint, ...]:
    """The accuracy-coverage curve: thresholds that accept ever more of (N,) readings, in steps of equal size.

    Where `allowed` is False a reading is never accepted, whatever its confidence.
    """
    kept = np.flatnonzero(allowed) if allowed is not None else np.arange(len(right))
    order = kept[np.argsort(-confidences[kept], kind="stable")]
    ranked = confidences[order]
    sizes = np.unique(np.ceil(np.arange(1, points + 1) * len(order) / points).astype(int))
    found = {}
    for size in sizes[sizes > 0]:
        threshold = float(ranked[size - 1])
        accepted = int(np.searchsorted(-ranked, -threshold, side="right"))  # all of one confidence, or none
        good = int(right[order[:accepted]].sum())
        found[threshold] = CoveragePoint(threshold, accepted, good, lower_bound(good, accepted, SHOWN))
    return tuple(found.values())


def _confidences(readings: Sequence[Reading]) -> Floats:
    return np.array([each.confidence for each in readings])


def _chunks(count: int) -> list[slice]:
    return [slice(part[0], part[-1] + 1) for part in chunked(range(count), _CHUNK)]


def _least(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one valley is least, by golden sections (Kiefer 1953)."""
    golden = (math.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > _PRECISE:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = function(right)
    return (low + high) / 2
