"""The record of `benchmarks.confidence`: whether confidences can be trusted on images that were not used for a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..model.confidence import problem_of
from ..model.spec import Confidence, DecoderSpec, ReliabilityBin
from .form import MAX_IMAGES


@dataclass(frozen=True)
class StudiedArtifact:
    """The artifact whose confidences are studied."""

    recipe: str
    payload_sha256: str


@dataclass(frozen=True)
class Calibrated:
    """The confidences after a fit, judged on other images than those of the fit."""

    fitted: str
    """Kind of fit: nothing; temperature; or temperature, isotonic."""
    temperature: float
    points: int
    """Points of the isotonic regression."""
    images: int
    right: int
    calibration_error: float
    """Expected calibration error, in bins of equal mass."""
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class TargetOutcome:
    """The outcome of a target precision on other images than those from which its threshold was chosen."""

    target: float
    threshold: float | None
    """None: no threshold reaches the target."""
    images: int
    accepted: int
    right: int
    """Accepted readings that are correct."""
    precision_interval: tuple[float, float]
    """95 %, two-sided, Clopper-Pearson."""


@dataclass(frozen=True)
class Ranking:
    """The quality of a measure that ranks correct readings before wrong ones."""

    measure: str
    auroc: float
    """Probability that a correct reading is ranked before a wrong one (Hanley and McNeil 1982)."""
    coverage: tuple[float, ...]
    """Largest share of the best-ranked readings whose precision reaches a target, for each target: a bound that is only
    known in hindsight."""


@dataclass(frozen=True)
class Rejection:
    """The negatives of one kind that a reader rejects or reads as empty, at the threshold of a target precision."""

    kind: str
    pictures: int
    rejected: int
    interval: tuple[float, float]
    """95 % interval of the rejected share, two-sided, Clopper-Pearson."""
    highest: float
    """Highest confidence of a reading that is not empty."""


@dataclass(frozen=True)
class ConfidenceStudy:
    """The confidences of one artifact, fitted on one folder and judged on another."""

    SUITE: ClassVar[str] = "edge-crnn confidence"
    VERSION: ClassVar[int] = 1

    artifact: StudiedArtifact
    held_sha256: str
    """Content hash of the images that were judged."""
    decoder: DecoderSpec
    fit: Confidence
    judged: tuple[Calibrated, ...]
    outcomes: tuple[TargetOutcome, ...]
    """Outcomes of the fit of the temperature alone."""
    targets: tuple[float, ...]
    """Precisions that the coverages of the rankings belong to."""
    rankings: tuple[Ranking, ...]
    rejected_at: float
    """Target precision of the rejections."""
    rejections: tuple[Rejection, ...]

    def is_possible(self) -> bool:
        """Return whether the counts and shares can be true."""
        bins = [reliability for calibrated in self.judged for reliability in calibrated.reliability]
        return (
            bool(self.judged)
            and problem_of(self.fit) is None
            and all(0 <= reliability.confidence <= 1 and 0 <= reliability.right <= 1 for reliability in bins)
            and all(0 <= outcome.right <= outcome.accepted <= outcome.images for outcome in self.outcomes)
            and all(0 <= kind.rejected <= kind.pictures <= MAX_IMAGES and kind.pictures for kind in self.rejections)
            and all(len(ranking.coverage) == len(self.targets) for ranking in self.rankings)
        )
