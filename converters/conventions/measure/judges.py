"""Judges of a convention: by the labels of images, or without labels by the network's confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge_crnn.backends.base import Probabilities
from edge_crnn.edits import edit_distance
from edge_crnn.model.spec import InputSpec

from ...verify.statistics import mcnemar
from .spelling import (
    FLOOR,
    Characters,
    Spelling,
    agreeing,
    alphabets,
    learned,
    likely_blanks,
    likeness,
    log_likelihoods,
    log_posteriors,
    right,
    sequences,
    skips,
)

_LEAST_GAIN = 0.02
"""Smallest gain in log-likelihood per image that counts; less can come from rounding and luck."""
_DOUBT = 0.01
"""Accepted probability of calling a choice better by mistake."""


@dataclass(frozen=True)
class Declared:
    """Declarations and facts that need not be measured."""

    settings: frozenset[str] = frozenset()
    """Declared fields of `InputSpec`."""
    blank: int | None = None
    skip_steps: int | None = None
    characters: tuple[Characters, ...] = ()
    """Possible alphabets; none: unknown."""
    step_axis: int | None = None

    def alphabets(self, blank: int) -> list[Characters]:
        """Return the possible alphabets with this blank."""
        return [characters for characters in self.characters if characters[blank] is None]


@dataclass(frozen=True)
class Scored:
    """The score of a convention: on all images, or on the first few if it is clearly worse."""

    image: InputSpec
    spelling: Spelling
    log_likelihoods: npt.NDArray[np.float64]
    """(N,) log-likelihoods of the labels."""
    right: npt.NDArray[np.bool_]
    """(N,) True where the text is the label."""

    @property
    def score(self) -> float:
        """Mean log-likelihood of the labels."""
        return float(self.log_likelihoods.mean())

    def is_as_likely_as(self, best: Scored) -> bool:
        """Check that the labels of all images are almost as likely as with the best convention."""
        return len(self.right) == len(best.right) and best.score - self.score <= _LEAST_GAIN

    def is_beaten_by(self, best: Scored) -> bool:
        """Check that another convention is surely better: it reads more images, or makes most labels likelier.

        Both are judged by exact sign tests on the images where the two differ. A convention that was tried on a few
        images alone was far behind on them.
        """
        count = len(self.right)
        if count < len(best.right):
            return True
        first = best.right[:count]
        second = self.right[:count]
        gain = best.log_likelihoods[:count] - self.log_likelihoods[:count]
        reads_more = _is_sure(first & ~second, second & ~first)
        return reads_more or bool(gain.mean() > _LEAST_GAIN and _is_sure(gain > 0, gain < 0))


def _is_sure(better: npt.NDArray[np.bool_], worse: npt.NDArray[np.bool_]) -> bool:
    more = int(better.sum())
    fewer = int(worse.sum())
    return more > fewer and mcnemar(fewer, more) < _DOUBT


class Judge(Protocol):
    """A judge that scores the output of a network for the first images of a set."""

    reads: float
    """Smallest coarse score of a convention that reads anything."""

    def coarse(self, probabilities: Probabilities) -> tuple[float, int, int]:
        """Return a score with the best blank and number of skipped steps, and these two."""

    def spelling(self, probabilities: Probabilities, blank: int, skip_steps: int) -> Spelling:
        """Return the best spelling with a blank and a number of skipped steps."""

    def scored(self, image: InputSpec, spelling: Spelling, probabilities: Probabilities) -> Scored:
        """Return the score of a convention."""


@dataclass(frozen=True)
class ByLabels:
    """A judge by the labels of the images."""

    texts: Sequence[str]
    declared: Declared
    reads = 0.3

    def coarse(self, probabilities: Probabilities) -> tuple[float, int, int]:
        """See `Judge.coarse`; the score is the share of characters correct in the best order of the alphabet."""
        texts = self.texts[: len(probabilities)]
        best = (-1.0, 0, 0)
        for blank in likely_blanks(probabilities, self.declared.blank):
            for skip in skips(probabilities.shape[1], self.declared.skip_steps):
                read = self._agreement(sequences(probabilities, blank, skip), texts, blank)
                sure = float(probabilities[:, skip:].max(axis=2).mean())
                best = max(best, (max(read, 0.0) + 0.01 * sure - 0.001 * skip, blank, skip), key=lambda score: score[0])
        return best

    def spelling(self, probabilities: Probabilities, blank: int, skip_steps: int) -> Spelling:
        """See `Judge.spelling`; an alphabet that is not declared is learned from the labels."""
        texts = self.texts[: len(probabilities)]
        if possible := self.declared.alphabets(blank):
            spellings = [Spelling(blank, skip_steps, characters) for characters in possible]
            return max(spellings, key=lambda spelling: float(log_likelihoods(probabilities, spelling, texts).mean()))
        classes = probabilities.shape[2]
        shown = learned(sequences(probabilities, blank, skip_steps), texts, classes, blank)
        usual = agreeing(shown, list(alphabets(classes, blank, texts)))
        return Spelling(blank, skip_steps, usual[0] if usual else shown)

    def scored(self, image: InputSpec, spelling: Spelling, probabilities: Probabilities) -> Scored:
        """See `Judge.scored`."""
        texts = self.texts[: len(probabilities)]
        likely = log_likelihoods(probabilities, spelling, texts)
        return Scored(image, spelling, likely, right(probabilities, spelling, texts))

    def _agreement(self, read: Sequence[tuple[int, ...]], texts: Sequence[str], blank: int) -> float:
        spellings = [Spelling(blank, 0, characters) for characters in self.declared.alphabets(blank)]
        if not spellings:
            return likeness(read, texts)
        return max(alike(read, [spelling.classes_of(text) or () for text in texts]) for spelling in spellings)


@dataclass(frozen=True)
class ByConfidence:
    """A judge by the confidence of the network in its texts, which must be neither empty nor mostly the same.

    Most steps of a network trained with CTC have the blank. A class that few steps have is unlikely to be the blank.
    """

    declared: Declared
    reads = -1e9

    def coarse(self, probabilities: Probabilities) -> tuple[float, int, int]:
        """See `Judge.coarse`; the score is the mean log-posterior, less for empty and for repeated texts."""
        skip = self.declared.skip_steps or 0
        scores = [
            (float(self._log_posteriors(probabilities, blank, skip).mean()), blank, skip)
            for blank in likely_blanks(probabilities, self.declared.blank)
            if self.declared.alphabets(blank)
        ]
        return max(scores, key=lambda score: score[0])

    def spelling(self, probabilities: Probabilities, blank: int, skip_steps: int) -> Spelling:  # noqa: ARG002
        """See `Judge.spelling`; the alphabet must be declared."""
        return Spelling(blank, skip_steps, self.declared.alphabets(blank)[0])

    def scored(self, image: InputSpec, spelling: Spelling, probabilities: Probabilities) -> Scored:
        """See `Judge.scored`; an image counts as correct if its text is not empty."""
        values = self._log_posteriors(probabilities, spelling.blank, spelling.skip_steps)
        texts = sequences(probabilities, spelling.blank, spelling.skip_steps)
        return Scored(image, spelling, values, np.array([bool(text) for text in texts]))

    def _log_posteriors(self, probabilities: Probabilities, blank: int, skip: int) -> npt.NDArray[np.float64]:
        read = sequences(probabilities, blank, skip)
        values = log_posteriors(probabilities, read, blank, skip)
        implausible = np.array([not text or read.count(text) > max(1, len(read) // 4) for text in read])
        return np.where(implausible, np.log(FLOOR), values + _log_share(probabilities, blank))


def _log_share(probabilities: Probabilities, blank: int) -> float:
    """Return the log ratio of the steps that have a blank to those that have the commonest class, usually the blank."""
    counts = np.bincount(probabilities.argmax(axis=2).ravel(), minlength=probabilities.shape[2])
    return float(np.log(max(counts[blank] / counts.max(), FLOOR)))


def alike(read: Sequence[Any], truth: Sequence[Any]) -> float:
    """Return 1 minus the edit distance per character, over all images (Levenshtein 1966)."""
    errors = sum(edit_distance(sequence, label) for sequence, label in zip(read, truth, strict=True))
    return 1 - errors / max(1, sum(map(len, truth)))
