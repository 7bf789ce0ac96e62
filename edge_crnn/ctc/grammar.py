"""A grammar: the labels that may be read, as an automaton over the classes of a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..alphabet import Alphabet
from ..errors import InputError
from .automaton import FAR, Integers, Singly
from .fits import Knowledge, MadeFor
from .grammars import GRAMMARS, CheckDigit
from .regex import Characters, Choice, Joined, Node, Repeat, parse

MOST_STATES = 2_000
"""Limit of the automaton, and of the expression with its repeats expanded."""

_MOST_TRANSITIONS = 1 << 24


@dataclass(frozen=True, eq=False)
class Grammar(Knowledge):
    """A deterministic automaton: state 0 is the start, and no label can be completed from the last state.

    Shapes: S states, C classes.
    """

    text: str
    """The regular expression, or the name of a shipped grammar, that it was compiled from."""
    blank: int
    """Class index of the blank."""
    transitions: Integers
    """(S, C) int64: state and class → state."""
    steps: Integers
    """(S, C + 1) int64: the fewest time steps that complete a label from a state, by the class of the previous time
    step, since repeating a symbol takes a blank in between; the last column is for a blank."""

    @classmethod
    def compile(cls, text: str, alphabet: Alphabet) -> Grammar:
        r"""Compile a regular expression over labels, or a shipped grammar.

        A sequence of symbols belongs to the grammar if the whole label that they spell matches. A symbol of several
        characters counts as these characters, also in classes, `.` and repeats.

        Args:
            text: an expression of characters, classes, `.`, `\d`, groups, alternation and repeats, or a key of
                `GRAMMARS`.
            alphabet: the network's.

        Raises:
            InputError: the text is no regular expression, an automaton cannot follow it or would be too large, it has
                characters that no symbol has, or no sequence of symbols belongs to it.
        """
        shipped = GRAMMARS.get(text)
        tree = parse(text if shipped is None else shipped.regex)
        if _size(tree) > MOST_STATES:
            raise InputError(
                f"grammar {text!r} is longer than {MOST_STATES} characters with its repeats expanded: repeat less"
            )
        walker = _Walker(tree, None if shipped is None else shipped.check_digit, text, alphabet)
        transitions, accepting = _determined(walker, text, alphabet)
        grammar = cls(text, alphabet.blank, transitions, _least_steps(transitions, accepting))
        if grammar.shortest >= FAR:
            raise InputError(f"grammar {text!r} has no label that the symbols {alphabet} can spell: change one of them")
        return grammar

    @property
    def shortest(self) -> int:
        """Time steps that its shortest label takes."""
        return int(self.steps[0, -1])

    @property
    def made_for(self) -> MadeFor:
        """The network whose class indices it uses."""
        return MadeFor(f"grammar {self.text!r}", self.transitions.shape[1], self.blank, self.shortest)

    @cached_property
    def steps_after(self) -> Integers:
        """(S, C): `steps` after a symbol is appended in a state."""
        after: Integers = self.steps[self.transitions, np.arange(self.transitions.shape[1])]
        return after

    @cached_property
    def used(self) -> npt.NDArray[np.bool_]:
        """(C,): whether a class occurs in its labels."""
        return np.asarray((self.steps_after < FAR).any(axis=0))

    @cached_property
    def singly(self) -> Singly:
        """See `Automaton`."""
        return Singly(self.transitions.item, self.steps.item, self.steps_after.item)

    def follow(self, states: Integers, indices: Integers) -> Integers:
        """See `Automaton`."""
        after: Integers = self.transitions[states, indices]
        return after

    def needs(self, states: Integers, last: Integers | int) -> Integers:
        """See `Automaton`."""
        left: Integers = self.steps[states, last]
        return left

    def needs_after(self, states: Integers, indices: Integers) -> Integers:
        """See `Automaton`."""
        left: Integers = self.steps_after[states, indices]
        return left

    def accepts(self, indices: Iterable[int]) -> bool:
        """Return whether a sequence of class indices, without blanks, belongs to the grammar."""
        state = 0
        for index in indices:
            state = self.transitions[state, index]
        return bool(self.steps[state, -1] == 0)


def _size(node: Node) -> int:
    """Count characters, with repeats expanded."""
    if isinstance(node, Characters):
        return 1
    if isinstance(node, Repeat):
        return 1 + _size(node.part) * max(node.least + (node.most is None), node.most or 0)
    return 1 + sum(map(_size, node.parts if isinstance(node, Joined) else node.options))


_Spots = tuple[frozenset[int], "tuple[int, int] | None"]
"""The states that the expression may be in, and the state of the check digit's sum."""


class _Walker:
    """Follows an expression through characters: Thompson's automaton, built from the end to the start."""

    def __init__(self, tree: Node, check_digit: CheckDigit | None, text: str, alphabet: Alphabet) -> None:
        self._check_digit = check_digit
        self._moves: list[tuple[Characters, int] | None] = []  # per state: a transition over a character to a state
        self._silent: list[list[int]] = []  # per state: transitions without a character
        self._end = self._state()
        start = self._built(tree, self._end)
        self.start: _Spots = self._closed([start]), None if check_digit is None else check_digit.start

        sets = dict.fromkeys(move[0] for move in reversed(self._moves) if move)
        letters = sorted({character for symbol in alphabet.symbols for character in symbol})
        # Characters that belong to the same sets are equivalent, so they form one kind.
        self._members = {
            characters: frozenset(letter for letter in letters if characters.has(letter)) for characters in sets
        }
        for characters, members in self._members.items():
            if not members:
                raise InputError(
                    f"grammar {text!r} has {characters.source!r}, which no symbol of {alphabet} has: remove it"
                )

    def kind(self, symbol: str) -> tuple[object, ...]:
        """Return the kind of a symbol: from any state, all symbols of a kind lead to the same state."""
        if self._check_digit is not None:
            return (symbol,)
        return tuple(
            frozenset(characters for characters, members in self._members.items() if c in members) for c in symbol
        )

    def walk(self, spots: _Spots, symbol: str) -> _Spots:
        """Follow all characters of a symbol."""
        states, summed = spots
        for character in symbol:
            moves = (self._moves[state] for state in states)
            states = self._closed(move[1] for move in moves if move and character in self._members[move[0]])
            if self._check_digit is not None and summed is not None:
                summed = self._check_digit.add(summed, character)
                states = states if summed is not None else frozenset()
        return states, summed

    def ends(self, spots: _Spots) -> bool:
        """Return whether the label may end here."""
        return self._end in spots[0] and (self._check_digit is None or spots[1] == self._check_digit.end)

    def _state(self, move: tuple[Characters, int] | None = None, silent: Sequence[int] = ()) -> int:
        self._moves.append(move)
        self._silent.append(list(silent))
        return len(self._moves) - 1

    def _built(self, node: Node, end: int) -> int:
        """Build a node and return the state from which it leads to `end`."""
        if isinstance(node, Characters):
            return self._state((node, end))
        if isinstance(node, Joined):
            for part in reversed(node.parts):
                end = self._built(part, end)
            return end
        if isinstance(node, Choice):
            return self._state(silent=[self._built(option, end) for option in node.options])
        if node.most is None:
            loop = self._state(silent=[end])
            self._silent[loop].append(self._built(node.part, loop))
            end = loop
        else:
            done = end
            for _ in range(node.most - node.least):
                end = self._state(silent=[done, self._built(node.part, end)])
        for _ in range(node.least):
            end = self._built(node.part, end)
        return end

    def _closed(self, states: Iterable[int]) -> frozenset[int]:
        reached = set()
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state not in reached:
                reached.add(state)
                waiting += self._silent[state]
        return frozenset(state for state in reached if self._moves[state] or state == self._end)


def _determined(walker: _Walker, text: str, alphabet: Alphabet) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return transitions (S, C) and accepting states (S,), by the subset construction (Rabin and Scott 1959)."""
    kinds: dict[tuple[object, ...], int] = {}
    kind_of = np.array([kinds.setdefault(walker.kind(symbol), len(kinds)) for symbol in alphabet.symbols])
    examples = {kind_of[i]: symbol for i, symbol in reversed(list(enumerate(alphabet.symbols)))}
    most = min(MOST_STATES, _MOST_TRANSITIONS // alphabet.classes)
    numbers = {walker.start: 0}
    waiting = [walker.start]
    rows = []
    for spots in waiting:  # grows while it is walked
        row = []
        for kind in range(len(kinds)):
            target = walker.walk(spots, examples[kind])
            if target[0] and target not in numbers:
                numbers[target] = len(numbers)
                waiting.append(target)
            row.append(numbers[target] if target[0] else -1)
        rows.append(row)
        if len(numbers) > most:
            raise InputError(f"grammar {text!r} needs an automaton of more than {most} states: simplify it")
    nowhere = len(numbers)
    transitions = np.full((nowhere + 1, alphabet.classes), nowhere)
    table = np.array(rows)[:, kind_of]
    transitions[:-1, alphabet.indices] = np.where(table < 0, nowhere, table)
    return transitions, np.array([walker.ends(spots) for spots in numbers] + [False])


def _least_steps(transitions: Integers, accepting: npt.NDArray[np.bool_]) -> Integers:
    """Compute `Grammar.steps` by lowering bounds until none can be lowered (Bellman 1958)."""
    states, classes = transitions.shape
    index = np.arange(classes)
    steps = np.full((states, classes + 1), FAR)
    while True:
        through = steps[transitions, index] + 1
        first, second = np.partition(through, 1, axis=1)[:, :2].T
        # The minimum over all other symbols, or the same symbol after a blank.
        others = np.where(index == through.argmin(axis=1)[:, None], second[:, None], first[:, None])
        lowered = np.column_stack([np.minimum(others, through + 1), first])
        lowered[accepting] = 0
        np.minimum(lowered, FAR, out=lowered)
        if (lowered == steps).all():
            return steps
        steps = lowered
