"""Prefix beam search, free or within a grammar."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .automaton import Integers
from .candidates import Search
from .decoded import Decoded, Form, Scored, checked
from .forward import Floats, Indices, align, forward, placed
from .grammar import Grammar
from .lexicon import Lexicon
from .prior import Prior


def beam(
    scores: npt.ArrayLike,
    blank: int,
    skip_steps: int = 0,
    *,
    width: int = 10,
    n_best: int = 1,
    min_ratio: float = 1e-5,
    top_k: int | None = 12,
    grammar: Grammar | None = None,
    lexicon: Lexicon | None = None,
    prior: Prior | None = None,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
) -> list[list[Decoded]]:
    """Prefix beam search (Hannun 2014): per image, the most probable label sequences found, best first.

    The search proposes `width` sequences; their confidences are exact posteriors, and rank them: a beam can
    miss a sequence but never misjudge one. Spans are those of a sequence's most probable alignment.

    With a grammar, only its sequences are searched and returned; their posteriors are those that they have without
    it. An image in which none of them has any probability gets an empty list.

    With a lexicon, its labels are searched beside all others, or alone if its weight is infinite; a prior multiplies
    prefixes in the search. The best is then the one with the greatest `Decoded.weighted`, while confidences remain the
    network's own posteriors. Of known labels, those that a grammar refuses are not read.

    Args:
        scores: (N, T, C) float.
        blank: class index of the blank.
        skip_steps: leading time steps that are not decoded.
        width: prefixes kept after each time step.
        n_best: sequences returned per image, at most `width`; fewer where fewer are possible.
        min_ratio: a time step starts a new character only with a class at least this probable relative to the
            step's most probable class; 0 tries all. It saves work, and changes no posterior.
        top_k: a time step starts a new character only with one of its `top_k` most probable symbols, and of those
            that are as probable as the last of them; None tries all. It saves work, and changes no posterior.
        grammar: what a sequence must be, compiled for the C classes.
        lexicon: which labels are known.
        prior: how probable labels are.
        form: what the scores are.
        lengths: (N,) int; per image the time steps that count, the skipped ones among them; None: all T.

    Raises:
        InputError: if the scores are not of that form, another argument is not as said above, or the shortest
            sequence of grammar or lexicon needs more time steps than an image has.
    """
    rows = checked(scores, blank, skip_steps, form, lengths)
    remaining = steps_left(rows, skip_steps, lengths)
    found = _best(rows, remaining, Search(blank, width, n_best, min_ratio, top_k, grammar, lexicon, prior))
    images, sequences, posteriors, beliefs = found
    results: list[list[Decoded]] = [[] for _ in rows]
    alignments = align(rows, images, sequences, blank)
    for image, sequence, confidence, spans, belief in zip(
        images.tolist(), sequences, posteriors.tolist(), alignments, beliefs, strict=True
    ):
        results[image].append(Decoded(sequence, confidence, *placed(rows[image], sequence, spans, skip_steps), *belief))
    return results


def search(
    scores: npt.ArrayLike,
    blank: int,
    skip_steps: int = 0,
    *,
    width: int = 10,
    n_best: int = 1,
    min_ratio: float = 1e-5,
    top_k: int | None = 12,
    grammar: Grammar | None = None,
    lexicon: Lexicon | None = None,
    prior: Prior | None = None,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
) -> list[list[Scored]]:
    """`beam`, labels and score only: the same sequences in the same order, with the logarithms of their posteriors.

    A posterior too small for a float64 is 0, and its logarithm -inf.

    Raises:
        InputError: as `beam`.
    """
    rows = checked(scores, blank, skip_steps, form, lengths)
    remaining = steps_left(rows, skip_steps, lengths)
    found = _best(rows, remaining, Search(blank, width, n_best, min_ratio, top_k, grammar, lexicon, prior))
    images, sequences, posteriors, _ = found
    results: list[list[Scored]] = [[] for _ in rows]
    with np.errstate(divide="ignore"):
        scored = np.log(posteriors).tolist()
    for image, sequence, score in zip(images.tolist(), sequences, scored, strict=True):
        results[image].append(Scored(sequence, score))
    return results


def steps_left(rows: Floats, skip_steps: int, lengths: npt.ArrayLike | None) -> Integers:
    """(N,): time steps to decode."""
    images, steps, _ = rows.shape
    return np.full(images, steps) if lengths is None else np.asarray(lengths, np.int64) - skip_steps


class _Found(NamedTuple):
    """Image by image, best first."""

    images: npt.NDArray[np.intp]
    sequences: list[Indices]
    posteriors: Floats
    beliefs: list[tuple[float | None, bool]]
    """Weighted, and rescued."""


def _best(rows: Floats, remaining: Integers, how: Search) -> _Found:
    how.check(rows.shape[2], remaining)
    proposed = how.propose(rows, remaining)
    images = np.repeat(np.arange(len(rows)), [len(sequences) for sequences in proposed])
    sequences = [sequence for found in proposed for sequence in found]
    posteriors = forward(rows, images, sequences, how.blank)
    if not how.plain:
        return _weighed(rows, remaining, proposed, posteriors, how)
    # Stable: where posteriors underflow to 0, the search's own order stands.
    ranking = np.lexsort((-posteriors, images))
    ranking = ranking[np.arange(len(ranking)) - np.searchsorted(images, images) < how.n_best]
    best = [sequences[i] for i in ranking]
    return _Found(images[ranking], best, posteriors[ranking], [(None, False)] * len(best))


def _weighed(
    rows: Floats, remaining: Integers, proposed: list[list[Indices]], posteriors: Floats, how: Search
) -> _Found:
    ends = np.cumsum([len(sequences) for sequences in proposed])[:-1]
    found = []
    for image, (sequences, own) in enumerate(zip(proposed, np.split(posteriors, ends), strict=True)):

        def posteriors_of(more: list[Indices], image: int = image) -> Floats:
            return forward(rows, np.full(len(more), image), more, how.blank)

        weighed = how.weigh(sequences, own, posteriors_of, int(remaining[image]))
        found += [(image, each) for each in weighed]
    return _Found(
        np.array([image for image, _ in found], np.intp),
        [each.indices for _, each in found],
        np.array([each.posterior for _, each in found]),
        [(each.weighted, each.rescued) for _, each in found],
    )
