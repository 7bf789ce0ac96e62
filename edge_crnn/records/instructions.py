"""What `benchmarks.instructions` records: instructions of one inference, counted on emulated processors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

_MAX_INSTRUCTIONS = 10**15


@dataclass(frozen=True)
class InstructionClasses:
    """How many instructions were executed, by class."""

    dot: int
    """Dot products, each of 16 multiplications of int8."""
    simd: int
    """All others on vectors and floating point."""
    memory: int
    """Loads and stores, of vectors and others."""
    scalar: int
    """Integers, addresses, branches."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.dot + self.simd + self.memory + self.scalar


@dataclass(frozen=True)
class InstructionCount:
    """One engine on one processor."""

    engine: str
    cpu: str
    instructions: InstructionClasses


@dataclass(frozen=True)
class Instructions:
    """Engines on the processors of small boards."""

    SUITE: ClassVar[str] = "edge-crnn instructions"
    VERSION: ClassVar[int] = 1

    counted_versions: Mapping[str, str]
    """Package of an engine → its version under emulation."""
    counts: tuple[InstructionCount, ...]

    def is_possible(self) -> bool:
        """Whether the counts can be true."""
        return all(
            0 <= number < _MAX_INSTRUCTIONS for count in self.counts for number in vars(count.instructions).values()
        )
