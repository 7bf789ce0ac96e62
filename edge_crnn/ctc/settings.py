"""The settings of `beam`, `search` and `fuse`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypedDict

import numpy.typing as npt

from .. import bounds
from ..errors import InputError
from .grammar import Grammar
from .lexicon import Lexicon
from .prior import Prior


@dataclass(frozen=True)
class Search:
    """Settings of a prefix beam search.

    With a grammar, only its sequences are searched and returned; their posteriors are those that they have without
    it. An image in which none of them has any probability gets an empty list.

    With a lexicon, its labels are searched beside all others, or alone if its weight is infinite. A prior multiplies
    prefixes in the search. The best sequence is then the one with the greatest `weighted`, while confidences remain
    the network's own posteriors. Known labels that a grammar rejects are not returned.

    `min_ratio` and `top_k` save work by trying fewer symbols; they change no posterior.

    Raises:
        InputError: a number is out of range.
    """

    width: int = 10
    """Prefixes kept after each time step."""
    n_best: int = 1
    """Sequences returned, at most `width`; fewer where fewer are possible."""
    min_ratio: float = 1e-5
    """A time step starts a new character only with a class at least this probable relative to the step's most
    probable class; 0 tries all."""
    top_k: int | None = 12
    """A time step starts a new character only with one of its `top_k` most probable symbols, and of those that are as
    probable as the last of them; None tries all."""
    grammar: Grammar | None = None
    """What a sequence must be, compiled for the network's classes."""
    lexicon: Lexicon | None = None
    """Which labels are known."""
    prior: Prior | None = None
    """How probable labels are."""

    def __post_init__(self) -> None:
        if (problem := bounds.BEAM_WIDTH.problem("width", self.width)) is not None:
            raise InputError(f"{problem}: the number of prefixes to keep")
        if (problem := bounds.Bounds(1, self.width).problem("n_best", self.n_best)) is not None:
            raise InputError(f"{problem}, the width of the beam; widen the beam for more")
        if not 0.0 <= self.min_ratio <= 1.0:
            raise InputError(f"min_ratio is {self.min_ratio}, expected 0 (all classes) to 1 (only the most probable)")
        if self.top_k is not None and (problem := bounds.TOP_K.problem("top_k", self.top_k)) is not None:
            raise InputError(f"{problem}, or None to try all symbols")

    @property
    def by_posterior(self) -> bool:
        """Whether sequences are ranked by their posteriors alone."""
        return self.lexicon is None and self.prior is None

    def check_fits(self, classes: int, blank: int, steps: npt.ArrayLike = ()) -> None:
        """Check that grammar, lexicon and prior can be used on the output of a network.

        Args:
            classes: classes of the network, the blank among them.
            blank: class index of the network's blank.
            steps: (N,) int; time steps to decode in each image.

        Raises:
            InputError: one of them was made for other classes, or an image is too short for every label.
        """
        for knowledge in (self.grammar, self.lexicon, self.prior):
            if knowledge is not None:
                knowledge.check_fits(classes, blank, steps)


class SearchOptions(TypedDict, total=False):
    """The fields of `Search`, as keyword arguments."""

    width: int
    n_best: int
    min_ratio: float
    top_k: int | None
    grammar: Grammar | None
    lexicon: Lexicon | None
    prior: Prior | None


def settings_of(search: Search | None, options: SearchOptions) -> Search:
    """Combine settings with keyword arguments, which take precedence."""
    if search is None:
        return Search(**options)
    return dataclasses.replace(search, **options) if options else search
