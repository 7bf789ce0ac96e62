"""The record of `benchmarks.gpu`: criteria for TensorRT engines, and all measurements behind them."""

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
    """A criterion that engines must meet."""

    DERIVED: ClassVar[tuple[str, ...]] = ("verdict",)

    name: str
    part: str
    """Part of the check that measures the figure."""
    model: str
    what: str
    """Meaning of the figure."""
    wants: Literal["at least", "at most"]
    threshold: float
    figure: float | bool | None = None
    """None: unknown. edge-crnn 0.5.0 wrote true and false for 1 and 0."""
    met: bool | None = None
    """None: not run."""
    note: str = NOT_REACHED
    """Evidence for the verdict, or the reason why the criterion was not run."""

    @property
    def verdict(self) -> Verdict:
        """Outcome, for people."""
        if self.met is None:
            return "not run"
        return "met" if self.met else "MISSED"


@dataclass(frozen=True)
class ImageSet:
    """The origin of one model's images, and how many of them its reference reads correctly."""

    what: str
    """Description, such as 3,000 rendered plates of preset heavy, seed 31."""
    command: str
    date: str
    """UTC, ISO 8601."""
    reference: str
    """Framework that read the images, with its version."""
    reference_right: int
    """Images that the reference reads correctly."""
    source_sha256: str
    """SHA-256 of the trained model's file."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File of the set → its SHA-256."""
    version: int = 1
    """Version of the set's form."""


@dataclass(frozen=True)
class EngineOptions:
    """The options with which an engine was built."""

    batches: tuple[int, int, int]
    """Images of a call: the fewest, the number that the engine is tuned for, and the most."""
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
    """The outcome of reading all images of a model once, `n` at a time."""

    model: str
    n: int
    order: str
    images: int
    same_as_reference: int
    same_as_singles: int
    """Images that read the same as when they are read one by one, in the order in which they were rendered."""
    max_probability_change: float
    """Largest |Δp| compared with reading images one by one, over all images, steps and classes."""


@dataclass(frozen=True)
class Turned:
    """The outcome of reading the first images of a model at every position of a batch of `n`."""

    model: str
    n: int
    images: int
    readings: int
    other: int
    """Readings that differ from the reading of the same image alone."""


@dataclass(frozen=True)
class Timed:
    """The times of consecutive calls of one engine."""

    median_ms: float
    p90_ms: float
    minimum_ms: float


@dataclass(frozen=True)
class GpuSpeed:
    """The times of our engine and PyTorch, measured in turn, at one number of images."""

    DERIVED: ClassVar[tuple[str, ...]] = (
        *("ours_ms", "ours_p90_ms", "ours_images_per_s"),
        *("peer_ms", "peer_p90_ms", "peer_images_per_s"),
        "ratio",
    )

    model: str
    way: str
    """Beginning and end of the timed work."""
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
        """Figure for PyTorch like `ours_ms`; None where PyTorch is absent."""
        return statistics.median(played.median_ms for played in self.peer) if self.peer else None

    @property
    def peer_p90_ms(self) -> float | None:
        """Figure for PyTorch like `ours_p90_ms`; None where PyTorch is absent."""
        return statistics.median(played.p90_ms for played in self.peer) if self.peer else None

    @property
    def peer_images_per_s(self) -> float | None:
        """Figure for PyTorch like `ours_images_per_s`; None where PyTorch is absent."""
        return None if self.peer_ms is None else 1e3 * self.images / self.peer_ms

    @property
    def ratio(self) -> float | None:
        """PyTorch's time divided by ours: median over the rounds of the quotients of their medians."""
        if not self.peer:
            return None
        pairs = zip(self.ours, self.peer, strict=True)
        return statistics.median(peer.median_ms / ours.median_ms for ours, peer in pairs)


@dataclass(frozen=True)
class Soak:
    """The memory in use over many calls at mixed batch sizes, in bytes."""

    calls: int
    images: int
    sizes: tuple[int, ...]
    """Batch sizes."""
    host: tuple[int, ...]
    """Resident size of the process, sampled."""
    device: tuple[int, ...]
    """Memory that all processes use on the GPU, sampled at the same moments."""
    host_growth: float
    """Median of the last tenth of the host's samples minus the median of the second tenth."""


@dataclass(frozen=True)
class Kill:
    """A build that was killed."""

    after_s: float
    under_way: bool
    """Whether it was still building; killing a build that has made its engine shows nothing."""
    left: int
    """Broken engines in the cache afterwards."""
    others_ended: bool
    """Whether all processes of the build ended with the one that was killed."""


@dataclass(frozen=True)
class OpenedEngine:
    """The engine that a process received."""

    builds: int
    """Engines that the process built itself."""
    engine: str
    """SHA-256 of the engine."""
    seconds: float


@dataclass(frozen=True)
class Gpu:
    """A run of the check; figures that are not known yet are empty."""

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
    """Versions of PyTorch, or the reason why it is absent."""
    texts: tuple[BatchReading, ...] = ()
    turned: tuple[Turned, ...] = ()
    speed: tuple[GpuSpeed, ...] = ()
    other_cores: float | None = None
    """Cores that other programs kept busy while speed was measured, on average."""
    soak: Soak | None = None
    builds: Mapping[str, tuple[Kill | OpenedEngine, ...]] = field(default_factory=dict)
    """Kind of experiment → outcomes of the builds."""
    seconds: float = 0.0
    """Duration of the run."""

    def is_possible(self) -> bool:
        """Return whether the counts and times can be true."""
        return all(
            0 < timed.images <= MAX_IMAGES
            and timed.ours
            and all(0 < played.median_ms < MAX_MS for played in (*timed.ours, *timed.peer))
            for timed in self.speed
        )
