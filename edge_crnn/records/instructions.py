"""The record of `benchmarks.instructions`: instructions of one inference, counted on emulated processors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

_MAX_INSTRUCTIONS = 10**15


@dataclass(frozen=True)
class InstructionClasses:
    """The number of executed instructions, by class."""

    dot: int
    """Dot products of 16 int8 multiplications each."""
    simd: int
    """All other vector and floating-point instructions."""
    memory: int
    """Loads and stores, of vectors or scalars."""
    scalar: int
    """Integer arithmetic, addresses and branches."""

    @property
    def total(self) -> int:
        """Number of all instructions."""
        return self.dot + self.simd + self.memory + self.scalar


@dataclass(frozen=True)
class InstructionCount:
    """The instructions of one engine on one processor."""

    engine: str
    cpu: str
    instructions: InstructionClasses


@dataclass(frozen=True)
class Instructions:
    """The instructions of several engines on the processors of small boards."""

    SUITE: ClassVar[str] = "edge-crnn instructions"
    VERSION: ClassVar[int] = 1

    counted_versions: Mapping[str, str]
    """Package of an engine → its version under emulation."""
    counts: tuple[InstructionCount, ...]

    def is_possible(self) -> bool:
        """Return whether the counts can be true."""
        return all(
            0 <= number < _MAX_INSTRUCTIONS for count in self.counts for number in vars(count.instructions).values()
        )
