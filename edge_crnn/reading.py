"""What a reader says of an image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Character:
    """One symbol of a reading."""

    symbol: str
    confidence: float
    """In [0, 1]."""
    steps: tuple[int, int]
    """Half-open range of the network's time steps."""


@dataclass(frozen=True)
class Alternative:
    """Another text for the same image."""

    text: str
    label: str
    confidence: float
    """As a reading's."""
    weighted: float | None = None
    """As a reading's; with a lexicon or a prior it is by this that the best comes first."""


@dataclass(frozen=True)
class Reading:
    """What an image says."""

    text: str
    """For a person: 서울 18 나 6897."""
    label: str
    """The network's own symbols: A18sk6897."""
    confidence: float
    """Posterior of the label, summed over all its alignments, in [0, 1]; where the model is calibrated, the probability
    that the label is right."""
    characters: tuple[Character, ...]
    alternatives: tuple[Alternative, ...]
    """The next best, best first; as many as were asked for."""
    accepted: bool
    """Whether the confidence is at least the threshold in the model's spec or the caller's, and the text matches the
    grammar; with a lexicon or a prior it is `weighted` that must be high enough. A text that is rejected is given, too.
    """
    weighted: float | None = None
    """With a lexicon or a prior: what they make of the posterior, in [0, 1]; `confidence` stays the network's own. See
    `ctc.Decoded.weighted`."""
    rescued: bool = False
    """Whether it is a known text, and the network sees another, one symbol more, less or other."""

    def __str__(self) -> str:
        """The text."""
        return self.text


@dataclass(frozen=True)
class FusedReading(Reading):
    """What several images of one text say together; characters are those of the image that shows it best."""

    images: int = 1
    agreeing: int = 1
    """Images that say the same alone."""
