"""Renderers as sources of training images."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..alphabet import Alphabet
from ..ctc.lexicon import steps_of
from ..errors import DatasetError
from .batches import Pixels, Source, Wrapped
from .folder import Drawing
from .layouts import label_at


@dataclass(frozen=True)
class Mixture:
    """Images of several runs in turn."""

    drawings: tuple[Drawing, ...]

    @property
    def longest(self) -> int:
        """Characters of the longest label."""
        return max(
            drawing.length[1] if drawing.what == "lines" else max(map(len, _labels(drawing)))
            for drawing in self.drawings
        )

    def require_steps(self, alphabet: Alphabet, steps: int) -> None:
        """Check that the labels fit: those of plates, and the longest lines with as many repeats as are to be expected.

        Neighbours in a random line of n letters from a letters are the same (n - 1) / a times on average.

        Raises:
            DatasetError: they do not.
        """
        for drawing in self.drawings:
            if drawing.what == "lines":
                most = drawing.length[1]
                needed = most + (most - 1) // len(drawing.alphabet)
                example = f"a line of {most} letters"
            else:
                example = max(_labels(drawing), key=len)
                needed = steps_of(alphabet.encode(example))
            if needed > steps:
                raise DatasetError(
                    f"{example} takes {needed} time steps, repeated symbols included, but the network has {steps};"
                    " render shorter lines (--length), or train a network for wider images (--size)"
                )

    def sample(self, index: int) -> tuple[Pixels, str]:
        """See `batches.Source.sample`."""
        place, run = divmod(index, len(self.drawings))
        drawing = self.drawings[run]
        # Every run starts with another kind, so that the images of a batch are of many kinds.
        place += run * len(drawing.kinds) // len(self.drawings)
        rendered = next(drawing.render(1, place))
        return rendered.image, rendered.label


def _labels(drawing: Drawing) -> list[str]:
    """Return a label of every kind of plate that is rendered."""
    return [""] if drawing.is_negative else [label_at(0, 0, kind) for kind in drawing.kinds]


@dataclass(frozen=True)
class WithNegatives(Wrapped):
    """Images of a source, with images that have no text spread evenly among them."""

    negatives: Source
    share: float
    """Share of the negatives, at least 0 and less than 1."""

    def sample(self, index: int) -> tuple[Pixels, str]:
        """See `batches.Source.sample`; image i is a negative if the whole part of i times the share grows after it."""
        before = math.floor(index * self.share)
        if math.floor((index + 1) * self.share) > before:
            return self.negatives.sample(before)
        return self.source.sample(index - before)
