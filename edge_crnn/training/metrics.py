"""Scores readings by the four figures that are usually quoted for text recognisers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..edits import edit_distance as edit_distance
from ..errors import InputError


@dataclass(frozen=True)
class Score:
    """Figures over a set of images, from 0 to 1; only the error rates may exceed 1."""

    exact: float
    """Share of images whose whole text is correct; an empty label is read correctly if nothing is read."""
    character_error_rate: float
    """Edits (insertions, deletions, substitutions; Levenshtein 1966) over all true characters, or over 1 without any.

    What is read of an image with an empty label counts as insertions.
    """
    letter_accuracy: float
    """Characters that are correct at their own place, over the longer of the two texts; a missing first character makes
    all others wrong. 1 if all texts are empty."""
    edit_distance: float
    """Edits over the true length, averaged over the images, like tf.edit_distance with `normalize`; over 1 for an empty
    label."""


def score(read: Sequence[str], labels: Sequence[str]) -> Score:
    """Compare readings with the true labels.

    Raises:
        InputError: the two differ in number, or there are none.
    """
    if len(read) != len(labels) or not labels:
        raise InputError(f"{len(read)} readings of {len(labels)} labels; expected the same number of both, at least 1")
    pairs = list(zip(read, labels, strict=True))
    edits = [edit_distance(text, label) for text, label in pairs]
    placed = sum(a == b for text, label in pairs for a, b in zip(text, label, strict=False))
    longer = sum(max(len(text), len(label)) for text, label in pairs)
    return Score(
        exact=sum(text == label for text, label in pairs) / len(labels),
        character_error_rate=sum(edits) / max(1, sum(map(len, labels))),
        letter_accuracy=placed / longer if longer else 1.0,
        edit_distance=sum(edit / max(1, len(label)) for edit, label in zip(edits, labels, strict=True)) / len(labels),
    )
