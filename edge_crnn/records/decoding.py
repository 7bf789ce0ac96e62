"""The records of `benchmarks.decoding`: the speed of decoders, and the errors that a grammar avoids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from .form import MAX_IMAGES


@dataclass(frozen=True)
class DecoderTime:
    """The times of one call of a decoder at one batch size."""

    decoder: str
    batch: int
    ms: float
    """Median over the rounds of the median of a round."""
    minimum_ms: float
    processor_ms: float
    same: float
    """Share of the images in which it returns the same labels as our decoder of that kind."""


@dataclass(frozen=True)
class DecodingSpeed:
    """The times of several decoders on the same probabilities, all on one core."""

    SUITE: ClassVar[str] = "edge-crnn decoding speed"
    VERSION: ClassVar[int] = 1

    images: int
    shape: tuple[int, int]
    """Steps and classes."""
    other_cores: float
    """Cores that other programs kept busy meanwhile, on average."""
    width: int
    """Beam width of all beam decoders."""
    speeds: tuple[DecoderTime, ...]
    absent: Mapping[str, str]
    """Decoder that was not measured → reason."""

    def is_possible(self) -> bool:
        """Return whether the times can be true."""
        return all(timed.ms > 0 and timed.batch > 0 for timed in self.speeds)


@dataclass(frozen=True)
class DecodingCounts:
    """The effect of a grammar on the errors, in numbers of images."""

    images: int
    greedy_right: int
    beam_right: int
    """Correct with a beam without a grammar."""
    grammar_right: int
    """Correct with a beam within the grammar."""
    covered: int
    """Greedy texts that pass the grammar as a filter. The same number of the grammar beam's most confident readings is
    compared with them."""
    filter_wrong: int
    """Wrong among the covered texts, with greedy decoding and the filter."""
    grammar_wrong: int
    """Wrong among the same number of texts, with the grammar beam."""
    fewest_wrong: int
    """Wrong among the same number of texts if the grammar beam's confidences ranked perfectly: a lower bound."""
    remaining: int
    """Errors of the grammar beam, over all images."""
    truth_in_n_best: int
    """Remaining errors whose 10 best texts contain the truth."""
    outside: int
    """Texts of the grammar beam that the grammar does not accept; must be 0."""


@dataclass(frozen=True)
class DecodingErrors:
    """A grammar inside the search, compared with the same grammar as a filter."""

    SUITE: ClassVar[str] = "edge-crnn decoding errors"
    VERSION: ClassVar[int] = 1

    images: int
    shape: tuple[int, int]
    """Steps and classes."""
    grammar: str
    width: int
    """Beam width."""
    errors: DecodingCounts

    def is_possible(self) -> bool:
        """Return whether the counts can be true."""
        return 0 < self.images <= MAX_IMAGES and all(
            0 <= count <= self.images for name, count in vars(self.errors).items() if name != "outside"
        )
