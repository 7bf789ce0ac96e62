"""The lattice of all alignments of a label sequence: its total (posterior) and its best path (spans).

States are the labels with a blank before, between and after them: `_ a _ b _`, so label i is state 2 i + 1.
From one time step to the next a path stays, moves to the next state, or skips a blank between unlike labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .decoded import Form, checked

Floats = npt.NDArray[np.float64]
Indices = tuple[int, ...]
Span = tuple[int, int]

_HARDLY = -1e9
"""Stands for the logarithm of 0; every possible alignment has more."""


def posterior(
    scores: npt.ArrayLike,
    labels: Sequence[Sequence[int]],
    blank: int,
    skip_steps: int = 0,
    *,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
) -> Floats:
    """Return the probability of each image's label sequence, summed over all alignments (Graves 2006, section 4.1).

    Args:
        scores: (N, T, C) float.
        labels: N sequences of class indices, without blanks; a sequence may be empty.
        blank: class index of the blank.
        skip_steps: leading time steps that are not decoded.
        form: what the scores are.
        lengths: (N,) int; per image the time steps that count, the skipped ones among them; None: all T.

    Returns:
        (N,) float64 in [0, 1]; 0 for a sequence that does not fit into the time steps.

    Raises:
        InputError: the scores are not of that form, or a label is the blank or no class.
    """
    rows = checked(scores, blank, skip_steps, form, lengths)
    images, _, classes = rows.shape
    if len(labels) != images:
        raise InputError(f"{len(labels)} label sequences for {images} images, expected one per image")
    for image, sequence in enumerate(labels):
        for index in sequence:
            if index == blank or not 0 <= index < classes:
                raise InputError(
                    f"labels[{image}] has class {index}, expected 0 to {classes - 1} without blank {blank}"
                )
    return forward(rows, np.arange(images), labels, blank)


def forward(rows: Floats, images: npt.NDArray[np.intp], labels: Sequence[Sequence[int]], blank: int) -> Floats:
    """Return the posterior of `labels[k]` in `rows[images[k]]`: (K,) float64, from checked (N, T, C) rows.

    Neither logarithms nor scaling are needed: each path continues with a probability of at most 1, so what
    underflows on the way would be below the smallest float64 in the total, too.
    """
    if not len(labels):
        return np.zeros(0)
    emissions, skips = _lattice(rows, images, labels, blank)
    _, count, states = emissions.shape
    reached = np.zeros((count, states + 2))  # two columns of zeros stand for the states before the first
    here, previous, skipped = reached[:, 2:], reached[:, 1:-1], reached[:, :-2]
    here[:, :2] = emissions[0, :, :2]
    inflow = np.empty((count, states))
    for emission in emissions[1:]:
        np.multiply(skipped, skips, out=inflow)
        np.add(inflow, previous, out=inflow)
        np.add(here, inflow, out=here)
        np.multiply(here, emission, out=here)
    sequence = np.arange(count)
    last = 2 * np.array([len(label) for label in labels])
    total: Floats = here[sequence, last] + previous[sequence, last]
    return np.minimum(total, 1.0)  # rounding


def placed(
    rows: Floats, indices: Sequence[int], spans: Sequence[Span], skip_steps: int
) -> tuple[tuple[float, ...], tuple[Span, ...]]:
    """Return the peak probability in each label's span, and the spans with the skipped steps added; rows are (T, C)."""
    peaks = tuple(float(rows[start:end, index].max()) for index, (start, end) in zip(indices, spans, strict=True))
    return peaks, tuple((start + skip_steps, end + skip_steps) for start, end in spans)


def align(
    rows: Floats, images: npt.NDArray[np.intp], labels: Sequence[Sequence[int]], blank: int
) -> list[tuple[Span, ...]]:
    """Return the spans of the labels in the most probable alignment (Viterbi) of `labels[k]` in `rows[images[k]]`.

    Every sequence must fit into the time steps. If all its alignments are impossible, one with the fewest impossible
    steps is taken. Among equally probable alignments, the one that moves on latest wins.
    """
    if not len(labels):
        return []
    emissions, skips = _lattice(rows, images, labels, blank)
    steps, count, states = emissions.shape
    with np.errstate(divide="ignore"):  # log 0 = -inf is intended
        emissions = np.maximum(np.log(emissions), _HARDLY)
        skips = np.log(skips)
    # moves[t, k, s]: how many states back the best path to state s at time t was at time t - 1
    moves = np.zeros((steps, count, states), np.int64)
    best = np.full((3, count, states), -np.inf)
    best[0, :, :2] = emissions[0, :, :2]
    for step in range(1, steps):
        best[1, :, 1:] = best[0, :, :-1]
        best[2, :, 2:] = best[0, :, :-2] + skips[:, 2:]
        moves[step] = best.argmax(axis=0)
        best[0] = best.max(axis=0) + emissions[step]
    sequence = np.arange(count)
    last = 2 * np.array([len(label) for label in labels])
    before_last = np.maximum(last - 1, 0)
    state = np.where(best[0, sequence, last] >= best[0, sequence, before_last], last, before_last)
    path = np.empty((count, steps), np.int64)
    for step in range(steps - 1, -1, -1):
        path[:, step] = state
        state = state - moves[step, sequence, state]
    spans = []
    for visited, label in zip(path, labels, strict=True):
        characters = np.arange(1, 2 * len(label), 2)
        starts = np.searchsorted(visited, characters, "left").tolist()
        spans.append(tuple(zip(starts, np.searchsorted(visited, characters, "right").tolist(), strict=True)))
    return spans


def _lattice(
    rows: Floats, images: npt.NDArray[np.intp], labels: Sequence[Sequence[int]], blank: int
) -> tuple[Floats, Floats]:
    """Return the emissions (T, K, S), and a mask (K, S) with 1 for states that can be entered by skipping a blank.

    Shorter sequences are padded with blanks at the end; no path leads back from there.
    """
    states = np.full((len(labels), 2 * max(map(len, labels)) + 1), blank, np.intp)
    for row, label in zip(states, labels, strict=True):
        row[1 : 2 * len(label) : 2] = label
    skips = np.zeros(states.shape)
    skips[:, 2:] = states[:, 2:] != states[:, :-2]
    return rows.transpose(1, 0, 2)[:, images[:, None], states], skips
