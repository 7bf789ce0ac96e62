"""Variations of images that a camera took, for training with few of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..alphabet import Alphabet
from .batches import Pixels, Source
from .degrade import vary

_SHARE = 0.5
"""Share of the images that are changed."""


@dataclass(frozen=True)
class Varied:
    """Images of a source; half of them are changed as if they had been taken once more."""

    source: Source
    seed: int

    @property
    def longest(self) -> int:
        """See `batches.Source.longest`."""
        return self.source.longest

    def require_steps(self, alphabet: Alphabet, steps: int) -> None:
        """See `batches.Source.require_steps`."""
        self.source.require_steps(alphabet, steps)

    def sample(self, index: int) -> tuple[Pixels, str]:
        """See `batches.Source.sample`."""
        image, label = self.source.sample(index)
        random = np.random.default_rng((self.seed, index))
        return (vary(image, random) if random.random() < _SHARE else image), label
