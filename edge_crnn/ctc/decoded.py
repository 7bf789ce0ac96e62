"""What every decoder takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError

ROW_SUM_TOLERANCE = 1e-2  # a softmax quantised to 8 bits misses 1 by up to a few thousandths


@dataclass(frozen=True)
class Decoded:
    """One label sequence that a decoder found in one image."""

    indices: tuple[int, ...]
    """Class indices, without blanks."""
    confidence: float
    """Posterior of the whole sequence, summed over all its alignments, in [0, 1]."""
    confidences: tuple[float, ...]
    """Per character: the highest probability of its class within its span, in [0, 1]."""
    spans: tuple[tuple[int, int], ...]
    """Per character: half-open range of time steps of the network, the skipped ones counted."""


def checked(probabilities: npt.ArrayLike, blank: int, skip_steps: int) -> npt.NDArray[np.float64]:
    """Check a network's output, drop the skipped steps, and divide each row by its sum.

    The division makes posteriors of a quantised softmax, whose rows sum to nearly 1, true probabilities.

    Args:
        probabilities: (N, T, C) float; each row over C sums to 1.
        blank: class index of the blank, in [0, C).
        skip_steps: leading time steps that are not decoded.

    Returns:
        (N, T - skip_steps, C) float64, C-contiguous.

    Raises:
        InputError: if shape, dtype, values, `blank` or `skip_steps` are not as said above.
    """
    given = np.asarray(probabilities)
    if given.ndim != 3:
        raise InputError(
            f"probabilities have shape {given.shape}, expected (N, T, C): images, time steps, classes; "
            "give a single image as probabilities[np.newaxis]"
        )
    if given.dtype.kind != "f":
        raise InputError(f"probabilities are {given.dtype}, expected float32: dequantise the network's output first")
    _, steps, classes = given.shape
    if classes < 2:
        raise InputError(f"probabilities have {classes} classes, expected the blank and at least one symbol")
    if not 0 <= blank < classes:
        raise InputError(f"blank is {blank}, expected 0 to {classes - 1}, as there are {classes} classes")
    if not 0 <= skip_steps < steps:
        raise InputError(
            f"skip_steps is {skip_steps}, expected 0 to {steps - 1}, so that 1 of {steps} time steps is left"
        )
    rows = np.ascontiguousarray(given, dtype=np.float64)
    sums = rows.sum(axis=-1, keepdims=True)
    # One comparison finds NaN and infinity too: neither is near 1.
    if rows.size and not (np.abs(sums - 1.0).max() <= ROW_SUM_TOLERANCE and rows.min() >= 0.0):
        raise InputError(_what_is_wrong(rows, sums[..., 0]))
    decoded: npt.NDArray[np.float64] = (rows / sums)[:, skip_steps:]
    return np.ascontiguousarray(decoded)


def _what_is_wrong(rows: npt.NDArray[np.float64], sums: npt.NDArray[np.float64]) -> str:
    def place(wrong: npt.NDArray[Any]) -> str:
        return "probabilities[" + ", ".join(str(i) for i in np.argwhere(wrong)[0]) + "]"

    if not np.isfinite(rows).all():
        wrong = ~np.isfinite(rows)
        count = np.count_nonzero(wrong)
        return f"{place(wrong)} is {rows[wrong][0]}, 1 of {count} non-finite values: check the model"
    if (rows < 0).any():
        wrong = rows < 0
        return f"{place(wrong)} is {rows[wrong][0]:.6g}, expected probabilities: apply softmax to logits first"
    wrong = np.abs(sums - 1.0) > ROW_SUM_TOLERANCE
    return f"{place(wrong)} sums to {sums[wrong][0]:.6g}, expected 1: apply softmax to logits first"
