"""The edit distance between two sequences."""

from __future__ import annotations

from collections.abc import Sequence


def edit_distance(sequence: Sequence[object], expected: Sequence[object]) -> int:
    """Count the fewest insertions, deletions and substitutions between two sequences (Wagner and Fischer 1974)."""
    row = list(range(len(expected) + 1))
    for i, a in enumerate(sequence, 1):
        diagonal = row[0]
        row[0] = i
        for j, b in enumerate(expected, 1):
            substituted = diagonal + (a != b)
            diagonal = row[j]
            row[j] = min(row[j] + 1, row[j - 1] + 1, substituted)
    return row[-1]
