"""Prefix beam search: free, within a grammar, or with a lexicon and a prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from .automaton import Integers
from .candidates import propose, weigh
from .decoded import Decoded, Form, Scored, checked
from .forward import Floats, Indices, align, forward, placed
from .settings import Search, SearchOptions, settings_of

if TYPE_CHECKING:
    from typing_extensions import Unpack


def beam(
    scores: npt.ArrayLike,
    blank: int,
    skip_steps: int = 0,
    settings: Search | None = None,
    *,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
    **options: Unpack[SearchOptions],
) -> list[list[Decoded]]:
    """Prefix beam search (Hannun 2014): for each image, the most probable label sequences, best first.

    The search proposes `width` sequences; their confidences are exact posteriors, and rank them: a beam can
    miss a sequence but never misjudge one. Spans are those of a sequence's most probable alignment.

    Args:
        scores: (N, T, C) float.
        blank: class index of the blank.
        skip_steps: leading time steps that are not decoded.
        settings: how to search.
        form: what the scores are.
        lengths: (N,) int; the time steps that count in each image, the skipped ones among them; None: all T.
        options: fields of `Search`, instead of those of `settings`.

    Raises:
        InputError: the scores are not of that form, another argument is out of range, or grammar, lexicon or prior
            do not fit the scores (`Search.check_fits`).
    """
    search = settings_of(settings, options)
    rows = checked(scores, blank, skip_steps, form, lengths)
    images, sequences, posteriors, beliefs = _best(rows, steps_left(rows, skip_steps, lengths), blank, search)
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
    settings: Search | None = None,
    *,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
    **options: Unpack[SearchOptions],
) -> list[list[Scored]]:
    """Search as `beam` does, but return only labels and the logarithms of their posteriors, which takes less time.

    A posterior too small for a float64 is 0, and its logarithm -inf.

    Args:
        scores: (N, T, C) float.
        blank: class index of the blank.
        skip_steps: leading time steps that are not decoded.
        settings: how to search.
        form: what the scores are.
        lengths: (N,) int; the time steps that count in each image, the skipped ones among them; None: all T.
        options: fields of `Search`, instead of those of `settings`.

    Raises:
        InputError: in the same cases as `beam`.
    """
    rows = checked(scores, blank, skip_steps, form, lengths)
    remaining = steps_left(rows, skip_steps, lengths)
    images, sequences, posteriors, _ = _best(rows, remaining, blank, settings_of(settings, options))
    results: list[list[Scored]] = [[] for _ in rows]
    with np.errstate(divide="ignore"):
        logarithms = np.log(posteriors).tolist()
    for image, sequence, logarithm in zip(images.tolist(), sequences, logarithms, strict=True):
        results[image].append(Scored(sequence, logarithm))
    return results


def steps_left(rows: Floats, skip_steps: int, lengths: npt.ArrayLike | None) -> Integers:
    """Return the number of time steps to decode in each image, (N,)."""
    images, steps, _ = rows.shape
    return np.full(images, steps) if lengths is None else np.asarray(lengths, np.int64) - skip_steps


class _Ranked(NamedTuple):
    """The best sequences of all images: image by image, best first."""

    images: npt.NDArray[np.intp]
    sequences: list[Indices]
    posteriors: Floats
    beliefs: list[tuple[float | None, bool]]
    """`weighted` and `rescued` of `Decoded`."""


def _best(rows: Floats, remaining: Integers, blank: int, search: Search) -> _Ranked:
    search.check_fits(rows.shape[2], blank, remaining)
    proposed = propose(rows, remaining, blank, search)
    images = np.repeat(np.arange(len(rows)), [len(sequences) for sequences in proposed])
    sequences = [sequence for of_image in proposed for sequence in of_image]
    posteriors = forward(rows, images, sequences, blank)
    if not search.by_posterior:
        return _weighed(rows, remaining, proposed, posteriors, blank, search)
    # Stable: where posteriors underflow to 0, the search's own order stands.
    ranking = np.lexsort((-posteriors, images))
    ranking = ranking[np.arange(len(ranking)) - np.searchsorted(images, images) < search.n_best]
    best = [sequences[i] for i in ranking]
    return _Ranked(images[ranking], best, posteriors[ranking], [(None, False)] * len(best))


def _weighed(
    rows: Floats, remaining: Integers, proposed: list[list[Indices]], posteriors: Floats, blank: int, search: Search
) -> _Ranked:
    ends = np.cumsum([len(sequences) for sequences in proposed])[:-1]
    ranked = []
    for image, (sequences, own) in enumerate(zip(proposed, np.split(posteriors, ends), strict=True)):

        def posteriors_of(more: list[Indices], image: int = image) -> Floats:
            return forward(rows, np.full(len(more), image), more, blank)

        weighed = weigh(search, sequences, own, posteriors_of, int(remaining[image]))
        ranked += [(image, candidate) for candidate in weighed]
    return _Ranked(
        np.array([image for image, _ in ranked], np.intp),
        [candidate.indices for _, candidate in ranked],
        np.array([candidate.posterior for _, candidate in ranked]),
        [(candidate.weighted, candidate.rescued) for _, candidate in ranked],
    )
