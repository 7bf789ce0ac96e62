"""Variations of images that a camera took, for training with few of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .batches import Pixels, Wrapped
from .degrade import vary

_SHARE = 0.5
"""Share of the images that are changed."""


@dataclass(frozen=True)
class Varied(Wrapped):
    """Images of a source; half of them are changed as if they had been taken once more."""

    seed: int

    def sample(self, index: int) -> tuple[Pixels, str]:
        """See `batches.Source.sample`."""
        image, label = self.source.sample(index)
        random = np.random.default_rng((self.seed, index))
        return (vary(image, random) if random.random() < _SHARE else image), label
