"""The prefix search over a batch: all prefixes of all images at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .automaton import Automaton, Integers
from .forward import Floats, Indices
from .symbols import LOW, Prefixes, Symbols

_DEAD = np.array([[-1], [-2]])  # node and parent's node


def search_batch(
    rows: Floats,
    symbols: Symbols,
    remaining: Integers,
    blank: int,
    width: int,
    automaton: Automaton | None,
    factors: Floats | None = None,
) -> list[list[Indices]]:
    """The prefixes in each image's beam after its last time step, best first.

    Args:
        rows: (N, T, C) probabilities.
        symbols: that each time step may append.
        remaining: (N,) time steps to decode.
        blank: class index of the blank.
        width: prefixes kept after each time step.
        automaton: what a sequence must be.
        factors: (C + 1, C + 1) what a class after a class multiplies a prefix's probability by; C is the start.
    """
    images, steps, classes = rows.shape
    emitted = np.concatenate([rows, np.zeros((images, steps, 1))], axis=-1)
    prefixes = Prefixes(classes)
    beams = _Beams(
        chances=np.stack([np.ones((images, 1)), np.zeros((images, 1))]),
        totals=np.ones((images, 1)),
        tags=np.tile(np.array([classes, 0, -2, 0])[:, None, None], (1, images, 1)),
    )
    for step, most in enumerate(symbols.counts.max(axis=0).tolist()):
        appended = symbols.classes[:, step, :most], symbols.chances[:, step, :most]
        left = np.maximum(remaining - step - 1, 0)
        beams = _advance(beams, emitted[:, step], blank, *appended, width, prefixes, automaton, factors, left)
    keys = list(prefixes.nodes)
    return [
        prefixes.spell([node for node, total in zip(*image, strict=True) if total > 0], keys)
        for image in zip(beams.tags[1].tolist(), beams.totals.tolist(), strict=True)
    ]


class _Beams(NamedTuple):
    """K prefixes per image, best first; a dead one has no probability and a node that is no other's parent."""

    chances: Floats
    """(2, N, K): of all ways that end in a blank, and of those that end in the last label."""
    totals: Floats
    """(N, K): their sum."""
    tags: Integers
    """(4, N, K): class of the last label (C, which no step emits, for the empty prefix), node, its parent's node, and
    the automaton's state."""


def _advance(
    beams: _Beams,
    emitted: Floats,
    blank: int,
    classes: Integers,
    chances: Floats,
    width: int,
    prefixes: Prefixes,
    automaton: Automaton | None,
    factors: Floats | None,
    left: Integers,
) -> _Beams:
    """One time step: emitted (N, C + 1), with `left` (N,) more to come."""
    totals = beams.totals
    ending_blank, ending_label = beams.chances
    last, node, parent, state = beams.tags
    images, count = totals.shape
    appended = classes.shape[1]
    image = np.arange(images)[:, None]
    inflow = ending_label.copy()
    scores = np.empty((images, count, 1 + appended))  # of each prefix, and of those that grow from it
    grown = scores[:, :, 1:]
    # A repeated label is a new character only after a blank.
    repeats = classes[:, None, :] == last[:, :, None]
    ways = np.where(repeats, ending_blank[:, :, None], totals[:, :, None])
    np.multiply(ways, chances[:, None, :], out=grown)
    if factors is not None:
        grown *= factors[last[:, :, None], classes[:, None, :]]

    # Where prefix `short` and one more label is prefix `long`, the two ways to it are one.
    n, short, long = np.nonzero(node[:, :, None] == parent[:, None, :])
    if n.size:
        label = last[n, long]
        flows = np.where(label == last[n, short], ending_blank[n, short], totals[n, short])
        if factors is not None:
            flows *= factors[last[n, short], label]
        inflow[n, long] += flows
        pair, symbol = np.nonzero(classes[n] == label[:, None])
        grown[n[pair], short[pair], symbol] = 0.0

    stays = np.empty_like(beams.chances)
    np.multiply(totals, emitted[:, blank, None], out=stays[0])
    np.multiply(inflow, emitted[image, last], out=stays[1])
    if automaton is not None:
        grown *= automaton.needs_after(state[:, :, None], classes[:, None, :]) <= left[:, None, None]
        stays[0] *= automaton.needs(state, -1) <= left[:, None]
        stays[1] *= automaton.needs(state, last) <= left[:, None]
    np.add(stays[0], stays[1], out=scores[:, :, 0])

    flat = scores.reshape(images, -1)
    # Stable, so that of equals the same ones are kept whatever else is in the batch.
    chosen = np.argsort(-flat, axis=1, kind="stable")[:, :width]
    totals = flat[image, chosen]
    source, symbol = np.divmod(chosen, 1 + appended)
    kept, tags = stays[:, image, source], beams.tags[:, image, source]
    n, slot = np.nonzero((symbol > 0) & (totals > 0))
    if n.size:
        kept[0, n, slot] = 0.0
        kept[1, n, slot] = totals[n, slot]
        index = classes[n, symbol[n, slot] - 1]
        tags[2, n, slot] = tags[1, n, slot]
        tags[0, n, slot] = index
        tags[1, n, slot] = prefixes.grow(tags[2, n, slot], index)
        if automaton is not None:
            tags[3, n, slot] = automaton.follow(tags[3, n, slot], index)
    if not totals[:, -1].all():
        dead = totals == 0
        kept[:, dead], tags[1:3, dead] = 0.0, _DEAD
    return _scaled(_Beams(kept, totals, tags))


def _scaled(beams: _Beams) -> _Beams:
    """Multiplied by a power of two where an image needs it, which is exact, so that long inputs do not underflow."""
    best = beams.totals[:, :1]
    if best.min() > LOW:
        return beams
    exponent = np.where(best > LOW, 0, -np.frexp(best)[1])
    return beams._replace(chances=np.ldexp(beams.chances, exponent), totals=np.ldexp(beams.totals, exponent))
