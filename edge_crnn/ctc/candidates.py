"""The label sequences that an image may show, and which of them is the best: shared by `beam`, `search` and `fuse`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from .automaton import Automaton, Integers
from .forward import Floats, Indices
from .lexicon import Lexicon, steps_of
from .search_batch import search_batch
from .search_singly import search_singly
from .settings import Search
from .symbols import select

_FEW = 150
"""With fewer prefixes to score per time step, scoring them one after the other is faster than all at once."""


def propose(rows: Floats, remaining: Integers, blank: int, search: Search) -> list[list[Indices]]:
    """List the distinct sequences that each image may show.

    Args:
        rows: (N, T, C) probabilities, checked.
        remaining: (N,) time steps to decode.
        blank: class index of the blank.
        search: settings.
    """
    if not len(rows):
        return []
    lexicon = search.lexicon
    grammar = search.grammar
    if lexicon is None:
        return _search_within(grammar, rows, remaining, blank, search)
    proposals = [] if lexicon.alone else [_search_within(grammar, rows, remaining, blank, search)]
    if math.isinf(lexicon.weight):
        proposals.append(_search_within(lexicon.automaton, rows, remaining, blank, search))
    else:  # other texts are more probable than the known labels that the pruning rules out
        proposals.append(
            _search_pruned(lexicon.automaton, rows, remaining, blank, search, search.min_ratio, search.top_k)
        )
    merged = [list(dict.fromkeys(chain.from_iterable(parts))) for parts in zip(*proposals, strict=True)]
    return [[sequence for sequence in sequences if _is_allowed(sequence, search)] for sequences in merged]


def _is_allowed(sequence: Indices, search: Search) -> bool:
    return search.grammar is None or search.grammar.accepts(sequence)


def _search_within(
    automaton: Automaton | None, rows: Floats, remaining: Integers, blank: int, search: Search
) -> list[list[Indices]]:
    """Search with the pruning that the settings ask for, and without where it left no way through the automaton."""
    proposed = _search_pruned(automaton, rows, remaining, blank, search, search.min_ratio, search.top_k)
    lost = [image for image, sequences in enumerate(proposed) if not sequences]
    if automaton is not None and lost:
        unpruned = _search_pruned(automaton, rows[lost], remaining[lost], blank, search, 0.0, None)
        for image, sequences in zip(lost, unpruned, strict=True):
            proposed[image] = sequences
    return proposed


def _search_pruned(
    automaton: Automaton | None,
    rows: Floats,
    remaining: Integers,
    blank: int,
    search: Search,
    min_ratio: float,
    top_k: int | None,
) -> list[list[Indices]]:
    symbols = select(rows, blank, min_ratio, top_k, automaton)
    # Both searches return the same, bit for bit: one has less to set up, the other does more at once.
    scored = search.width * (len(rows) + symbols.counts.sum() / rows.shape[1])
    prefix_search = search_singly if scored < _FEW else search_batch
    factors = None if search.prior is None else search.prior.factors
    return prefix_search(rows, symbols, remaining, blank, search.width, automaton, factors)


class Weighed(NamedTuple):
    """A candidate, scored by the network and by what is known about labels."""

    indices: Indices
    posterior: float
    """The network's own."""
    weighted: float
    """The share that lexicon and prior give it; see `weigh`."""
    rescued: bool


def weigh(
    search: Search,
    sequences: Sequence[Indices],
    posteriors: Floats,
    posteriors_of: Callable[[list[Indices]], Floats],
    steps: int,
) -> list[Weighed]:
    """Rank one image's candidates by lexicon and prior, and return the `n_best` best.

    A candidate's score is posterior × P(label)^weight of the prior × weight of the lexicon if the label is known, and
    0 if it is unknown and only known labels are read. If the most probable candidate is unknown, each known label one
    edit away from it may be the same plate, misread by the network. Such a label's posterior is increased by that
    candidate's posterior times the cost of a rescue.

    `weighted` is a score's share of all scores, times the sum of the candidates' posteriors (of the known ones,
    rescues included, where only known labels are read). So a prior that favours no label changes nothing, known
    labels that are read alone keep their posteriors, and what no candidate covers remains doubt.

    Args:
        search: settings.
        sequences: K distinct candidates.
        posteriors: (K,) their posteriors.
        posteriors_of: computes the posteriors of further sequences.
        steps: time steps at hand; a label that takes more is not rescued.
    """
    candidates = list(sequences)
    if not candidates:
        return []
    rescues = np.zeros(len(candidates))
    lexicon = search.lexicon
    likeliest = int(np.argmax(posteriors))
    if lexicon is not None and lexicon.rescue > 0 and not lexicon.accepts(candidates[likeliest]):
        rescued = _rescuable(lexicon, candidates[likeliest], steps, search)
        new = [label for label in rescued if label not in candidates]
        candidates += new
        posteriors = np.concatenate([posteriors, posteriors_of(new)])
        worth = lexicon.rescue * posteriors[likeliest]
        rescues = np.array([worth if candidate in rescued else 0.0 for candidate in candidates])
    with np.errstate(divide="ignore"):
        scores = np.log(posteriors + rescues)
    if search.prior is not None:
        scores += search.prior.log_of(candidates)
    kept = np.arange(len(candidates))
    if lexicon is not None:
        is_known = np.array([lexicon.accepts(candidate) for candidate in candidates])
        if math.isinf(lexicon.weight):
            kept = np.flatnonzero(is_known)
        else:
            scores += np.where(is_known, math.log(lexicon.weight), 0.0)
    if not kept.size:
        return []
    # Stable: where scores underflow to 0, the search's own order stands.
    order = kept[np.argsort(-scores[kept], kind="stable")]
    shares = np.exp(scores[order] - max(scores[order[0]], np.finfo(float).min))
    covered = min(posteriors.sum(), (posteriors + rescues)[kept].sum(), 1.0)
    shares *= covered / max(shares.sum(), np.finfo(float).tiny)
    return [
        Weighed(candidates[k], float(posteriors[k]), share, bool(rescues[k] > posteriors[k]))
        for k, share in zip(order[: search.n_best].tolist(), shares.tolist(), strict=False)
    ]


def _rescuable(lexicon: Lexicon, misread: Indices, steps: int, search: Search) -> list[Indices]:
    """List the known labels that may have been misread."""
    return [label for label in lexicon.near(misread) if steps_of(label) <= steps and _is_allowed(label, search)]
