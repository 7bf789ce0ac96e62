"""Data that both prefix searches, over a batch and over single images, work with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .automaton import Automaton, Integers
from .forward import Floats, Indices

LOW = 2.0**-300
"""A beam whose best prefix is less probable is multiplied by a power of two, which is exact, so that long inputs do
not underflow."""


class Prefixes:
    """A trie of all prefixes seen so far: nodes are numbers, and 0 is the empty prefix."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.nodes = {-1: 0}  # parent * classes + class → node, in the order of the nodes

    def grow(self, parents: Integers, indices: Integers) -> list[int]:
        """Return the nodes of prefixes that are one label longer."""
        nodes = self.nodes
        return [nodes.setdefault(key, len(nodes)) for key in (parents * self.classes + indices).tolist()]

    def spell(self, nodes: list[int], keys: list[int]) -> list[Indices]:
        """Return the labels of prefixes; `keys` is `list(self.nodes)`."""
        sequences = []
        for node in nodes:
            indices = []
            while node:
                node, index = divmod(keys[node], self.classes)
                indices.append(index)
            sequences.append(tuple(reversed(indices)))
        return sequences


class Symbols(NamedTuple):
    """The symbols that each time step may append, in the order of the classes. J is the largest count."""

    counts: Integers
    """(N, T): number of symbols."""
    classes: Integers
    """(N, T, J): their classes."""
    chances: Floats
    """(N, T, J): their probabilities, 0 from `counts` on."""


def select(rows: Floats, blank: int, min_ratio: float, top_k: int | None, automaton: Automaton | None) -> Symbols:
    """Select the symbols that are worth trying in (N, T, C) probabilities; see `Search` for the criteria."""
    images, steps, classes = rows.shape
    chances = rows.copy()
    chances[:, :, blank] = 0.0
    if automaton is not None:
        chances[:, :, ~automaton.used] = 0.0
    allowed = (chances > 0) & (chances >= min_ratio * rows.max(axis=-1, keepdims=True))
    if top_k is not None and top_k < classes - 1:
        crowded = np.count_nonzero(allowed, axis=-1) > top_k
        many: Floats = chances[crowded]
        allowed[crowded] &= many >= np.partition(many, -top_k, axis=-1)[:, -top_k, np.newaxis]
    counts = np.count_nonzero(allowed, axis=-1)
    image, step, index = np.nonzero(allowed)
    place = np.arange(len(index)) - np.repeat(np.cumsum(counts.ravel()) - counts.ravel(), counts.ravel())
    symbols = Symbols(
        counts, np.zeros((images, steps, counts.max()), np.int64), np.zeros((images, steps, counts.max()))
    )
    symbols.classes[image, step, place] = index
    symbols.chances[image, step, place] = rows[image, step, index]
    return symbols
