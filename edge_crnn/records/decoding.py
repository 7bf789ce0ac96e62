"""What `benchmarks.decoding` records: the speed of decoders, and the errors that a grammar saves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from .form import MAX_IMAGES


@dataclass(frozen=True)
class DecoderTime:
    """One decoder at one batch size; times of one call."""

    decoder: str
    batch: int
    ms: float
    """Median over the rounds of the median of a round."""
    minimum_ms: float
    processor_ms: float
    same: float
    """Share of the images in which it finds the labels that our decoder of that kind finds."""


@dataclass(frozen=True)
class DecodingSpeed:
    """Decoders on the same probabilities, all on one core."""

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
    """Decoder that was not measured → why."""

    def is_possible(self) -> bool:
        """Whether the times can be true."""
        return all(timed.ms > 0 and timed.batch > 0 for timed in self.speeds)


@dataclass(frozen=True)
class DecodingCounts:
    """What a grammar does to the errors; all are counts of images."""

    images: int
    greedy_right: int
    beam_right: int
    """Right by a beam without a grammar."""
    grammar_right: int
    """Right by a beam within the grammar."""
    covered: int
    """Greedy texts that pass the grammar as a filter; as many of the grammar beam's surest readings are compared."""
    filter_wrong: int
    """Wrong among the covered, by greedy decoding behind the filter."""
    grammar_wrong: int
    """Wrong among as many, by the grammar beam."""
    fewest_wrong: int
    """Wrong among as many if the grammar beam's confidences ranked perfectly: a bound that no ranking can beat."""
    remaining: int
    """Errors of the grammar beam, over all images."""
    truth_in_n_best: int
    """Those of the remaining errors whose 10 best contain the truth."""
    outside: int
    """Texts of the grammar beam that the grammar does not accept; must be 0."""


@dataclass(frozen=True)
class DecodingErrors:
    """A grammar inside the search against the same grammar as a filter."""

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
        """Whether the counts can be true."""
        return 0 < self.images <= MAX_IMAGES and all(
            0 <= count <= self.images for name, count in vars(self.errors).items() if name != "outside"
        )
