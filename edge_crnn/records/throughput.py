"""What `benchmarks.throughput` records: one engine with all threads against one engine for each core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Throughput:
    """Images a second, in paired rounds."""

    SUITE: ClassVar[str] = "edge-crnn throughput"
    VERSION: ClassVar[int] = 1

    other_cores: float
    """Cores that other programs kept busy meanwhile, on average."""
    ratios: Mapping[str, float]
    """Task → how many times as fast one engine for each core is; median over the rounds."""
    rounds: Mapping[str, tuple[tuple[float, float], ...]]
    """Task → for each round, images a second of one engine with all threads, and of one engine for each core."""

    def is_possible(self) -> bool:
        """Whether the rates can be true."""
        return self.ratios.keys() == self.rounds.keys() and all(
            pairs and all(min(pair) > 0 for pair in pairs) for pairs in self.rounds.values()
        )
