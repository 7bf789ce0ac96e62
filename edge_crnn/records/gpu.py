"""What `benchmarks.gpu` records: what must be shown of TensorRT engines, and everything that was measured for it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from ..backends.base import BackendFacts
from .form import MAX_IMAGES, MAX_MS

NOT_REACHED = "the run ended before it"
Verdict: TypeAlias = Literal["met", "MISSED", "not run"]


@dataclass(frozen=True)
class Criterion:
    """One thing that must be shown."""

    DERIVED: ClassVar[tuple[str, ...]] = ("verdict",)

    name: str
    part: str
    """Part of the check that shows it."""
    model: str
    what: str
    """Meaning of the figure."""
    wants: Literal["at least", "at most"]
    threshold: float
    figure: float | bool | None = None
    """None: not known. edge-crnn 0.5.0 wrote true and false for 1 and 0."""
    met: bool | None = None
    """None: not run."""
    note: str = NOT_REACHED
    """How it was shown, or why it was not run."""

    @property
    def verdict(self) -> Verdict:
        """The outcome, for people."""
        if self.met is None:
            return "not run"
        return "met" if self.met else "MISSED"


@dataclass(frozen=True)
class ImageSet:
    """Where the images of one model come from, and what its reference reads in them."""

    what: str
    """Such as 3,000 rendered plates of preset heavy, seed 31."""
    command: str
    date: str
    """UTC, ISO 8601."""
    reference: str
    """What read the images, with its version."""
    reference_right: int
    """Images that the reference reads as they were drawn."""
    source_sha256: str
    """SHA-256 of the trained model's file."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File of the set → its SHA-256."""
    version: int = 1
    """Version of the set's form."""


@dataclass(frozen=True)
class EngineOptions:
    """How an engine was built."""

    batches: tuple[int, int, int]
    """Images of a call: fewest, those that the engine is tuned for, most."""
    workspace: int
    """Bytes of device memory that a layer may use."""
    tactic_sources: tuple[str, ...] | None = None
    """None: TensorRT's own choice."""


@dataclass(frozen=True)
class BuiltEngine:
    """The engine of one model."""

    tools: Mapping[str, str]
    options: EngineOptions
    facts: BackendFacts
    bytes: int
    onnx_bytes: int
    seconds_until_there: float


@dataclass(frozen=True)
class BatchReading:
    """All images of a model read once, `n` at a time."""

    model: str
    n: int
    order: str
    images: int
    same_as_reference: int
    same_as_singles: int
    """Images read as when each was read alone, in the order in which they were drawn."""
    max_probability_change: float
    """Largest |Δp| against the images read alone, over all images, steps and classes."""


@dataclass(frozen=True)
class Turned:
    """The first images of a model read in batches of `n` at every position."""

    model: str
    n: int
    images: int
    readings: int
    other: int
    """Readings that differ from that of the image read alone."""


@dataclass(frozen=True)
class Timed:
    """Calls of one engine in a row."""

    median_ms: float
    p90_ms: float
    minimum_ms: float


@dataclass(frozen=True)
class GpuSpeed:
    """Our engine and PyTorch in turn, at one number of images."""

    DERIVED: ClassVar[tuple[str, ...]] = (
        *("ours_ms", "ours_p90_ms", "ours_images_per_s"),
        *("peer_ms", "peer_p90_ms", "peer_images_per_s"),
        "ratio",
    )

    model: str
    way: str
    """What is timed, from where to where."""
    images: int
    """Images of a call."""
    calls: int
    """Timed calls in a round."""
    ours: tuple[Timed, ...]
    peer: tuple[Timed, ...]
    """Empty where PyTorch is absent."""

    @property
    def ours_ms(self) -> float:
        """Median over the rounds of the median of a round."""
        return statistics.median(played.median_ms for played in self.ours)

    @property
    def ours_p90_ms(self) -> float:
        """Median over the rounds of the 90th percentile of a round."""
        return statistics.median(played.p90_ms for played in self.ours)

    @property
    def ours_images_per_s(self) -> float:
        """Images a second, by `ours_ms`."""
        return 1e3 * self.images / self.ours_ms

    @property
    def peer_ms(self) -> float | None:
        """PyTorch's `ours_ms`; None where it is absent."""
        return statistics.median(played.median_ms for played in self.peer) if self.peer else None

    @property
    def peer_p90_ms(self) -> float | None:
        """PyTorch's `ours_p90_ms`; None where it is absent."""
        return statistics.median(played.p90_ms for played in self.peer) if self.peer else None

    @property
    def peer_images_per_s(self) -> float | None:
        """PyTorch's `ours_images_per_s`; None where it is absent."""
        return None if self.peer_ms is None else 1e3 * self.images / self.peer_ms

    @property
    def ratio(self) -> float | None:
        """How many times as long as ours PyTorch takes: median over the rounds of the quotient of their medians."""
        if not self.peer:
            return None
        return statistics.median(b.median_ms / a.median_ms for a, b in zip(self.ours, self.peer, strict=True))


@dataclass(frozen=True)
class Soak:
    """Memory over many calls at mixed batch sizes, in bytes."""

    calls: int
    images: int
    sizes: tuple[int, ...]
    """Batch sizes."""
    host: tuple[int, ...]
    """Resident size of the process, sampled."""
    device: tuple[int, ...]
    """Memory in use on the whole GPU, by any process, sampled at the same moments."""
    host_growth: float
    """By how much more the last tenth of the host's samples is than the second tenth, by their medians."""


@dataclass(frozen=True)
class Kill:
    """A build that was killed."""

    after_s: float
    under_way: bool
    """Whether it was still building; a build that had made its engine shows nothing."""
    left: int
    """Broken engines in the cache afterwards."""
    others_ended: bool
    """Whether all processes of the build ended with the one that was killed."""


@dataclass(frozen=True)
class OpenedEngine:
    """What a process that asked for an engine got."""

    builds: int
    """Engines that it built itself."""
    engine: str
    """SHA-256 of the engine."""
    seconds: float


@dataclass(frozen=True)
class Gpu:
    """One run of the check; what is not known yet is empty."""

    SUITE: ClassVar[str] = "edge-crnn gpu_check"
    VERSION: ClassVar[int] = 1

    gpu: Mapping[str, str]
    """Facts of the GPU, its driver, TensorRT and pycuda."""
    criteria: tuple[Criterion, ...] = ()
    sets: Mapping[str, ImageSet] = field(default_factory=dict)
    """Model → its images."""
    engines: Mapping[str, BuiltEngine] = field(default_factory=dict)
    """Model → its engine."""
    peer: Mapping[str, str] = field(default_factory=dict)
    """Versions of PyTorch, or why it is absent."""
    texts: tuple[BatchReading, ...] = ()
    turned: tuple[Turned, ...] = ()
    speed: tuple[GpuSpeed, ...] = ()
    other_cores: float | None = None
    """Cores that other programs kept busy while speed was measured, on average."""
    soak: Soak | None = None
    builds: Mapping[str, tuple[Kill | OpenedEngine, ...]] = field(default_factory=dict)
    """What was done → what became of the builds."""
    seconds: float = 0.0
    """Duration of the run."""

    def is_possible(self) -> bool:
        """Whether the counts and times can be true."""
        return all(
            0 < timed.images <= MAX_IMAGES
            and timed.ours
            and all(0 < played.median_ms < MAX_MS for played in (*timed.ours, *timed.peer))
            for timed in self.speed
        )
