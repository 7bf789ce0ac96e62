"""Prefix beam search."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .decoded import Decoded, checked
from .forward import Floats, Indices, align, forward

Integers = npt.NDArray[np.int64]


def beam(
    probabilities: npt.ArrayLike,
    blank: int,
    skip_steps: int = 0,
    *,
    width: int = 10,
    n_best: int = 1,
    min_ratio: float = 1e-5,
) -> list[list[Decoded]]:
    """Prefix beam search (Hannun 2014): per image, the most probable label sequences found, best first.

    The search proposes `width` sequences; their confidences are exact posteriors, and rank them: a beam can
    miss a sequence but never misjudge one. Spans are those of a sequence's most probable alignment.

    Args:
        probabilities: (N, T, C) float; each row over C sums to 1.
        blank: class index of the blank.
        skip_steps: leading time steps that are not decoded.
        width: prefixes kept after each time step.
        n_best: sequences returned per image, at most `width`; fewer where fewer are possible.
        min_ratio: a time step starts a new character only with a class at least this probable relative to the
            step's most probable class; 0 tries all. It saves work, and changes no posterior.

    Raises:
        InputError: if an argument is not as said above.
    """
    rows = checked(probabilities, blank, skip_steps)
    if width < 1:
        raise InputError(f"width is {width}, expected at least 1 prefix to keep")
    if not 1 <= n_best <= width:
        raise InputError(f"n_best is {n_best}, expected 1 to {width}, the width of the beam; widen the beam for more")
    if not 0.0 <= min_ratio <= 1.0:
        raise InputError(f"min_ratio is {min_ratio}, expected 0 (all classes) to 1 (only the most probable)")
    proposed = _search(rows, blank, width, min_ratio) if len(rows) else []

    images = np.repeat(np.arange(len(rows)), [len(sequences) for sequences in proposed])
    sequences = [sequence for found in proposed for sequence in found]
    posteriors = forward(rows, images, sequences, blank)
    # Stable: where posteriors underflow to 0, the search's own order stands.
    ranking = np.lexsort((-posteriors, images))
    first = np.searchsorted(images, images)
    ranking = ranking[np.arange(len(ranking)) - first < n_best]

    images, sequences, posteriors = images[ranking], [sequences[i] for i in ranking], posteriors[ranking]
    results: list[list[Decoded]] = [[] for _ in proposed]
    alignments = align(rows, images, sequences, blank)
    for image, sequence, confidence, spans in zip(
        images.tolist(), sequences, posteriors.tolist(), alignments, strict=True
    ):
        peaks = tuple(
            float(rows[image, start:end, index].max()) for index, (start, end) in zip(sequence, spans, strict=True)
        )
        shifted = tuple((start + skip_steps, end + skip_steps) for start, end in spans)
        results[image].append(Decoded(sequence, confidence, peaks, shifted))
    return results


class _Prefixes:
    """A trie of all prefixes seen: a node is an int, 0 the empty prefix."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.nodes = {-1: 0}  # parent * classes + class → node, in the order of the nodes

    def grow(self, parents: Integers, indices: Integers) -> list[int]:
        nodes = self.nodes
        return [nodes.setdefault(key, len(nodes)) for key in (parents * self.classes + indices).tolist()]

    def spell(self, nodes: list[int]) -> list[Indices]:
        keys = list(self.nodes)
        sequences = []
        for node in nodes:
            indices = []
            while node:
                node, index = divmod(keys[node], self.classes)
                indices.append(index)
            sequences.append(tuple(reversed(indices)))
        return sequences


class _Beams(NamedTuple):
    """(N, K) prefixes; a dead one has no probability and a node that is no other's parent."""

    ending_blank: Floats
    ending_label: Floats
    last: Integers  # class of the last label; C, which no step emits, for the empty prefix
    node: Integers
    parent: Integers

    def scaled(self) -> _Beams:
        """Divided by a power of two per image, which is exact, so that long inputs do not underflow."""
        _, exponent = np.frexp((self.ending_blank + self.ending_label).max(axis=1, keepdims=True))
        return self._replace(
            ending_blank=np.ldexp(self.ending_blank, -exponent),
            ending_label=np.ldexp(self.ending_label, -exponent),
        )


def _search(rows: Floats, blank: int, width: int, min_ratio: float) -> list[list[Indices]]:
    images, steps, classes = rows.shape
    allowed = (rows > 0) & (rows >= min_ratio * rows.max(axis=-1, keepdims=True))
    allowed[:, :, blank] = False
    # Per image and step the allowed classes come first, by index; the others get no chance.
    symbols = np.argsort(~allowed, axis=-1, kind="stable")
    chances = np.take_along_axis(np.where(allowed, rows, 0.0), symbols, axis=-1)
    most_allowed = allowed.sum(axis=-1).max(axis=0).tolist()
    emitted = np.concatenate([rows, np.zeros((images, steps, 1))], axis=-1)
    prefixes = _Prefixes(classes)
    beams = _Beams(
        ending_blank=np.ones((images, 1)),
        ending_label=np.zeros((images, 1)),
        last=np.full((images, 1), classes),
        node=np.zeros((images, 1), np.int64),
        parent=np.full((images, 1), -2),
    )
    for step, most in enumerate(most_allowed):
        beams = _advance(
            beams, emitted[:, step], blank, symbols[:, step, :most], chances[:, step, :most], width, prefixes
        )
    total = beams.ending_blank + beams.ending_label
    return [
        prefixes.spell([node for node, chance in zip(*image, strict=True) if chance > 0])
        for image in zip(beams.node.tolist(), total.tolist(), strict=True)
    ]


def _advance(
    beams: _Beams,
    emitted: Floats,
    blank: int,
    symbols: Integers,
    chances: Floats,
    width: int,
    prefixes: _Prefixes,
) -> _Beams:
    """One time step: emitted (N, C + 1); symbols and chances (N, J) of the classes that may be appended."""
    images, count = beams.node.shape
    appended = symbols.shape[1]
    image = np.arange(images)[:, None]
    total = beams.ending_blank + beams.ending_label
    emitted_last = emitted[image, beams.last]
    stay_blank = total * emitted[:, blank, None]
    stay_label = beams.ending_label * emitted_last
    # A repeated label is a new character only after a blank.
    repeats = symbols[:, None, :] == beams.last[:, :, None]
    grown = np.where(repeats, beams.ending_blank[:, :, None], total[:, :, None]) * chances[:, None, :]

    # Where prefix `short` and one more label is prefix `long`, the two ways to it are one.
    n, short, long = np.nonzero(beams.node[:, :, None] == beams.parent[:, None, :])
    label = beams.last[n, long]
    ways = np.where(label == beams.last[n, short], beams.ending_blank[n, short], total[n, short])
    stay_label[n, long] += ways * emitted_last[n, long]
    pair, symbol = np.nonzero(symbols[n] == label[:, None])
    grown[n[pair], short[pair], symbol] = 0.0

    scores = np.concatenate([stay_blank + stay_label, grown.reshape(images, count * appended)], axis=1)
    # Stable, so that of equals the same ones are kept whatever else is in the batch.
    chosen = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    score = scores[image, chosen]
    stays = chosen < count
    source, symbol = np.divmod(np.maximum(chosen - count, 0), max(appended, 1))
    source = np.where(stays, chosen, source)

    last, node, parent = beams.last[image, source], beams.node[image, source], beams.parent[image, source]
    grows = ~stays & (score > 0)
    if grows.any():
        parent[grows] = node[grows]
        last[grows] = symbols[image, symbol][grows]
        node[grows] = prefixes.grow(parent[grows], last[grows])
    dead = score <= 0
    node[dead], parent[dead] = -1, -2
    return _Beams(
        ending_blank=np.where(stays, stay_blank[image, source], 0.0),
        ending_label=np.where(stays, stay_label[image, source], score),
        last=last,
        node=node,
        parent=parent,
    ).scaled()
