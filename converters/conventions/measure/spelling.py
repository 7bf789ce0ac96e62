"""Spelling: the blank, skipped steps and the order of the alphabet, which turn classes into text.

An alphabet that is not declared is learned. Sequences of classes that are as long as their labels pair classes with
characters, and the most frequent pairs make a one-to-one map.
"""

from __future__ import annotations

import itertools
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_crnn import ctc
from edge_crnn.backends.base import Probabilities

Classes: TypeAlias = tuple[int, ...]
"""Class indices of a text."""
Characters: TypeAlias = tuple[str | None, ...]
"""Characters by class; None: the blank, or a class that no text has."""

_MOST_SKIPPED = 4
_MOST_UNUSED = 4
FLOOR = 1e-5
"""Smallest probability of a label that counts, so that an unreadable image or a wrong label does not outweigh the
others."""
_DIGITS = string.digits
_LOWER = string.ascii_lowercase
_UPPER = string.ascii_uppercase
_ORDERS = (
    _DIGITS,
    *(case for case in (_LOWER, _UPPER)),
    *("".join(parts) for case in (_LOWER, _UPPER) for parts in itertools.permutations((_DIGITS, case))),
    *("".join(parts) for parts in itertools.permutations((_LOWER, _UPPER))),
    *("".join(parts) for parts in itertools.permutations((_DIGITS, _LOWER, _UPPER))),
    string.printable[:94],
    string.printable[:95],
    "".join(map(chr, range(33, 127))),
    "".join(map(chr, range(32, 127))),
)
"""Alphabets in the orders that people use."""


@dataclass(frozen=True)
class Spelling:
    """A way of turning classes into text."""

    blank: int
    skip_steps: int
    characters: Characters

    def classes_of(self, text: str) -> Classes | None:
        """Return the classes of a text; None: a character has no class."""
        places = {character: place for place, character in enumerate(self.characters) if character is not None}
        if any(character not in places for character in text):
            return None
        return tuple(places[character] for character in text)


def sequences(probabilities: Probabilities, blank: int, skip_steps: int) -> list[Classes]:
    """Return the best path of every image, without repeats and blanks (Graves 2006, section 3.2)."""
    best: npt.NDArray[np.intp] = probabilities[:, skip_steps:].argmax(axis=2)
    kept = best != blank
    kept[:, 1:] &= best[:, 1:] != best[:, :-1]
    return [tuple(row[mask].tolist()) for row, mask in zip(best, kept, strict=True)]


def likely_blanks(probabilities: Probabilities, declared: int | None) -> tuple[int, ...]:
    """Return the declared blank, or the last class, the first, and the class that most steps have."""
    if declared is not None:
        return (declared,)
    classes = probabilities.shape[2]
    counts = np.bincount(probabilities.argmax(axis=2).ravel(), minlength=classes)
    return tuple(dict.fromkeys((classes - 1, 0, int(counts.argmax()))))


def skips(steps: int, declared: int | None) -> Sequence[int]:
    """Return the numbers of leading steps that may have been skipped."""
    return (declared,) if declared is not None else range(min(_MOST_SKIPPED + 1, steps))


def likeness(read: Sequence[Classes], texts: Sequence[str]) -> float:
    """Return the share of all characters, 0 to 1, that the best one-to-one map from classes to characters explains."""
    counts = _pairs(read, texts)
    matched = sum(counts[pair] for pair in _matched(counts).items())
    return matched / max(1, sum(map(len, texts)))


def learned(read: Sequence[Classes], texts: Sequence[str], classes: int, blank: int) -> Characters:
    """Return the characters by class as labels show them; None: they do not show it."""
    mapped = _matched(_pairs(read, texts))
    return tuple(None if place == blank else mapped.get(place) for place in range(classes))


def _pairs(read: Sequence[Classes], texts: Sequence[str]) -> Counter[tuple[int, str]]:
    counts: Counter[tuple[int, str]] = Counter()
    for sequence, text in zip(read, texts, strict=True):
        if len(sequence) == len(text):
            counts.update(zip(sequence, text, strict=True))
    return counts


def _matched(counts: Counter[tuple[int, str]]) -> dict[int, str]:
    """Choose one-to-one pairs, the most frequent first."""
    mapped: dict[int, str] = {}
    taken: set[str] = set()
    for (place, character), _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if place not in mapped and character not in taken:
            mapped[place] = character
            taken.add(character)
    return mapped


def alphabets(classes: int, blank: int, texts: Sequence[str]) -> Iterator[Characters]:
    """Yield the usual alphabets that have all characters of the labels, as characters by class."""
    used = set("".join(texts))
    for order in dict.fromkeys(("".join(sorted(used)), *_ORDERS)):
        spare = classes - 1 - len(order)
        if not used <= set(order) or not 0 <= spare <= _MOST_UNUSED:
            continue
        for front in range(spare + 1):
            yield placed(order, classes, blank, front)


def placed(symbols: Sequence[str], classes: int, blank: int, front: int) -> Characters:
    """Return the characters by class, with `front` unused classes before the alphabet and the others after it."""
    spare = classes - 1 - len(symbols)
    characters: list[str | None] = [*[None] * front, *symbols, *[None] * (spare - front)]
    characters.insert(blank, None)
    return tuple(characters)


def agreeing(shown: Sequence[str | None], candidates: Sequence[Characters]) -> list[Characters]:
    """Return the alphabets that have every character where the labels show it."""
    return [
        characters
        for characters in candidates
        if all(character in (None, other) for character, other in zip(shown, characters, strict=True))
    ]


def log_likelihoods(probabilities: Probabilities, spelling: Spelling, texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the log probabilities of the images' labels (Graves 2006, section 4.1): (N,), at least -11.5."""
    labels = [spelling.classes_of(text) for text in texts]
    possible = [label if label is not None else () for label in labels]
    values = log_posteriors(probabilities, possible, spelling.blank, spelling.skip_steps)
    return np.where([label is not None for label in labels], values, np.log(FLOOR))


def log_posteriors(
    probabilities: Probabilities, labels: Sequence[Classes], blank: int, skip_steps: int
) -> npt.NDArray[np.float64]:
    """Return the log probabilities of the images' classes: (N,), at least that of `FLOOR`."""
    return np.asarray(np.log(np.maximum(ctc.posterior(probabilities, labels, blank, skip_steps), FLOOR)))


def right(probabilities: Probabilities, spelling: Spelling, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return (N,) flags: True where an image reads as its label."""
    read = sequences(probabilities, spelling.blank, spelling.skip_steps)
    return np.array(
        [sequence == spelling.classes_of(text) for sequence, text in zip(read, texts, strict=True)], np.bool_
    )
