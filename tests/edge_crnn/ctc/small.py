"""Batches so small that all alignments can be enumerated."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Floats = npt.NDArray[np.float64]
Labels = tuple[int, ...]


@st.composite
def batches(draw: st.DrawFn, classes: int, lowest: int = 0, most_images: int = 3, most_steps: int = 5) -> Floats:
    """Draw probabilities (N, T, C)."""
    shape = draw(st.integers(1, most_images)), draw(st.integers(1, most_steps)), classes
    weights = draw(st.lists(st.integers(lowest, 9), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    rows = np.array(weights, np.float64).reshape(shape)
    rows[rows.sum(axis=-1) == 0] = 1.0
    return rows / rows.sum(axis=-1, keepdims=True)


def posteriors(rows: Floats, blank: int) -> dict[Labels, float]:
    """Sum the probabilities of all alignments of every label sequence that is possible in (T, C)."""
    sums: dict[Labels, float] = {}
    for path in product(range(rows.shape[1]), repeat=len(rows)):
        chance = float(np.prod([row[index] for row, index in zip(rows, path, strict=True)]))
        if chance > 0:
            sequence = tuple(index for index, _ in groupby(path) if index != blank)
            sums[sequence] = sums.get(sequence, 0.0) + chance
    return sums


def one_edit(label: Labels, symbols: list[int]) -> set[Labels]:
    """List the labels that differ by one symbol added, removed or replaced."""
    edited = set()
    for place in range(len(label) + 1):
        before, rest = label[:place], label[place:]
        edited |= {(*before, symbol, *rest) for symbol in symbols}
        if rest:
            edited |= {(*before, *rest[1:]), *((*before, symbol, *rest[1:]) for symbol in symbols)}
    return edited - {label}
