"""What a prefix search follows beside the time steps: a grammar, or a list of labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

FAR = 1 << 30
"""Time steps to nowhere."""


class Singly(NamedTuple):
    """The three functions of an automaton for one state at a time, without NumPy's cost of a call."""

    follow: Callable[[int, int], int]
    needs: Callable[[int, int], int]
    needs_after: Callable[[int, int], int]


class Automaton(Protocol):
    """A deterministic automaton over class indices: states are numbers, 0 is the start.

    What it needs is the fewest time steps that completing a label still takes, FAR where nothing can be completed.
    """

    @property
    def used(self) -> npt.NDArray[np.bool_]:
        """(C,): the classes that its labels have."""

    @property
    def singly(self) -> Singly:
        """The same three for one state."""

    def follow(self, states: Integers, indices: Integers) -> Integers:
        """The states after a symbol; for symbols that `needs_after` calls FAR they mean nothing."""

    def needs(self, states: Integers, last: Integers | int) -> Integers:
        """Steps from a state on, by the class of the last time step, or -1 where that was a blank.

        The same symbol again takes a blank before it. C, which stands for no step before, counts as a blank.
        """

    def needs_after(self, states: Integers, indices: Integers) -> Integers:
        """Steps after a symbol is appended."""
