"""The interface through which a prefix search follows a grammar or a list of labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

FAR = 1 << 30
"""Time steps that stand for "never"."""


class Singly(NamedTuple):
    """The three functions of an automaton for a single state, which avoids the overhead of NumPy calls."""

    follow: Callable[[int, int], int]
    needs: Callable[[int, int], int]
    needs_after: Callable[[int, int], int]


class Automaton(Protocol):
    """A deterministic automaton over class indices: states are numbers, and 0 is the start.

    What a state needs is the smallest number of time steps that completes a label; FAR if no label can be completed.
    """

    @property
    def used(self) -> npt.NDArray[np.bool_]:
        """(C,): whether a class occurs in its labels."""

    @property
    def singly(self) -> Singly:
        """The same three functions for a single state."""

    def follow(self, states: Integers, indices: Integers) -> Integers:
        """Return the states after a symbol; they are meaningless where `needs_after` is FAR."""

    def needs(self, states: Integers, last: Integers | int) -> Integers:
        """Return the time steps needed from these states.

        Args:
            states: any shape.
            last: class of the previous time step, since repeating a symbol takes a blank in between; -1: a blank;
                C: there was none.
        """

    def needs_after(self, states: Integers, indices: Integers) -> Integers:
        """Return the time steps needed after a symbol is appended to these states."""
