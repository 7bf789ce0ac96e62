"""The prefix search over a batch: scores all prefixes of all images at once.

Shapes: N images, K prefixes per image, J symbols that a time step may append, C classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .automaton import Automaton, Integers
from .forward import Floats, Indices
from .symbols import LOW, Prefixes, Symbols

_DEAD = np.array([[-1], [-2]])
"""Node of a dead prefix, and of its parent."""


def search_batch(
    rows: Floats,
    symbols: Symbols,
    remaining: Integers,
    blank: int,
    width: int,
    automaton: Automaton | None,
    factors: Floats | None = None,
) -> list[list[Indices]]:
    """Find the prefixes in each image's beam after its last time step, best first.

    Args:
        rows: (N, T, C) probabilities.
        symbols: what each time step may append.
        remaining: (N,) time steps to decode.
        blank: class index of the blank.
        width: prefixes kept after each time step.
        automaton: what a sequence must be.
        factors: (C + 1, C + 1) multiplier of a prefix's probability for a class after a class; C is the start.
    """
    images, steps, classes = rows.shape
    emitted = np.concatenate([rows, np.zeros((images, steps, 1))], axis=-1)
    search = _BatchSearch(blank, width, automaton, factors, Prefixes(classes))
    beams = _Beams(
        chances=np.stack([np.ones((images, 1)), np.zeros((images, 1))]),
        totals=np.ones((images, 1)),
        tags=np.tile(np.array([classes, 0, -2, 0])[:, None, None], (1, images, 1)),
    )
    for step, most in enumerate(symbols.counts.max(axis=0).tolist()):
        left = np.maximum(remaining - step - 1, 0)
        labels, chances = symbols.classes[:, step, :most], symbols.chances[:, step, :most]
        beams = search.advance(beams, _Step(emitted[:, step], labels, chances, left))
    keys = list(search.prefixes.nodes)
    return [
        search.prefixes.spell([node for node, total in zip(*image, strict=True) if total > 0], keys)
        for image in zip(beams.tags[1].tolist(), beams.totals.tolist(), strict=True)
    ]


class _Beams(NamedTuple):
    """K prefixes per image, best first; a dead one has no probability and a node that is no other's parent."""

    chances: Floats
    """(2, N, K): of all alignments that end in a blank, and of those that end in the last label."""
    totals: Floats
    """(N, K): their sum."""
    tags: Integers
    """(4, N, K): class of the last label (C, which no step emits, for the empty prefix), node, its parent's node, and
    the automaton's state."""


class _Step(NamedTuple):
    """A time step of all images."""

    emitted: Floats
    """(N, C + 1): probabilities, and a 0 for the class that no step emits."""
    labels: Integers
    """(N, J): the classes that it may append."""
    chances: Floats
    """(N, J): their probabilities."""
    left: Integers
    """(N,): time steps to come after it."""


class _BatchSearch(NamedTuple):
    """The search over a batch, with the arguments of `search_batch`, which do not change from step to step."""

    blank: int
    width: int
    automaton: Automaton | None
    factors: Floats | None
    prefixes: Prefixes

    def advance(self, beams: _Beams, step: _Step) -> _Beams:
        """Score every prefix that stays or grows in one time step, and keep the best of each image."""
        images, count = beams.totals.shape
        scores = np.empty((images, count, 1 + step.labels.shape[1]))  # column 0: it stays; column j: it grows by j - 1
        grown = scores[:, :, 1:]
        self._grow(beams, step, grown)
        inflow = self._merge(beams, step, grown)
        stays = self._stay(beams, step, inflow)
        np.add(stays[0], stays[1], out=scores[:, :, 0])
        return _scaled(self._select(beams, step, stays, scores))

    def _grow(self, beams: _Beams, step: _Step, grown: Floats) -> None:
        """Set `grown` (N, K, J) to the probability of every prefix with one label more."""
        last, _, _, state = beams.tags
        # A repeated label is a new character only after a blank.
        repeats = step.labels[:, None, :] == last[:, :, None]
        before = np.where(repeats, beams.chances[0][:, :, None], beams.totals[:, :, None])
        np.multiply(before, step.chances[:, None, :], out=grown)
        if self.factors is not None:
            grown *= self.factors[last[:, :, None], step.labels[:, None, :]]
        if self.automaton is not None:
            grown *= self.automaton.needs_after(state[:, :, None], step.labels[:, None, :]) <= step.left[:, None, None]

    def _merge(self, beams: _Beams, step: _Step, grown: Floats) -> Floats:
        """Join the two ways to one prefix: it stays, or a prefix one label shorter grows into it.

        Such growth is removed from `grown`, and flows into the prefix that stays.

        Returns:
            (N, K): what each prefix has before its last label is emitted.
        """
        last, node, parent, _ = beams.tags
        inflow: Floats = beams.chances[1].copy()
        image, short, long = np.nonzero(node[:, :, None] == parent[:, None, :])
        if not image.size:
            return inflow
        label, label_before = last[image, long], last[image, short]
        flows = np.where(label == label_before, beams.chances[0][image, short], beams.totals[image, short])
        if self.factors is not None:
            flows *= self.factors[label_before, label]
        inflow[image, long] += flows
        pair, symbol = np.nonzero(step.labels[image] == label[:, None])
        grown[image[pair], short[pair], symbol] = 0.0
        return inflow

    def _stay(self, beams: _Beams, step: _Step, inflow: Floats) -> Floats:
        """Return `chances` (2, N, K) of the prefixes that do not grow, but emit a blank or their last label again."""
        last, _, _, state = beams.tags
        stays = np.empty_like(beams.chances)
        np.multiply(beams.totals, step.emitted[:, self.blank, None], out=stays[0])
        np.multiply(inflow, step.emitted[np.arange(len(last))[:, None], last], out=stays[1])
        if self.automaton is not None:
            stays[0] *= self.automaton.needs(state, -1) <= step.left[:, None]
            stays[1] *= self.automaton.needs(state, last) <= step.left[:, None]
        return stays

    def _select(self, beams: _Beams, step: _Step, stays: Floats, scores: Floats) -> _Beams:
        """Keep the best prefixes of each image by `scores` (N, K, 1 + J)."""
        images, _, choices = scores.shape
        every_image = np.arange(images)[:, None]
        flat = scores.reshape(images, -1)
        # Stable, so that of equals the same ones are kept whatever else is in the batch.
        chosen = np.argsort(-flat, axis=1, kind="stable")[:, : self.width]
        totals = flat[every_image, chosen]
        source, choice = np.divmod(chosen, choices)
        chances = stays[:, every_image, source]
        tags = beams.tags[:, every_image, source]

        image, slot = np.nonzero((choice > 0) & (totals > 0))  # the prefixes that have grown
        if image.size:
            label = step.labels[image, choice[image, slot] - 1]
            parent = tags[1, image, slot]
            chances[0, image, slot] = 0.0
            chances[1, image, slot] = totals[image, slot]
            tags[0, image, slot] = label
            tags[1, image, slot] = self.prefixes.grow(parent, label)
            tags[2, image, slot] = parent
            if self.automaton is not None:
                tags[3, image, slot] = self.automaton.follow(tags[3, image, slot], label)
        if not totals[:, -1].all():
            dead = totals == 0
            chances[:, dead] = 0.0
            tags[1:3, dead] = _DEAD
        return _Beams(chances, totals, tags)


def _scaled(beams: _Beams) -> _Beams:
    """Multiply by a power of two where an image needs it, which is exact, so that long inputs do not underflow."""
    best = beams.totals[:, :1]
    if best.min() > LOW:
        return beams
    exponent = np.where(best > LOW, 0, -np.frexp(best)[1])
    return beams._replace(chances=np.ldexp(beams.chances, exponent), totals=np.ldexp(beams.totals, exponent))
