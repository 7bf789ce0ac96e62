"""The input and the output of every decoder."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from ..errors import InputError

ROW_SUM_TOLERANCE = 1e-2  # a softmax quantised to 8 bits misses 1 by up to a few thousandths

Form: TypeAlias = Literal["probabilities", "log-probabilities", "logits"]
"""The meaning of the numbers in a network's output: stated by the caller, never guessed from the values."""

_FORMS = get_args(Form)


class Scored(NamedTuple):
    """A label sequence with its probability, without the places of its labels."""

    indices: tuple[int, ...]
    """Class indices, without blanks."""
    log_probability: float
    """Natural logarithm of a probability that each decoder defines."""


@dataclass(frozen=True)
class Decoded:
    """A label sequence that a decoder found in an image."""

    indices: tuple[int, ...]
    """Class indices, without blanks."""
    confidence: float
    """Posterior of the whole sequence, summed over all its alignments, in [0, 1]."""
    confidences: tuple[float, ...]
    """Per character: the highest probability of its class within its span, in [0, 1]."""
    spans: tuple[tuple[int, int], ...]
    """Per character: half-open range of time steps of the network, counting skipped steps."""
    weighted: float | None = None
    """Share of this text, in [0, 1], after a lexicon or a prior has redistributed the posteriors of all texts that the
    search considered; see `candidates.weigh` for the formula. `confidence` remains the network's own. None without a
    lexicon and a prior."""
    rescued: bool = False
    """Whether it is a known text that differs by one edit from what the network reads."""


def checked(
    scores: npt.ArrayLike,
    blank: int,
    skip_steps: int = 0,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Check a network's output, drop the skipped steps, and turn each row into probabilities that sum to 1.

    Dividing by the sum makes the posteriors of a quantised softmax, whose rows sum to nearly 1, true probabilities.
    Time steps after an image's length become certain blanks, which change nothing.

    Args:
        scores: (N, T, C) float; values after an image's length are ignored.
        blank: class index of the blank, in [0, C).
        skip_steps: leading time steps that are not decoded.
        form: what the scores are. Probabilities and the exponentials of log-probabilities sum to 1 in each row
            over C; log-probabilities may be -inf. Logits go through a softmax.
        lengths: (N,) int; per image the time steps that count, the skipped ones among them; None: all T.

    Returns:
        (N, T - skip_steps, C) float64, C-contiguous.

    Raises:
        InputError: shape, dtype, a value or an argument is not as described.
    """
    values, padding = as_given(scores, blank, skip_steps, form, lengths)
    powers = np.ascontiguousarray(values, dtype=np.float64)
    if form != "probabilities":
        powers = np.exp(powers if form == "log-probabilities" else powers - powers.max(axis=-1, keepdims=True))
    rows: npt.NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    if padding is not None:
        rows[padding] = np.arange(rows.shape[2]) == blank
    return rows


def as_given(
    scores: npt.ArrayLike, blank: int, skip_steps: int, form: Form, lengths: npt.ArrayLike | None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    """Check as `checked` does, but only drop the skipped steps.

    Returns:
        The scores, (N, T - skip_steps, C) float, and a mask of the steps after an image's length,
        (N, T - skip_steps), or None.

    Raises:
        InputError: in the same cases as `checked`.
    """
    values = _shaped(scores, blank, skip_steps, form)
    padding = None if lengths is None else _padding(lengths, values.shape, skip_steps)
    if padding is not None:
        neutral = {"probabilities": 1.0 / values.shape[2], "log-probabilities": -np.log(values.shape[2]), "logits": 0.0}
        values = np.where(padding[:, :, None], neutral[form], values)
    if values.size and not _right(values, form):
        raise InputError(_what_is_wrong(values, form))
    return values[:, skip_steps:], padding if padding is None else padding[:, skip_steps:]


def _right(values: npt.NDArray[Any], form: Form) -> bool:
    if form == "logits":
        return bool(np.isfinite(values).all())
    rows = values
    if form == "log-probabilities":
        with np.errstate(over="ignore"):
            rows = np.exp(values)
    flat = rows.ravel("K")
    if not flat[flat.argmin()] >= 0.0:  # argmin finds NaN, too, and is faster than min
        return False
    classes = rows.shape[2]
    steps = rows[0] if len(rows) == 1 else rows.reshape(-1, classes)  # a reshape takes longer than the sums
    with np.errstate(all="ignore"):  # BLAS may raise a flag for what it computes beside the rows
        sums = steps.dot(_ones(classes, rows.dtype))
    return bool(sums[sums.argmin()] >= 1.0 - ROW_SUM_TOLERANCE and sums[sums.argmax()] <= 1.0 + ROW_SUM_TOLERANCE)


@functools.lru_cache(maxsize=4)
def _ones(count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.ones(count, dtype)


def _shaped(scores: npt.ArrayLike, blank: int, skip_steps: int, form: Form) -> npt.NDArray[Any]:
    if form not in _FORMS:
        raise InputError(f"form is {form!r}, expected one of {', '.join(_FORMS)}")
    values = np.asarray(scores)
    if values.ndim != 3:
        raise InputError(
            f"{form} have shape {values.shape}, expected (N, T, C): images, time steps, classes; "
            f"give a single image as {form}[np.newaxis]"
        )
    if values.dtype.kind != "f":
        raise InputError(f"{form} are {values.dtype}, expected float32: dequantise the network's output first")
    _, steps, classes = values.shape
    if classes < 2:
        raise InputError(f"{form} have {classes} classes, expected the blank and at least one symbol")
    if not 0 <= blank < classes:
        raise InputError(f"blank is {blank}, expected 0 to {classes - 1}, as there are {classes} classes")
    if not 0 <= skip_steps < steps:
        raise InputError(
            f"skip_steps is {skip_steps}, expected 0 to {steps - 1}, so that 1 of {steps} time steps is left"
        )
    return values if values.itemsize > 2 else values.astype(np.float32)


def _padding(lengths: npt.ArrayLike, shape: tuple[int, ...], skip_steps: int) -> npt.NDArray[np.bool_]:
    """Return the mask (N, T) of the steps after their image's length."""
    images, steps, _ = shape
    counts = np.asarray(lengths)
    if counts.shape != (images,) or (images and counts.dtype.kind not in "iu"):
        raise InputError(f"lengths are {counts.dtype} of shape {counts.shape}, expected {images} integers")
    wrong = (counts <= skip_steps) | (counts > steps)
    if wrong.any():
        image = int(np.argmax(wrong))
        raise InputError(
            f"lengths[{image}] is {counts[image]}, expected {skip_steps + 1} to {steps}: "
            f"at least one step after the {skip_steps} skipped ones"
        )
    behind: npt.NDArray[np.bool_] = np.arange(steps) >= counts[:, None]
    return behind


def _what_is_wrong(values: npt.NDArray[Any], form: Form) -> str:
    def place(wrong: npt.NDArray[Any]) -> str:
        return f"{form}[" + ", ".join(str(i) for i in np.argwhere(wrong)[0]) + "]"

    wrong = ~np.isfinite(values)
    if form == "log-probabilities":
        wrong &= values != -np.inf
    if wrong.any():
        count = np.count_nonzero(wrong)
        return f"{place(wrong)} is {values[wrong][0]}, 1 of {count} non-finite values: check the model"
    advice = 'apply softmax to logits first, or pass form="logits"'
    with np.errstate(over="ignore"):
        rows = np.exp(values) if form == "log-probabilities" else values
        sums = rows.sum(axis=-1, dtype=np.float64)
    if (rows < 0).any():
        wrong = rows < 0
        return f"{place(wrong)} is {rows[wrong][0]:.6g}, expected probabilities: {advice}"
    wrong = ~(np.abs(sums - 1.0) <= ROW_SUM_TOLERANCE)
    total = "sums to" if form == "probabilities" else "has exponentials that sum to"
    return f"{place(wrong)} {total} {sums[wrong][0]:.6g}, expected 1: {advice}"
