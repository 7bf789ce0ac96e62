"""Best-path decoding."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .decoded import ROW_SUM_TOLERANCE, Decoded, Form, Scored, as_given, checked
from .forward import Floats, Span, forward

_NORMAL = float(np.finfo(np.float64).tiny)
"""Products above it lose no precision."""


class _Path(NamedTuple):
    indices: list[int]
    peaks: list[float]
    spans: list[Span]


def greedy(
    scores: npt.ArrayLike,
    blank: int,
    skip_steps: int = 0,
    *,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
) -> list[Decoded]:
    """Decode the best path (Graves 2006, section 3.2): the likeliest class of each step, without repeats and blanks.

    The lowest index wins among equally probable classes. A character's span is its run in the best path. The
    confidence is the posterior of the sequence, not the probability of the best path, which is smaller.

    Args:
        scores: (N, T, C) float.
        blank: class index of the blank.
        skip_steps: leading time steps that are not decoded.
        form: what the scores are.
        lengths: (N,) int; per image the time steps that count, the skipped ones among them; None: all T.

    Raises:
        InputError: the scores are not of that form, or another argument is out of range.
    """
    rows = checked(scores, blank, skip_steps, form, lengths)
    paths = _best_paths(rows, blank, skip_steps)
    confidences = forward(rows, np.arange(len(rows)), [path.indices for path in paths], blank)
    return [
        Decoded(tuple(path.indices), confidence, tuple(path.peaks), tuple(path.spans))
        for path, confidence in zip(paths, confidences.tolist(), strict=True)
    ]


def best_path(
    scores: npt.ArrayLike,
    blank: int,
    skip_steps: int = 0,
    *,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
    merge_repeated: bool = True,
) -> list[Scored]:
    """Decode the best path into labels and a score only, as `tf.nn.ctc_greedy_decoder` does.

    The score is the logarithm of the best path's own probability, which is at most the sequence's posterior. Rows
    of probabilities that do not quite sum to 1 are used as they are.

    Args:
        scores: (N, T, C) float.
        blank: class index of the blank.
        skip_steps: leading time steps that are not decoded.
        form: what the scores are.
        lengths: (N,) int; per image the time steps that count, the skipped ones among them; None: all T.
        merge_repeated: whether a class that is likeliest in several consecutive steps is one label, or one per step.

    Raises:
        InputError: in the same cases as `greedy`.
    """
    output, padding = as_given(scores, blank, skip_steps, form, lengths)
    images, steps, _ = output.shape
    best, places = _likeliest(output, form)
    peaks = output.ravel().take(places)
    if form == "logits":
        peaks = -np.log(np.exp(output - peaks.reshape(images, steps, 1)).sum(axis=-1, dtype=np.float64)).ravel()
    if padding is not None:
        best[padding.ravel()] = blank
        peaks[padding.ravel()] = form == "probabilities"  # certain: 1, or the logarithm 0
    if images == 1:
        return [_path_of(best.tolist(), peaks.tolist(), blank, form, merge_repeated)]
    if form == "probabilities":
        peaks = np.log(peaks, dtype=np.float64)
    best = best.reshape(images, steps)
    labels = best != blank
    if merge_repeated:
        labels[:, 1:] &= best[:, 1:] != best[:, :-1]
    places_of_labels = np.flatnonzero(labels)
    indices = tuple(best.ravel()[places_of_labels].tolist())
    ends = np.searchsorted(places_of_labels, np.arange(steps, best.size + 1, steps)).tolist()
    totals = peaks.reshape(images, steps).sum(axis=-1, dtype=np.float64).tolist()
    return [
        Scored(indices[start:end], total)
        for start, end, total in zip([0, *ends], ends, totals, strict=False)  # no label starts at the last end
    ]


def _path_of(best: list[int], peaks: list[float], blank: int, form: Form, merge_repeated: bool) -> Scored:
    """Decode one image in plain Python, which takes half the time of arrays."""
    labels = []
    previous = blank
    for index in best:
        if index != previous:
            previous = index
            if index != blank:
                labels.append(index)
        elif not merge_repeated and index != blank:
            labels.append(index)
    if form != "probabilities":
        return Scored(tuple(labels), sum(peaks))
    product = math.prod(peaks)
    return Scored(tuple(labels), math.log(product) if product > _NORMAL else sum(map(math.log, peaks)))


def _likeliest(rows: npt.NDArray[Any], form: Form) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the likeliest class of each time step of rows (N, T, C), and its place in `rows.ravel()`: both (N T,).

    With many rows of probabilities, only rows in which no class exceeds one half are searched.
    """
    images, steps, classes = rows.shape
    starts = _starts(images * steps, classes)
    if images < 16 or form != "probabilities":
        best: npt.NDArray[np.intp] = rows.argmax(axis=-1).ravel()
        return best, best + starts
    places = np.full(len(starts), -1)
    clear = np.flatnonzero(rows > 0.5 + ROW_SUM_TOLERANCE)
    places[clear // classes] = clear
    doubt = np.flatnonzero(places < 0)
    places[doubt] = rows.reshape(-1, classes)[doubt].argmax(axis=-1) + starts[doubt]
    return places - starts, places


@functools.lru_cache(maxsize=4)
def _starts(rows: int, classes: int) -> npt.NDArray[np.intp]:
    return np.arange(0, rows * classes, classes)


def _best_paths(rows: Floats, blank: int, first_step: int) -> list[_Path]:
    images, steps, _ = rows.shape
    paths = [_Path([], [], []) for _ in range(images)]
    if not images:
        return paths
    best = rows.argmax(axis=-1)
    changes = np.ones((images, steps), np.bool_)
    np.not_equal(best[:, 1:], best[:, :-1], out=changes[:, 1:])
    starts = np.flatnonzero(changes)  # of runs, over the whole batch
    runs = zip(
        best.ravel()[starts].tolist(),
        np.maximum.reduceat(rows.max(axis=-1).ravel(), starts).tolist(),
        starts.tolist(),
        [*starts[1:].tolist(), images * steps],
        strict=True,
    )
    for index, peak, start, end in runs:
        if index != blank:
            image, step = divmod(start, steps)
            path = paths[image]
            path.indices.append(index)
            path.peaks.append(peak)
            path.spans.append((first_step + step, first_step + step + end - start))
    return paths
