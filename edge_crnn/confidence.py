"""How sure a reading is, once its model was calibrated: what `calibration` has fitted is applied here.

Nothing here changes what greedy decoding reads: a temperature keeps the order of the classes in every time step.
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
"""Confidence of the bound by which a threshold is chosen, one-sided."""


def temper(probabilities: npt.NDArray[np.floating], blank: int, temperature: float) -> npt.NDArray[np.floating]:
    """Log-probabilities divided by a temperature, and made probabilities again (Guo et al. 2017, section 4.2).

    Args:
        probabilities: (N, T, C) float, of a network.
        blank: class index of the blank.
        temperature: above 1 less sure, below 1 surer; 1 gives back what was given.

    Returns:
        (N, T, C) float64.

    Raises:
        InputError: they are no probabilities.
    """
    if temperature == 1.0:
        return probabilities
    powers = checked(probabilities, blank) ** (1.0 / temperature)
    tempered: npt.NDArray[np.floating] = powers / powers.sum(axis=-1, keepdims=True)
    return tempered


def likelihood(posterior: float, isotonic: tuple[tuple[float, float], ...]) -> float:
    """The probability that a reading of that posterior is right: on the line through the isotonic fit's points.

    Before the first point and after the last it is theirs; without points it is the posterior.
    """
    if not isotonic:
        return posterior
    place = bisect.bisect_right(isotonic, (posterior, math.inf))
    if place == 0:
        return isotonic[0][1]
    if place == len(isotonic):
        return isotonic[-1][1]
    (left, low), (right, high) = isotonic[place - 1 : place + 1]
    return min(low + (high - low) * ((posterior - left) / (right - left)), high)  # rounding must not pass it


def threshold(spec: ModelSpec, precision: float, decoder: DecoderSpec) -> float:
    """The confidence from which on a decoder's readings are accepted so that that share of them is right.

    Of the points of the accuracy-coverage curve, the one that accepts most among those whose precision is shown: its
    lower bound (`CoveragePoint.shown`) is at least the one asked for.

    Raises:
        ModelSpecError: the artifact is not calibrated.
        InputError: no point of the curve shows that precision, or it is another decoder's curve.
    """
    confidence = spec.confidence
    if confidence is None:
        raise ModelSpecError(
            f"{spec.name}: its confidences are not calibrated, so that no threshold is known for a precision of"
            f" {precision:g}; run edge-crnn calibrate on labelled images, or name a threshold (--min-confidence)"
        )
    if replace(decoder, reject_below=0.0) != replace(spec.decoder, reject_below=0.0):
        raise InputError(
            f"{spec.name}: it was calibrated for its own decoder, {spec.decoder.headline}, found {decoder.headline};"
            " leave out what changes the decoder, or calibrate with the same options"
        )
    reach = [each for each in confidence.coverage if each.shown >= precision]
    if not reach:
        raise InputError(f"{spec.name}: {_why_not(confidence, precision)}")
    return max(reach, key=lambda each: each.accepted).threshold


def fewest(precision: float) -> int:
    """Readings, all of them right, that show a precision below 1."""
    return math.ceil(math.log(1 - SHOWN) / math.log(precision)) if precision > 0 else 1


def _why_not(confidence: Confidence, precision: float) -> str:
    if precision >= 1:
        return f"no number of images shows a precision of {precision:g}; ask for less"
    best = math.floor(1e4 * max((each.shown for each in confidence.coverage), default=0.0)) / 1e4
    less = f"ask for at most {best:g}" if best else "none is shown"
    if confidence.images < (need := fewest(precision)):
        return (
            f"it was calibrated with {confidence.images:,} images, and a precision of {precision:g} takes {need:,}"
            f" readings without an error to show; calibrate with more images, or {less}"
        )
    return f"no threshold shows a precision of {precision:g}; calibrate with more images, or {less}"
