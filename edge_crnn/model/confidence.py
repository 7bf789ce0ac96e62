"""The part of a spec about the confidences of an artifact: how they were calibrated, and on which images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReliabilityBin:
    """A bin of readings with neighbouring confidences."""

    readings: int
    confidence: float
    """Mean confidence of these readings."""
    right: float
    """Share of these readings that is correct."""


@dataclass(frozen=True)
class CoveragePoint:
    """A threshold, and the counts of readings whose confidence reaches it."""

    threshold: float
    accepted: int
    """Accepted readings, of negatives too."""
    right: int
    """Accepted readings that are correct."""
    shown: float
    """Precision that the images show with 95 % confidence: the one-sided lower bound (Clopper-Pearson)."""
    negatives: int = 0
    """Accepted readings of negatives, none of which is correct."""


@dataclass(frozen=True)
class Confidence:
    """The calibration of an artifact's confidences, with the spec's decoder, on labelled images and negatives."""

    images: int
    """Labelled images."""
    right: int
    """Images that the artifact reads correctly."""
    sha256: str
    """SHA-256 of all images."""
    temperature: float
    """Divisor of the log-probabilities before decoding."""
    error_before: float
    """Expected calibration error before calibration, with bins of equal mass."""
    error: float
    """Expected calibration error after calibration."""
    reliability: tuple[ReliabilityBin, ...]
    """Bins from the least sure readings to the surest."""
    coverage: tuple[CoveragePoint, ...]
    """The accuracy-coverage curve, strictest threshold first; a text outside the grammar is never accepted."""
    isotonic: tuple[tuple[float, float], ...] = ()
    """Points (posterior, probability of being correct), both increasing; empty: the posterior is the confidence."""
    negatives: int = 0
    """Images without a text that could be correct, such as signs, or plates that the alphabet cannot spell."""

    def coverage_of(self, point: CoveragePoint) -> float:
        """Return the share of the labelled images that a threshold accepts."""
        return (point.accepted - point.negatives) / self.images

    @property
    def headline(self) -> str:
        """Summary of the fit, its images, and the gain, for a person."""
        steps = f", isotonic with {len(self.isotonic)} points" if self.isotonic else ""
        others = f" and {self.negatives:,} negatives" if self.negatives else ""
        return (
            f"temperature {self.temperature:.3f}{steps}, on {self.images:,} images{others}; expected calibration error"
            f" {self.error:.4f}, before {self.error_before:.4f}"
        )


def problem_of(confidence: Confidence) -> str | None:
    """Return the problem with the values of a calibration; None: there is none."""
    if not 0.01 <= confidence.temperature <= 100:
        return f"temperature {confidence.temperature}; it must be within 0.01 and 100"
    if (
        confidence.images < 1
        or confidence.negatives < 0
        or not all(_is_possible(point, confidence) for point in confidence.coverage)
    ):
        return "the counts of images contradict each other, expected 1 or more images, of which some are accepted"
    posteriors, chances = ([point[axis] for point in confidence.isotonic] for axis in (0, 1))
    if sorted(set(posteriors)) != posteriors or sorted(chances) != chances:
        return "the points of isotonic do not increase"
    thresholds = [point.threshold for point in confidence.coverage]
    if not all(0 <= value <= 1 for value in (*posteriors, *chances, *thresholds)):
        return "a point of isotonic or coverage is not within 0 and 1"
    return None


def _is_possible(point: CoveragePoint, confidence: Confidence) -> bool:
    return (
        point.accepted > 0
        and 0 <= point.right <= point.accepted - point.negatives <= confidence.images
        and 0 <= point.negatives <= confidence.negatives
    )
