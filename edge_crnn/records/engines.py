"""The record of `benchmarks.peers` and `benchmarks.forms`: the time of one image in several inference engines."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..model.spec import Parity
from .form import MAX_MS, is_possible

REFERENCE = "Keras"
"""Name of the engine whose readings the others are compared with."""


@dataclass(frozen=True)
class Round:
    """Consecutive calls of one engine that are measured together."""

    median_ms: float
    minimum_ms: float
    processor_ms: float
    """Mean processor time of a call, all threads, to which other programs on the same cores do not add."""


@dataclass(frozen=True)
class Timing:
    """The times of one engine at one number of threads."""

    DERIVED: ClassVar[tuple[str, ...]] = ("ms", "processor_ms")

    engine: str
    ours: bool
    note: str
    file_bytes: int
    first_ms: float
    """Opening the file and the first inference, including the import of the engine."""
    rounds: tuple[Round, ...]
    parity: Parity | None
    """Comparison with the reference; None where the reference is absent."""

    @property
    def ms(self) -> float:
        """Median over the rounds of the median of a round."""
        return statistics.median(played.median_ms for played in self.rounds)

    @property
    def minimum_ms(self) -> float:
        """Time of the fastest call of all rounds."""
        return min(played.minimum_ms for played in self.rounds)

    @property
    def processor_ms(self) -> float:
        """Processor time of a call, all threads; median over the rounds."""
        return statistics.median(played.processor_ms for played in self.rounds)

    @property
    def passes(self) -> bool:
        """Whether the engine is ours and its verdict is not `fail`."""
        return self.ours and self.parity is not None and self.parity.verdict != "fail"


@dataclass(frozen=True)
class Run:
    """The times of all engines at one number of threads."""

    threads: int
    load_before: tuple[float, float, float]
    """Load average over 1, 5 and 15 minutes."""
    load_after: tuple[float, float, float]
    other_cores: float
    """Cores that other programs kept busy meanwhile, on average."""
    timings: tuple[Timing, ...]
    absent: Mapping[str, str]
    """Engine that was not measured → reason."""

    @property
    def best(self) -> Timing | None:
        """Our fastest engine that passes."""
        return min((timing for timing in self.timings if timing.passes), key=lambda timing: timing.ms, default=None)

    @property
    def fastest_peer(self) -> Timing | None:
        """Fastest engine that is not ours, which may be the reference."""
        return min((timing for timing in self.timings if not timing.ours), key=lambda timing: timing.ms, default=None)

    @property
    def reference(self) -> Timing | None:
        """Timing of the trained model's own framework."""
        return next((timing for timing in self.timings if timing.engine == REFERENCE), None)


@dataclass(frozen=True)
class Engines:
    """The times of the same engines at several numbers of threads."""

    SUITE: ClassVar[str] = "edge-crnn engines"
    VERSION: ClassVar[int] = 1

    calls: int
    """Timed calls in a round."""
    runs: tuple[Run, ...]

    def is_possible(self) -> bool:
        """Return whether the counts and times can be true."""
        return all(
            timing.rounds
            and all(0 < played.minimum_ms <= MAX_MS and 0 < played.median_ms < MAX_MS for played in timing.rounds)
            and (timing.parity is None or is_possible(timing.parity))
            for run in self.runs
            for timing in run.timings
        )
