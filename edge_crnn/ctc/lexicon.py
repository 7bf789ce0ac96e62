"""A lexicon: the labels that are known, as the smallest automaton over the classes of a network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..alphabet import Alphabet
from ..errors import AlphabetError, InputError
from .automaton import FAR
from .forward import Indices
from .minimal import Minimal, minimal


def parse_labels(lines: Iterable[str], alphabet: Alphabet, origin: str = "list of labels") -> list[Indices]:
    """Class indices of labels, one a line, each a label or the text that a person writes.

    Empty lines and those that begin with # are left out.

    Raises:
        InputError: a line has something that is neither; the message begins with `origin` and the line's number.
    """
    found = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                found.append(alphabet.encode(alphabet.label(text)))
            except AlphabetError as error:
                raise InputError(f"{origin}, line {number}: {error}") from error
    return found


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Known labels, and how much more probable than others they are."""

    blank: int
    """Class index of the blank."""
    automaton: Minimal
    longest: Indices
    """The label that takes the most time steps."""
    weight: float = math.inf
    """How many times as probable a known label is as its posterior says; infinite: no other is read."""
    rescue: float = 0.0
    """0 to 1: the cost of reading a known label where the network reads what is one symbol more, less or other."""

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise InputError(f"a lexicon's weight is {self.weight}, expected more than 0, or infinity")
        if not 0 <= self.rescue <= 1:
            raise InputError(f"a lexicon's rescue is {self.rescue}, expected 0 (none) to 1 (it costs nothing)")

    @classmethod
    def parse(
        cls, lines: Iterable[str], alphabet: Alphabet, origin: str = "lexicon", *, weight: float = math.inf,
        rescue: float = 0.0,
    ) -> Lexicon:  # fmt: skip
        """From lines as `parse_labels` takes them; what is there twice counts once.

        Raises:
            InputError: as `parse_labels` and `of`.
        """
        return cls.of(parse_labels(lines, alphabet, origin), alphabet, origin, weight=weight, rescue=rescue)

    @classmethod
    def of(
        cls, labels: Iterable[Sequence[int]], alphabet: Alphabet, origin: str = "lexicon", *, weight: float = math.inf,
        rescue: float = 0.0,
    ) -> Lexicon:  # fmt: skip
        """From class indices without blanks.

        Raises:
            InputError: there is no label, one is empty or has a class without a symbol, or an option is out of range.
        """
        entries = sorted({tuple(label) for label in labels})
        if not entries:
            raise InputError(f"{origin} has no label: add one, or read without it")
        if not entries[0]:
            raise InputError(f"{origin} has an empty label: remove it")
        if strange := set().union(*entries).difference(alphabet.indices):
            raise InputError(f"{origin} has class {min(strange)}, which is no symbol of {alphabet}: remove it")
        automaton = minimal(entries, alphabet.classes)
        return cls(alphabet.blank, automaton, max(entries, key=steps_of), weight, rescue)

    @property
    def alone(self) -> bool:
        """Whether nothing but its labels need be searched."""
        return math.isinf(self.weight) and self.rescue == 0

    @property
    def shortest(self) -> int:
        """Time steps that its shortest label takes."""
        return int(self.automaton.least[0])

    def accepts(self, indices: Iterable[int]) -> bool:
        """Whether a sequence of class indices, without blanks, is one of its labels."""
        return self._completes(0, indices)

    def near(self, indices: Sequence[int]) -> list[Indices]:
        """Its labels that take one symbol more, one less, or another one than these class indices, in ascending order.

        Both are walked through at once, with one edit allowed (Oflazer 1996), so that only what begins alike is seen.
        """
        found: set[Indices] = set()
        state = 0
        for place in range(len(indices) + 1):
            before, rest = tuple(indices[:place]), tuple(indices[place:])
            for symbol, target in self.automaton.edges_of(state):
                for following in {rest, rest[1:]} if rest else {rest}:
                    if self._completes(target, following):
                        found.add((*before, symbol, *following))
            if rest and self._completes(state, rest[1:]):
                found.add((*before, *rest[1:]))
            if not rest or self.automaton.singly.needs_after(state, rest[0]) == FAR:
                break
            state = self.automaton.singly.follow(state, rest[0])
        return sorted(found - {tuple(indices)})

    def _completes(self, state: int, indices: Iterable[int]) -> bool:
        follow, needs, needs_after = self.automaton.singly
        for index in indices:
            if needs_after(state, index) == FAR:
                return False
            state = follow(state, index)
        return needs(state, -1) == 0

    def check_fits(self, classes: int, blank: int, steps: npt.ArrayLike) -> None:
        """Raise InputError unless it is for that network, and has a label for the time steps (N,) of all images."""
        if (classes, blank) != (self.automaton.classes, self.blank):
            raise InputError(
                f"the lexicon is for {self.automaton.classes} classes with blank {self.blank}, found {classes} with "
                f"blank {blank}: make it with the network's alphabet"
            )
        given = np.asarray(steps)
        if given.size and given.min() < self.shortest:
            raise InputError(
                f"the lexicon's shortest label needs {self.shortest} time steps, image {given.argmin()} has "
                f"{given.min()}: add shorter labels, or use a network with more steps"
            )


def steps_of(indices: Sequence[int]) -> int:
    """The fewest time steps that a label takes: the same symbol again takes a blank before it."""
    return len(indices) + sum(before == after for before, after in pairwise(indices))
