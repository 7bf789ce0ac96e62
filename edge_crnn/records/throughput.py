"""The record of `benchmarks.throughput`: one engine with all threads, compared with one engine per core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Throughput:
    """The images a second in paired rounds."""

    SUITE: ClassVar[str] = "edge-crnn throughput"
    VERSION: ClassVar[int] = 1

    other_cores: float
    """Cores that other programs kept busy meanwhile, on average."""
    ratios: Mapping[str, float]
    """Task → images a second of one engine per core, divided by those of one engine; median over the rounds."""
    rounds: Mapping[str, tuple[tuple[float, float], ...]]
    """Task → for each round, images a second of one engine with all threads, and of one engine per core."""

    def is_possible(self) -> bool:
        """Return whether the rates can be true."""
        return self.ratios.keys() == self.rounds.keys() and all(
            pairs and all(min(pair) > 0 for pair in pairs) for pairs in self.rounds.values()
        )
