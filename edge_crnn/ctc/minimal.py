"""The smallest automaton that accepts a list of labels.

Shapes: S states, E edges, C classes.
"""

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
    """An acyclic `Automaton`. Its edges lie sorted in one array, since most states have only one or two."""

    classes: int
    keys: Integers
    """(E,), ascending: state * C + class of each edge."""
    targets: Integers
    """(E,): the states that the edges lead to."""
    least: Integers
    """(S,): the fewest time steps that completing a label takes from a state on."""
    clashes: Integers
    """(S,): the class that costs one more time step, a blank, if the step before has it; NO_CLASS: there is none."""

    @cached_property
    def used(self) -> npt.NDArray[np.bool_]:
        """See `Automaton`."""
        used = np.zeros(self.classes, np.bool_)
        used[self.keys % self.classes] = True
        return used

    def follow(self, states: Integers, indices: Integers) -> Integers:
        """See `Automaton`."""
        after: Integers = self.targets[self._edges(states, indices)[0]]
        return after

    def needs(self, states: Integers, last: Integers | int) -> Integers:
        """See `Automaton`."""
        steps: Integers = self.least[states] + (self.clashes[states] == last)
        return steps

    def needs_after(self, states: Integers, indices: Integers) -> Integers:
        """See `Automaton`."""
        edges, exists = self._edges(states, indices)
        return np.where(exists, self.needs(self.targets[edges], indices), FAR)

    def edges_of(self, state: int) -> list[tuple[int, int]]:
        """List the edges that leave a state: class, and state after it."""
        first, last = np.searchsorted(self.keys, [state * self.classes, (state + 1) * self.classes])
        return [*zip((self.keys[first:last] % self.classes).tolist(), self.targets[first:last].tolist(), strict=True)]

    @cached_property
    def singly(self) -> Singly:
        """See `Automaton`."""
        # The elements of a memory view are Python's own numbers, which are far quicker to compare than NumPy's.
        keys, targets, least, clashes = (array.data for array in (self.keys, self.targets, self.least, self.clashes))
        classes = self.classes
        end = len(keys)

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
        """Return the edges over these classes, and whether they exist; a missing edge is replaced by any other."""
        keys = states * self.classes + indices
        edges = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return edges, self.keys[edges] == keys


class _Trie(NamedTuple):
    """Node 0 is the root, and the edge to node n is edge n - 1; edges are sorted by parent, then by symbol."""

    parents: Integers
    """(E,)."""
    symbols: Integers
    """(E,)."""
    accepting: npt.NDArray[np.bool_]
    """(E + 1,): whether a label ends at a node."""
    levels: list[int]
    """The first edge of each level."""


class _States(NamedTuple):
    """The states of the smallest automaton, numbered from the root, 0, down to the leaves."""

    accepting: npt.NDArray[np.bool_]
    """(S,): whether a label ends in a state."""
    ends: Integers
    """(S,): where a state's edges end; the next state's begin there."""
    symbols: Integers
    """(E,)."""
    targets: Integers
    """(E,)."""
    heights: list[slice]
    """The states of each height, lowest first, without the leaves, which have no edges."""


def minimal(entries: Sequence[Indices], classes: int) -> Minimal:
    """Build the smallest automaton that accepts sorted, distinct, non-empty labels and nothing else."""
    states = _merge(_trie(entries), classes)
    least, clashes = _shortest_ends(states)
    edges_per_state = np.diff(states.ends, prepend=0)
    sources = np.repeat(np.arange(len(states.ends)), edges_per_state)
    return Minimal(classes, sources * classes + states.symbols, states.targets, least, clashes)


def _trie(entries: Sequence[Indices]) -> _Trie:
    """Build the trie level by level, from the root down."""
    lengths = np.array([len(entry) for entry in entries])
    symbols = np.fromiter(chain.from_iterable(entries), np.int64, lengths.sum())
    starts = np.cumsum(lengths) - lengths
    nodes = np.zeros(len(entries), np.int64)  # of each entry's beginning
    differs = np.arange(len(entries)) == 0  # whether that beginning differs from that of the entry before
    parents = []
    appended = []
    levels = []
    count = 1
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


def _merge(trie: _Trie, classes: int) -> _States:
    """Merge nodes that have the same ends below them into one state, height by height (Revuz 1992)."""
    count = len(trie.accepting)
    degrees = np.bincount(trie.parents, minlength=count)
    first_edges = np.cumsum(degrees) - degrees
    merged = np.zeros(count, np.int64)  # node -> state, numbered from the leaves up
    examples = []  # for each state, one of the nodes that it stands for
    sizes = [0]  # states up to each height
    for nodes in _by_height(trie):
        # A node's kind identifies whether a label ends there and which edges it has, which are added one by one.
        kinds = trie.accepting[nodes].astype(np.int64)
        for edge in range(degrees[nodes].max()):
            more = degrees[nodes] > edge
            edges = first_edges[nodes[more]] + edge
            signatures = (kinds[more] * classes + trie.symbols[edges]) * count + merged[edges + 1]
            kinds[more] = kinds.max() + 1 + np.unique(signatures, return_inverse=True)[1]
        _, example, kind = np.unique(kinds, return_index=True, return_inverse=True)
        merged[nodes] = sizes[-1] + kind
        examples.append(nodes[example])
        sizes.append(sizes[-1] + len(example))

    total = sizes[-1]
    nodes = np.concatenate(examples)[::-1]
    degrees = degrees[nodes]
    ends = np.cumsum(degrees)
    edges = np.arange(ends[-1]) + np.repeat(first_edges[nodes] - ends + degrees, degrees)
    heights = [slice(total - upper, total - lower) for lower, upper in pairwise(sizes[1:])]
    return _States(trie.accepting[nodes], ends, trie.symbols[edges], total - 1 - merged[edges + 1], heights)


def _by_height(trie: _Trie) -> list[Integers]:
    """Group nodes by the distance to their farthest leaf, lowest first: only nodes of one height can be one state."""
    heights = np.zeros(len(trie.accepting), np.int64)
    end = len(trie.parents)
    for start in reversed(trie.levels):
        np.maximum.at(heights, trie.parents[start:end], heights[start + 1 : end + 1] + 1)
        end = start
    order = np.argsort(heights, kind="stable")
    return np.split(order, np.cumsum(np.bincount(heights))[:-1])


def _shortest_ends(states: _States) -> tuple[Integers, Integers]:
    """Compute `Minimal.least` and `Minimal.clashes`, from the leaves up to the root.

    A state clashes with a class if every shortest completion begins with that class.
    """
    least = np.zeros(len(states.ends), np.int64)
    clashes = np.full(len(states.ends), NO_CLASS)
    degrees = np.diff(states.ends, prepend=0)
    for height in states.heights:
        starts = states.ends[height] - degrees[height]
        edges = slice(starts[0], states.ends[height][-1])
        firsts = starts - starts[0]
        symbol, target = states.symbols[edges], states.targets[edges]
        steps = 1 + least[target] + (clashes[target] == symbol)
        fewest = np.minimum.reduceat(steps, firsts)
        is_best = steps == np.repeat(fewest, degrees[height])
        has_one_best = np.add.reduceat(is_best, firsts, dtype=np.int64) == 1
        best_symbol = np.add.reduceat(np.where(is_best, symbol, 0), firsts)  # if there is only one
        continues = ~states.accepting[height]
        least[height] = np.where(continues, fewest, 0)
        clashes[height] = np.where(continues & has_one_best, best_symbol, NO_CLASS)
    return least, clashes
