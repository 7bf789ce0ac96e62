"""What the files of each suite hold, as far as a report reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from edge_crnn.model.spec import Parity, ReliabilityBin
from edge_crnn.records import bench

from ..verify.detail import Detail


@dataclass(frozen=True)
class Machine:
    """As the benchmarks on a workstation tell of it."""

    cpu: str
    flags: tuple[str, ...]
    cores: int
    system: str
    python: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Reader:
    """What one model makes of an image."""

    text: str
    right: bool


@dataclass(frozen=True)
class Picture:
    """An image of a verification."""

    image: str
    """Its file's name."""
    set: str
    truth: str | None
    """None: it has no label, and what the reference reads counts as right."""
    reference: Reader
    artifacts: Mapping[str, Reader]
    """By name; only those that read otherwise than the reference."""
    picture: str = ""
    """A data URI."""


@dataclass(frozen=True)
class Verified:
    """An artifact, held to the trained model."""

    name: str
    recipe: str
    format: str
    bytes: int
    payload_sha256: str
    parity: Parity
    detail: Detail | None = None


@dataclass(frozen=True)
class Verification:
    """`convert` and `verify`: artifacts and the images behind their verdicts."""

    artifacts: tuple[Verified, ...]
    changed: int
    """Images that an artifact reads otherwise than the reference."""
    changes: tuple[Picture, ...]
    """Some of them, or all."""
    sample: tuple[Picture, ...]
    """Some of the others."""


@dataclass(frozen=True)
class Accuracy:
    """`benchmarks.accuracy`."""

    recipes: Mapping[str, Mapping[str, Parity]]
    """Artifact, of a `.tflite` its recipe alone → folder → outcome."""
    details: Mapping[str, Mapping[str, Detail]] = field(default_factory=dict)
    """Likewise."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Artifact → why there is none of it."""


@dataclass(frozen=True)
class EngineRound:
    """Some calls in a row."""

    median_ms: float
    minimum_ms: float


@dataclass(frozen=True)
class Timing:
    """One engine in `benchmarks.peers` or `benchmarks.forms`."""

    engine: str
    ours: bool
    file_bytes: int
    first_ms: float
    rounds: tuple[EngineRound, ...]
    parity: Parity | None
    ms: float
    note: str = ""


@dataclass(frozen=True)
class EngineRun:
    """All engines at one number of threads."""

    threads: int
    other_cores: float
    timings: tuple[Timing, ...]
    absent: Mapping[str, str]


@dataclass(frozen=True)
class Engines:
    """`benchmarks.peers` and `benchmarks.forms`."""

    runs: tuple[EngineRun, ...]


@dataclass(frozen=True)
class Throughput:
    """`benchmarks.throughput`: images a second of one engine with all threads, and of one engine per core."""

    rounds: Mapping[str, tuple[tuple[float, float], ...]]
    ratios: Mapping[str, float]
    other_cores: float


@dataclass(frozen=True)
class Speed:
    """One decoder at one batch size."""

    decoder: str
    batch: int
    ms: float
    minimum_ms: float
    same: float


@dataclass(frozen=True)
class DecodingSpeed:
    """`benchmarks.decoding speed`."""

    images: int
    other_cores: float
    speeds: tuple[Speed, ...]
    absent: Mapping[str, str]


@dataclass(frozen=True)
class DecodingErrors:
    """`benchmarks.decoding errors`: counts of images."""

    images: int
    grammar: str
    errors: Mapping[str, int]


@dataclass(frozen=True)
class Accepted:
    """What accepting all readings from a confidence on gives; counts of images."""

    accepted: int
    right: int


@dataclass(frozen=True)
class Fit:
    """What was fitted on."""

    images: int
    coverage: tuple[Accepted, ...]


@dataclass(frozen=True)
class Kept:
    """Confidences on images that they were not fitted on."""

    fitted: str
    """What of it: nothing, a temperature, or isotonic regression as well."""
    temperature: float
    points: int
    """Of the isotonic regression."""
    images: int
    right: int
    calibration_error: float
    """Expected, in bins of equal mass."""
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Outcome:
    """What a target precision gave on images that its threshold was not chosen on."""

    target: float
    threshold: float | None
    """None: no threshold shows the target."""
    images: int
    accepted: int
    right: int
    """Of the accepted."""
    precision_interval: tuple[float, float]
    """95 %, two-sided, Clopper-Pearson."""


@dataclass(frozen=True)
class Ranking:
    """How well a measure orders right readings before wrong ones."""

    measure: str
    auroc: float
    """Chance that a right reading is ranked before a wrong one (Hanley and McNeil 1982)."""
    coverage: tuple[float, ...]
    """Largest share of the readings, by rank, whose precision is each of the targets: at best, seen from behind."""


@dataclass(frozen=True)
class Rejection:
    """Pictures of one kind that are no plate, at the target's threshold."""

    kind: str
    pictures: int
    rejected: int
    interval: tuple[float, float]
    """Of the rejected share: 95 %, two-sided, Clopper-Pearson."""
    highest: float
    """Confidence of the surest reading."""


@dataclass(frozen=True)
class Fitted:
    """The artifact of a study."""

    recipe: str
    payload_sha256: str


@dataclass(frozen=True)
class Trust:
    """`benchmarks.confidence`."""

    artifact: Fitted
    fit: Fit
    judged: tuple[Kept, ...]
    outcomes: tuple[Outcome, ...]
    targets: tuple[float, ...]
    rankings: tuple[Ranking, ...]
    rejected_at: float
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True)
class Criterion:
    """One thing that must be shown of engines."""

    name: str
    what: str
    wants: str
    threshold: float
    verdict: str
    figure: float | None = None


@dataclass(frozen=True)
class GpuRound:
    """Calls in a row."""

    median_ms: float


@dataclass(frozen=True)
class GpuSpeed:
    """Ours and a peer, in turn."""

    model: str
    way: str
    images: int
    ours: tuple[GpuRound, ...]
    peer: tuple[GpuRound, ...]


@dataclass(frozen=True)
class Classes:
    """Instructions, by what they do."""

    dot: int
    """Dot products."""
    simd: int
    """All others on vectors and floating point."""
    memory: int
    scalar: int


@dataclass(frozen=True)
class Counted:
    """One engine on one processor."""

    engine: str
    cpu: str
    instructions: Classes


@dataclass(frozen=True)
class Instructions:
    """`benchmarks.instructions`: of one image's inference, under emulation."""

    counts: tuple[Counted, ...]


@dataclass(frozen=True)
class Gpu:
    """`benchmarks.gpu`."""

    gpu: Mapping[str, str]
    criteria: tuple[Criterion, ...]
    speed: tuple[GpuSpeed, ...]
    other_cores: float | None


Body: TypeAlias = (
    Verification
    | Accuracy
    | Engines
    | Throughput
    | DecodingSpeed
    | DecodingErrors
    | Instructions
    | Gpu
    | Trust
    | bench.Record
)
