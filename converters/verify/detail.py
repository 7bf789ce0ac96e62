"""Details beyond the verdict: symbols that are read wrong, confusions, and how far the probabilities have moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from edge_crnn.alphabet import Alphabet
from edge_crnn.calibration import calibration_error
from edge_crnn.dataset import Dataset
from edge_crnn.model.spec import ModelSpec
from edge_crnn.records.verification import Confusion, Detail, SymbolErrors

from .gate import Readings

Labels = Sequence[int]
Pair = tuple[int | None, int | None]
"""A true symbol and the symbol that was read for it; None where a symbol was added or left out."""


def detail(
    spec: ModelSpec, datasets: Sequence[Dataset], reference: Sequence[Readings], artifact: Sequence[Readings]
) -> Detail:
    """Compare the readings of both on the same datasets; `spec` is the artifact's or the trained model's."""
    alphabet = spec.alphabet
    errors: list[SymbolErrors] = []
    counts: tuple[Counter[Pair], Counter[Pair]] = (Counter(), Counter())
    for dataset, *both in zip(datasets, reference, artifact, strict=True):
        wrong = []
        for readings, counter in zip(both, counts, strict=True):
            pairs = [pair for pairs in _mistakes(alphabet, dataset, readings) for pair in pairs]
            counter.update(pairs)
            wrong.append(len(pairs))
        symbols = sum(len(alphabet.encode(entry.label)) for entry in dataset)
        errors.append(SymbolErrors(symbols, *wrong))
    theirs, ours = (
        np.array([confidence for part in readings for confidence in part.confidences])
        for readings in (reference, artifact)
    )
    changes = [
        np.abs(first.probabilities - second.probabilities) for first, second in zip(reference, artifact, strict=True)
    ]
    return Detail(
        errors=tuple(errors),
        confusions=_changed(spec, *counts),
        mean_probability_change=float(np.sum([change.sum(dtype=np.float64) for change in changes]))
        / sum(change.size for change in changes),
        mean_confidence_change=float((ours - theirs).mean()),
        reference_calibration_error=calibration_error(theirs, _right(datasets, reference)),
        calibration_error=calibration_error(ours, _right(datasets, artifact)),
    )


def alignment(truth: Labels, read: Labels) -> list[Pair]:
    """Align what was read with the truth by the fewest changes (Levenshtein 1966).

    Of several alignments with equally few changes, it returns the one with the most exchanges.
    """
    costs = np.zeros((len(truth) + 1, len(read) + 1), int)
    costs[:, 0] = np.arange(len(truth) + 1)
    costs[0] = np.arange(len(read) + 1)
    for i, first in enumerate(truth):
        for j, second in enumerate(read):
            costs[i + 1, j + 1] = min(costs[i, j] + (first != second), costs[i, j + 1] + 1, costs[i + 1, j] + 1)
    pairs: list[Pair] = []
    i, j = len(truth), len(read)
    while i or j:
        if i and j and costs[i, j] == costs[i - 1, j - 1] + (truth[i - 1] != read[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((truth[i], read[j]))
        elif i and costs[i, j] == costs[i - 1, j] + 1:
            i -= 1
            pairs.append((truth[i], None))
        else:
            j -= 1
            pairs.append((None, read[j]))
    return pairs[::-1]


def _mistakes(alphabet: Alphabet, dataset: Dataset, readings: Readings) -> Iterator[list[Pair]]:
    for entry, label in zip(dataset, readings.labels, strict=True):
        if label != entry.label:
            aligned = alignment(alphabet.encode(entry.label), alphabet.encode_reading(label))
            yield [pair for pair in aligned if pair[0] != pair[1]]


def _changed(spec: ModelSpec, reference: Counter[Pair], artifact: Counter[Pair]) -> tuple[Confusion, ...]:
    order = dict.fromkeys((*reference, *artifact))
    changed = sorted(
        (pair for pair in order if reference[pair] != artifact[pair]),
        key=lambda pair: -abs(reference[pair] - artifact[pair]),
    )

    def symbol(index: int | None) -> str:
        return "" if index is None else spec.alphabet.spell([index])

    return tuple(Confusion(symbol(a), symbol(b), reference[a, b], artifact[a, b]) for a, b in changed)


def _right(datasets: Sequence[Dataset], readings: Sequence[Readings]) -> np.ndarray:
    return np.array(
        [
            label == entry.label
            for dataset, part in zip(datasets, readings, strict=True)
            for entry, label in zip(dataset, part.labels, strict=True)
        ]
    )
