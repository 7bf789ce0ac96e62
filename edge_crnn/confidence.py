"""Confidences of readings by a calibrated model: applies what `calibration` fits.

Nothing here changes the text of greedy decoding, because a temperature keeps the order of the classes in every time
step.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .ctc.decoded import checked
from .errors import InputError, ModelSpecError
from .model.spec import Confidence, DecoderSpec, ModelSpec

SHOWN = 0.95
"""Confidence of the one-sided bound by which a threshold is chosen."""


def temper(probabilities: npt.NDArray[np.floating], blank: int, temperature: float) -> npt.NDArray[np.floating]:
    """Divide log-probabilities by a temperature and normalise them again (Guo et al. 2017, section 4.2).

    Args:
        probabilities: (N, T, C) float, the output of a network.
        blank: class index of the blank.
        temperature: above 1 for less sure, below 1 for surer; 1 returns `probabilities` unchanged.

    Returns:
        (N, T, C) float64.

    Raises:
        InputError: the numbers are not probabilities.
    """
    if temperature == 1.0:
        return probabilities
    powers = checked(probabilities, blank) ** (1.0 / temperature)
    tempered: npt.NDArray[np.floating] = powers / powers.sum(axis=-1, keepdims=True)
    return tempered


def likelihood(posterior: float, isotonic: tuple[tuple[float, float], ...]) -> float:
    """Return the probability that a reading of this posterior is correct, from the points of the isotonic fit.

    The probability is interpolated linearly between points, and constant before the first and after the last. Without
    points it is the posterior.
    """
    if not isotonic:
        return posterior
    place = bisect.bisect_right(isotonic, (posterior, math.inf))
    if place == 0:
        return isotonic[0][1]
    if place == len(isotonic):
        return isotonic[-1][1]
    (left, low), (right, high) = isotonic[place - 1 : place + 1]
    return min(
        low + (high - low) * ((posterior - left) / (right - left)), high
    )  # rounding must not exceed the upper point


def threshold(spec: ModelSpec, precision: float, decoder: DecoderSpec) -> float:
    """Return the lowest confidence at which accepted readings reach a precision.

    Of the points of the accuracy-coverage curve whose lower bound (`CoveragePoint.shown`) reaches the precision, it is
    the one that accepts the most readings.

    Args:
        spec: the spec of a calibrated artifact.
        precision: share, from 0 to 1, of the accepted readings that must be correct.
        decoder: the decoder in use, which must be the calibrated one except for its threshold.

    Raises:
        ModelSpecError: the artifact is not calibrated.
        InputError: no point of the curve shows that precision, or the curve belongs to another decoder.
    """
    confidence = spec.confidence
    if confidence is None:
        raise ModelSpecError(
            f"{spec.name}: its confidences are not calibrated, so no threshold is known for a precision of"
            f" {precision:g}; run edge-crnn calibrate on labelled images, or set a threshold (--min-confidence)"
        )
    if replace(decoder, reject_below=0.0) != replace(spec.decoder, reject_below=0.0):
        raise InputError(
            f"{spec.name}: it was calibrated for its own decoder, {spec.decoder.headline}, found {decoder.headline};"
            " leave out what changes the decoder, or calibrate with the same options"
        )
    sufficient = [point for point in confidence.coverage if point.shown >= precision]
    if not sufficient:
        raise InputError(f"{spec.name}: {_why_not(confidence, precision)}")
    return max(sufficient, key=lambda point: point.accepted).threshold


def fewest(precision: float) -> int:
    """Return the number of readings that show a precision below 1 if all of them are correct."""
    return math.ceil(math.log(1 - SHOWN) / math.log(precision)) if precision > 0 else 1


def _why_not(confidence: Confidence, precision: float) -> str:
    if precision >= 1:
        return f"no number of images shows a precision of {precision:g}; ask for less"
    best = math.floor(1e4 * max((point.shown for point in confidence.coverage), default=0.0)) / 1e4
    less = f"ask for at most {best:g}" if best else "none is shown"
    if confidence.images < (need := fewest(precision)):
        return (
            f"it was calibrated with {confidence.images:,} images, and to show a precision of {precision:g}, it needs"
            f" {need:,} readings without an error; calibrate with more images, or {less}"
        )
    return f"no threshold shows a precision of {precision:g}; calibrate with more images, or {less}"
