"""A lexicon: known labels, as the smallest automaton over the classes of a network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..alphabet import Alphabet
from ..errors import AlphabetError, InputError
from .automaton import FAR
from .fits import Knowledge, MadeFor
from .forward import Indices
from .minimal import Minimal, minimal


def parse_labels(lines: Iterable[str], alphabet: Alphabet, origin: str = "list of labels") -> list[Indices]:
    """Parse labels, one per line, into class indices.

    A line is a label, or the text that a person would write for it. Empty lines and comments (#) are skipped.

    Raises:
        InputError: a line is neither; the message begins with `origin` and the line number.
    """
    labels = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                labels.append(alphabet.encode(alphabet.label(text)))
            except AlphabetError as error:
                raise InputError(f"{origin}, line {number}: {error}") from error
    return labels


@dataclass(frozen=True, eq=False)
class Lexicon(Knowledge):
    """Known labels, and how much more probable they are than others."""

    blank: int
    """Class index of the blank."""
    automaton: Minimal
    longest: Indices
    """The label that takes the most time steps."""
    weight: float = math.inf
    """Factor by which a known label is more probable than its posterior says; infinite: only known labels are read."""
    rescue: float = 0.0
    """Factor, 0 to 1, for reading a known label where the network reads one that differs by one edit: a symbol added,
    removed or replaced."""

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise InputError(f"a lexicon's weight is {self.weight}, expected a number above 0, or infinity")
        if not 0 <= self.rescue <= 1:
            raise InputError(f"a lexicon's rescue is {self.rescue}, expected 0 (never rescue) to 1 (rescue at no cost)")

    @classmethod
    def parse(
        cls, lines: Iterable[str], alphabet: Alphabet, origin: str = "lexicon", *, weight: float = math.inf,
        rescue: float = 0.0,
    ) -> Lexicon:  # fmt: skip
        """Make a lexicon of lines, which `parse_labels` describes; duplicates count once.

        Raises:
            InputError: in the same cases as `parse_labels` and `of`.
        """
        return cls.of(parse_labels(lines, alphabet, origin), alphabet, origin, weight=weight, rescue=rescue)

    @classmethod
    def of(
        cls, labels: Iterable[Sequence[int]], alphabet: Alphabet, origin: str = "lexicon", *, weight: float = math.inf,
        rescue: float = 0.0,
    ) -> Lexicon:  # fmt: skip
        """Make a lexicon of class indices without blanks.

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
        """Whether only its labels have to be searched."""
        return math.isinf(self.weight) and self.rescue == 0

    @property
    def shortest(self) -> int:
        """Time steps that its shortest label takes."""
        return int(self.automaton.least[0])

    @property
    def made_for(self) -> MadeFor:
        """The network whose class indices it uses."""
        return MadeFor("the lexicon", self.automaton.classes, self.blank, self.shortest)

    def accepts(self, indices: Iterable[int]) -> bool:
        """Return whether a sequence of class indices, without blanks, is one of the labels."""
        return self._completes(0, indices)

    def near(self, indices: Sequence[int]) -> list[Indices]:
        """List the labels that differ from these class indices by one symbol added, removed or replaced.

        The automaton is walked along the indices with one edit allowed (Oflazer 1996), so only labels that begin like
        them are visited. The result is in ascending order.
        """
        neighbours: set[Indices] = set()
        state = 0
        for place in range(len(indices) + 1):
            before, rest = tuple(indices[:place]), tuple(indices[place:])
            for symbol, target in self.automaton.edges_of(state):
                for following in {rest, rest[1:]} if rest else {rest}:
                    if self._completes(target, following):
                        neighbours.add((*before, symbol, *following))
            if rest and self._completes(state, rest[1:]):
                neighbours.add((*before, *rest[1:]))
            if not rest or self.automaton.singly.needs_after(state, rest[0]) == FAR:
                break
            state = self.automaton.singly.follow(state, rest[0])
        return sorted(neighbours - {tuple(indices)})

    def _completes(self, state: int, indices: Iterable[int]) -> bool:
        follow, needs, needs_after = self.automaton.singly
        for index in indices:
            if needs_after(state, index) == FAR:
                return False
            state = follow(state, index)
        return needs(state, -1) == 0


def steps_of(indices: Sequence[int]) -> int:
    """Return the smallest number of time steps that a label takes: repeating a symbol takes a blank in between."""
    return len(indices) + sum(before == after for before, after in pairwise(indices))
