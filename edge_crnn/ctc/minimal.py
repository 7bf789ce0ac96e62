"""The smallest automaton of a list of labels."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .automaton import FAR, Integers, Singly
from .forward import Indices

NO_CLASS = -2
"""Neither a class nor -1, the blank."""


@dataclass(frozen=True, eq=False)
class Minimal:
    """An acyclic `Automaton`. Its edges lie sorted in one array, as most states have but one or two."""

    classes: int
    keys: Integers
    """(E,), ascending: state * C + class of each edge."""
    targets: Integers
    """(E,): the states that the edges lead to."""
    least: Integers
    """(S,): the fewest time steps that completing a label takes from a state on."""
    clashes: Integers
    """(S,): after a time step of this class it takes one more, a blank; NO_CLASS: after none."""

    @cached_property
    def used(self) -> npt.NDArray[np.bool_]:
        """As `Automaton`."""
        found = np.zeros(self.classes, np.bool_)
        found[self.keys % self.classes] = True
        return found

    def follow(self, states: Integers, indices: Integers) -> Integers:
        """As `Automaton`."""
        after: Integers = self.targets[self._edges(states, indices)[0]]
        return after

    def needs(self, states: Integers, last: Integers | int) -> Integers:
        """As `Automaton`."""
        steps: Integers = self.least[states] + (self.clashes[states] == last)
        return steps

    def needs_after(self, states: Integers, indices: Integers) -> Integers:
        """As `Automaton`."""
        edges, there = self._edges(states, indices)
        return np.where(there, self.needs(self.targets[edges], indices), FAR)

    def edges_of(self, state: int) -> list[tuple[int, int]]:
        """Class and state after it."""
        first, last = np.searchsorted(self.keys, [state * self.classes, (state + 1) * self.classes])
        return [*zip((self.keys[first:last] % self.classes).tolist(), self.targets[first:last].tolist(), strict=True)]

    @cached_property
    def singly(self) -> Singly:
        """As `Automaton`."""
        # Of a view, an element is a number of Python's own, far quicker to compare than one of NumPy's.
        keys, targets, least, clashes = (each.data for each in (self.keys, self.targets, self.least, self.clashes))
        classes, end = self.classes, len(keys)

        def follow(state: int, index: int) -> int:
            return targets[bisect_left(keys, state * classes + index)]

        def needs(state: int, last: int) -> int:
            return least[state] + (clashes[state] == last)

        def needs_after(state: int, index: int) -> int:
            key = state * classes + index
            edge = bisect_left(keys, key)
            return needs(targets[edge], index) if edge < end and keys[edge] == key else FAR

        return Singly(follow, needs, needs_after)

    def _edges(self, states: Integers, indices: Integers) -> tuple[Integers, npt.NDArray[np.bool_]]:
        wanted = states * self.classes + indices
        edges = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return edges, self.keys[edges] == wanted


class _Trie(NamedTuple):
    """Node 0 is the root, and the edge to node n is edge n - 1; edges are sorted by parent, then by symbol."""

    parents: Integers
    symbols: Integers
    accepting: npt.NDArray[np.bool_]
    """Of each node: whether a label ends here."""
    levels: list[int]
    """The first edge of each level."""


def minimal(entries: Sequence[Indices], classes: int) -> Minimal:
    """Of sorted, distinct labels; states that the same ends follow are one (Revuz 1992, height by height)."""
    trie = _trie(entries)
    count = len(trie.accepting)
    degrees = np.bincount(trie.parents, minlength=count)
    first_edges = np.cumsum(degrees) - degrees
    by_height = _by_height(trie)

    merged = np.zeros(count, np.int64)
    examples = []  # for each state one node that it stands for
    sizes = [0]
    for nodes in by_height:
        # The state of a node is told by its edges, taken in one after the other.
        kinds = trie.accepting[nodes].astype(np.int64)
        for edge in range(degrees[nodes].max()):
            more = degrees[nodes] > edge
            edges = first_edges[nodes[more]] + edge
            signs = (kinds[more] * classes + trie.symbols[edges]) * count + merged[edges + 1]
            kinds[more] = kinds.max() + 1 + np.unique(signs, return_inverse=True)[1]
        _, example, kind = np.unique(kinds, return_index=True, return_inverse=True)
        merged[nodes] = sizes[-1] + kind
        examples.append(nodes[example])
        sizes.append(sizes[-1] + len(example))

    # Numbered from the highest, the root, down.
    states = sizes[-1]
    nodes = np.concatenate(examples)[::-1]
    degrees = degrees[nodes]
    ends = np.cumsum(degrees)
    edges = np.arange(ends[-1]) + np.repeat(first_edges[nodes] - ends + degrees, degrees)
    symbols, targets = trie.symbols[edges], states - 1 - merged[edges + 1]
    least, clashes = np.zeros(states, np.int64), np.full(states, NO_CLASS)
    for lower, upper in pairwise(sizes[1:]):  # the lowest have no edges
        part = slice(states - upper, states - lower)
        starts = ends[part] - degrees[part]
        through = slice(starts[0], ends[part][-1])
        symbol, target = symbols[through], targets[through]
        steps = 1 + least[target] + (clashes[target] == symbol)
        fewest = np.minimum.reduceat(steps, starts - starts[0])
        best = steps == np.repeat(fewest, degrees[part])
        alone = np.add.reduceat(best, starts - starts[0], dtype=np.int64) == 1
        only = np.add.reduceat(np.where(best, symbol, 0), starts - starts[0])
        goes_on = ~trie.accepting[nodes[part]]
        least[part] = np.where(goes_on, fewest, 0)
        clashes[part] = np.where(goes_on & alone, only, NO_CLASS)
    keys = np.repeat(np.arange(states), degrees) * classes + symbols
    return Minimal(classes, keys, targets, least, clashes)


def _trie(entries: Sequence[Indices]) -> _Trie:
    lengths = np.array([len(entry) for entry in entries])
    symbols = np.fromiter(chain.from_iterable(entries), np.int64, lengths.sum())
    starts = np.cumsum(lengths) - lengths
    nodes = np.zeros(len(entries), np.int64)  # of each entry's beginning
    differs = np.arange(len(entries)) == 0  # whose beginning is not that of the entry before
    parents, appended, levels, count = [], [], [], 1
    for depth in range(lengths.max()):
        longer = lengths > depth
        column = np.full(len(entries), -1)
        column[longer] = symbols[starts[longer] + depth]
        differs[1:] |= column[1:] != column[:-1]
        new = longer & differs
        levels.append(count - 1)
        parents.append(nodes[new])
        appended.append(column[new])
        nodes[longer] = count - 1 + np.cumsum(new)[longer]
        count += len(parents[-1])
    accepting = np.zeros(count, np.bool_)
    accepting[nodes] = True
    return _Trie(np.concatenate(parents), np.concatenate(appended), accepting, levels)


def _by_height(trie: _Trie) -> list[Integers]:
    """Nodes by how far their farthest leaf is, lowest first: only nodes of one height can be one state."""
    heights = np.zeros(len(trie.accepting), np.int64)
    end = len(trie.parents)
    for start in reversed(trie.levels):
        np.maximum.at(heights, trie.parents[start:end], heights[start + 1 : end + 1] + 1)
        end = start
    order = np.argsort(heights, kind="stable")
    return np.split(order, np.cumsum(np.bincount(heights))[:-1])
