"""What `benchmarks.confidence` records: whether confidences can be trusted, on images that nothing was fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..model.spec import Confidence, DecoderSpec, ReliabilityBin
from .form import MAX_IMAGES


@dataclass(frozen=True)
class StudiedArtifact:
    """The artifact whose confidences are studied."""

    recipe: str
    payload_sha256: str


@dataclass(frozen=True)
class Calibrated:
    """Confidences after one kind of fit, judged on other images than those of the fit."""

    fitted: str
    """nothing; temperature; or temperature, isotonic."""
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
    """What a target precision gives on other images than those that its threshold was chosen on."""

    target: float
    threshold: float | None
    """None: no threshold shows the target."""
    images: int
    accepted: int
    right: int
    """Right among the accepted."""
    precision_interval: tuple[float, float]
    """95 %, two-sided, Clopper-Pearson."""


@dataclass(frozen=True)
class Ranking:
    """How well a measure ranks right readings before wrong ones."""

    measure: str
    auroc: float
    """Chance that a right reading is ranked before a wrong one (Hanley and McNeil 1982)."""
    coverage: tuple[float, ...]
    """For each target, the largest share of the readings, by rank, whose precision reaches it: at best, in
    hindsight."""


@dataclass(frozen=True)
class Rejection:
    """Pictures of one kind that show no plate, at the threshold of a target precision."""

    kind: str
    pictures: int
    rejected: int
    interval: tuple[float, float]
    """95 % interval of the rejected share, two-sided, Clopper-Pearson."""
    highest: float
    """Confidence of the surest reading."""


@dataclass(frozen=True)
class ConfidenceStudy:
    """Confidences of one artifact, fitted on one folder and judged on another."""

    SUITE: ClassVar[str] = "edge-crnn confidence"
    VERSION: ClassVar[int] = 1

    artifact: StudiedArtifact
    held_sha256: str
    """Content hash of the images that were judged."""
    decoder: DecoderSpec
    fit: Confidence
    judged: tuple[Calibrated, ...]
    outcomes: tuple[TargetOutcome, ...]
    """Outcomes with the temperature alone."""
    targets: tuple[float, ...]
    """Precisions that the coverages of the rankings belong to."""
    rankings: tuple[Ranking, ...]
    rejected_at: float
    """Target precision of the rejections."""
    rejections: tuple[Rejection, ...]

    def is_possible(self) -> bool:
        """Whether the counts and shares can be true."""
        bins = [one_bin for calibrated in self.judged for one_bin in calibrated.reliability]
        return (
            bool(self.judged)
            and self.fit.images > 0
            and all(0 <= point.right <= point.accepted <= self.fit.images for point in self.fit.coverage)
            and all(0 <= one_bin.confidence <= 1 and 0 <= one_bin.right <= 1 for one_bin in bins)
            and all(0 <= outcome.right <= outcome.accepted <= outcome.images for outcome in self.outcomes)
            and all(0 <= kind.rejected <= kind.pictures <= MAX_IMAGES and kind.pictures for kind in self.rejections)
            and all(len(ranking.coverage) == len(self.targets) for ranking in self.rankings)
        )
