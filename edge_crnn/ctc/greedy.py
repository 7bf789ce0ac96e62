"""Best-path decoding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .decoded import Decoded, checked
from .forward import Floats, Span, forward


class _Path(NamedTuple):
    indices: list[int]
    peaks: list[float]
    spans: list[Span]


def greedy(probabilities: npt.ArrayLike, blank: int, skip_steps: int = 0) -> list[Decoded]:
    """Best-path decoding (Graves 2006, section 3.2): each step's likeliest class, less repeats and blanks.

    Of equally probable classes the lowest index wins. A character's span is its run in the best path. The
    confidence is the posterior of the sequence, not the product of the best path, which is smaller.

    Args:
        probabilities: (N, T, C) float; each row over C sums to 1.
        blank: class index of the blank.
        skip_steps: leading time steps that are not decoded.

    Raises:
        InputError: if the probabilities, `blank` or `skip_steps` are not as said above.
    """
    rows = checked(probabilities, blank, skip_steps)
    paths = _best_paths(rows, blank, skip_steps)
    confidences = forward(rows, np.arange(len(rows)), [path.indices for path in paths], blank)
    return [
        Decoded(tuple(path.indices), confidence, tuple(path.peaks), tuple(path.spans))
        for path, confidence in zip(paths, confidences.tolist(), strict=True)
    ]


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
