"""Readings: the text of an image, its confidence and its alternatives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Character:
    """A symbol of a reading."""

    symbol: str
    confidence: float
    """Probability of the symbol, in [0, 1]."""
    steps: tuple[int, int]
    """Half-open range of the network's time steps."""


@dataclass(frozen=True)
class Alternative:
    """Another text for the same image."""

    text: str
    label: str
    confidence: float
    """See `Reading.confidence`."""
    weighted: float | None = None
    """See `Reading.weighted`; with a lexicon or a prior, alternatives are sorted by it."""


@dataclass(frozen=True)
class Reading:
    """The reading of an image."""

    text: str
    """The text for a person: 서울 18 나 6897."""
    label: str
    """The text in the network's own symbols: A18sk6897."""
    confidence: float
    """Posterior of the label, summed over all its alignments, in [0, 1]. If the model is calibrated, it is the
    probability that the label is correct."""
    characters: tuple[Character, ...]
    alternatives: tuple[Alternative, ...]
    """The next best texts, best first; as many as the caller asked for."""
    accepted: bool
    """True if there is a text, its confidence reaches the threshold of the model's spec or of the caller, and it
    matches the grammar. With a lexicon or a prior, `weighted` must reach the threshold instead. A rejected reading also
    has its text."""
    weighted: float | None = None
    """With a lexicon or a prior: the posterior after weighting by them, in [0, 1]; `confidence` remains the network's
    own. See `ctc.Decoded.weighted`."""
    rescued: bool = False
    """True if the text is from the lexicon and differs by one symbol from the text that the network sees."""
    damaged: bool = False
    """True if the image's file is visibly damaged, so some pixels differ from those that were saved. Such a reading
    is never accepted."""

    def __str__(self) -> str:
        """Return the text."""
        return self.text


@dataclass(frozen=True)
class FusedReading(Reading):
    """The joint reading of several images of one text; characters are those of the image that shows it best."""

    images: int = 1
    agreeing: int = 1
    """Number of images that read the same alone."""
