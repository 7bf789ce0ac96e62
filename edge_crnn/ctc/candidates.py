"""The label sequences that an image may show, and which is the best: what `beam`, `search` and `fuse` share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .automaton import Automaton, Integers
from .forward import Floats, Indices
from .grammar import Grammar
from .lexicon import Lexicon, steps_of
from .prior import Prior
from .search_batch import search_batch
from .search_singly import search_singly
from .symbols import select

_FEW = 150  # prefixes to score in a time step that one after the other takes less time than all at once


class Weighed(NamedTuple):
    """A candidate."""

    indices: Indices
    posterior: float
    """The network's own."""
    weighted: float
    """What lexicon and prior make of it; see `weigh`."""
    rescued: bool


@dataclass(frozen=True)
class Search:
    """How candidates are searched; `beam` tells what the options are."""

    blank: int
    width: int
    n_best: int
    min_ratio: float
    top_k: int | None
    grammar: Grammar | None
    lexicon: Lexicon | None
    prior: Prior | None

    @property
    def plain(self) -> bool:
        """Whether the posterior alone tells the best."""
        return self.lexicon is None and self.prior is None

    def check(self, classes: int, remaining: Integers) -> None:
        """Raise InputError unless the options are in range and fit the network and all images' time steps (N,)."""
        width, n_best = self.width, self.n_best
        if width < 1:
            raise InputError(f"width is {width}, expected at least 1 prefix to keep")
        if not 1 <= n_best <= width:
            raise InputError(
                f"n_best is {n_best}, expected 1 to {width}, the width of the beam; widen the beam for more"
            )
        if not 0.0 <= self.min_ratio <= 1.0:
            raise InputError(f"min_ratio is {self.min_ratio}, expected 0 (all classes) to 1 (only the most probable)")
        if self.top_k is not None and self.top_k < 1:
            raise InputError(f"top_k is {self.top_k}, expected at least 1 symbol to try, or None for all")
        if self.grammar is not None:
            self.grammar.check_fits(classes, self.blank, remaining)
        if self.lexicon is not None:
            self.lexicon.check_fits(classes, self.blank, remaining)
        if self.prior is not None:
            self.prior.check_fits(classes, self.blank)

    def propose(self, rows: Floats, remaining: Integers) -> list[list[Indices]]:
        """What an image may show, from checked (N, T, C) rows and the time steps to decode (N,); no sequence twice."""
        if not len(rows):
            return []
        if self.lexicon is None:
            return self._through(self.grammar, rows, remaining)
        found = [] if self.lexicon.alone else [self._through(self.grammar, rows, remaining)]
        if math.isinf(self.lexicon.weight):
            found.append(self._through(self.lexicon.automaton, rows, remaining))
        else:  # of known labels that the pruning rules out, others are more probable
            found.append(self._pruned(self.lexicon.automaton, rows, remaining, self.min_ratio, self.top_k))
        merged = [list(dict.fromkeys(chain.from_iterable(parts))) for parts in zip(*found, strict=True)]
        return [[each for each in sequences if self._allowed(each)] for sequences in merged]

    def _allowed(self, sequence: Indices) -> bool:
        return self.grammar is None or self.grammar.accepts(sequence)

    def _through(self, automaton: Automaton | None, rows: Floats, remaining: Integers) -> list[list[Indices]]:
        found = self._pruned(automaton, rows, remaining, self.min_ratio, self.top_k)
        if automaton is not None and (lost := [image for image, sequences in enumerate(found) if not sequences]):
            # The pruning left no way through the automaton: try every symbol.
            again = self._pruned(automaton, rows[lost], remaining[lost], 0.0, None)
            for image, sequences in zip(lost, again, strict=True):
                found[image] = sequences
        return found

    def _pruned(
        self, automaton: Automaton | None, rows: Floats, remaining: Integers, min_ratio: float, top_k: int | None
    ) -> list[list[Indices]]:
        symbols = select(rows, self.blank, min_ratio, top_k, automaton)
        # Both searches find the same, bit for bit: the one has less to set up, the other does more at once.
        scored = self.width * (len(rows) + symbols.counts.sum() / rows.shape[1])
        search = search_singly if scored < _FEW else search_batch
        factors = None if self.prior is None else self.prior.factors
        return search(rows, symbols, remaining, self.blank, self.width, automaton, factors)

    def weigh(
        self,
        sequences: Sequence[Indices],
        posteriors: Floats,
        posteriors_of: Callable[[list[Indices]], Floats],
        steps: int,
    ) -> list[Weighed]:
        """One image's candidates and their posteriors → the `n_best` best by what lexicon and prior say.

        A candidate's score is posterior × P(label)^weight of the prior × weight of the lexicon if it is known, 0 if it
        is not and only known ones are read. To the posterior of a known label that is one edit away from the most
        probable candidate, an unknown one, that one's posterior times the cost of a rescue is added: the two may be one
        plate that the network misreads. `weighted` is a score's share of all scores, times the sum of the candidates'
        posteriors; where only known ones are read, of theirs, rescues included. So a prior that says the same of all
        changes nothing, known labels that are read alone keep their posteriors, and what no candidate covers stays
        doubt.

        Args:
            sequences: distinct.
            posteriors: (K,), of them.
            posteriors_of: gives those of further sequences.
            steps: time steps at hand; a label that takes more is not rescued.
        """
        candidates = list(sequences)
        if not candidates:
            return []
        rescues = np.zeros(len(candidates))
        lexicon = self.lexicon
        if lexicon is not None and lexicon.rescue > 0:
            seen = int(np.argmax(posteriors))
            if not lexicon.accepts(candidates[seen]):
                near = lexicon.near(candidates[seen])
                near = [each for each in near if steps_of(each) <= steps and self._allowed(each)]
                new = [each for each in near if each not in candidates]
                candidates += new
                posteriors = np.concatenate([posteriors, posteriors_of(new)])
                worth = lexicon.rescue * posteriors[seen]
                rescues = np.array([worth if each in near else 0.0 for each in candidates])
        with np.errstate(divide="ignore"):
            scores = np.log(posteriors + rescues)
        if self.prior is not None:
            scores += self.prior.log_of(candidates)
        kept = np.arange(len(candidates))
        if lexicon is not None:
            known = np.array([lexicon.accepts(each) for each in candidates])
            if math.isinf(lexicon.weight):
                kept = np.flatnonzero(known)
            else:
                scores += np.where(known, math.log(lexicon.weight), 0.0)
        if not kept.size:
            return []
        # Stable: where scores underflow to 0, the search's own order stands.
        order = kept[np.argsort(-scores[kept], kind="stable")]
        shares = np.exp(scores[order] - max(scores[order[0]], np.finfo(float).min))
        covered = min(posteriors.sum(), (posteriors + rescues)[kept].sum(), 1.0)
        shares *= covered / max(shares.sum(), np.finfo(float).tiny)
        return [
            Weighed(candidates[each], float(posteriors[each]), share, bool(rescues[each] > posteriors[each]))
            for each, share in zip(order[: self.n_best].tolist(), shares.tolist(), strict=False)
        ]
