"""The whole numbers that edge-crnn takes, stated once for the spec, for Python and for the command line.

Larger numbers mean nothing to a reader of text: they only take memory or time without end.
"""

from __future__ import annotations

import operator
from typing import NamedTuple


class Bounds(NamedTuple):
    """The least and the greatest whole number that is allowed."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least:,} to {self.most:,}"

    def allow(self, value: object) -> bool:
        """Return whether a value is a whole number within the bounds."""
        try:
            return self.least <= operator.index(value) <= self.most  # type: ignore[arg-type]
        except TypeError:
            return False

    def problem(self, name: str, value: object) -> str | None:
        """Return a sentence that states the problem with the value of `name`; None: there is none."""
        return None if self.allow(value) else f"{name} is {_short(value)}, expected a whole number from {self}"


BEAM_WIDTH = Bounds(1, 1_000)
"""Prefixes that a beam keeps. A beam of 1,000 takes 40 times as long as a beam of 10."""
N_BEST = BEAM_WIDTH
"""Texts per reading: a beam returns no more than it keeps."""
CLASSES = Bounds(2, 1 << 16)
"""Classes of a network, the blank included."""
TOP_K = Bounds(1, CLASSES.most)
"""Symbols that a time step tries."""
STEPS = Bounds(1, 1 << 16)
"""Time steps of a network."""
SIDE = Bounds(1, 1 << 16)
"""Width or height in pixels of a network's input."""
PIXELS = Bounds(1, 1 << 24)
"""Width times height of a network's input."""
BATCH = Bounds(1, 1 << 16)
"""Images per call of a network."""
WORKERS = Bounds(1, 256)
"""Engines in parallel: with more, engines crash instead of raising an error."""
THREADS = WORKERS
"""Threads of an engine, for the same reason."""
STORED = Bounds(-(1 << 63), (1 << 63) - 1)
"""Any number in a spec or a record: 64 bits hold it."""


def _short(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length():,} bits"  # Python refuses to spell very long ones
    return repr(value)[:100]
