"""What every decoder takes and gives."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from ..errors import InputError

ROW_SUM_TOLERANCE = 1e-2  # a softmax quantised to 8 bits misses 1 by up to a few thousandths

Form: TypeAlias = Literal["probabilities", "log-probabilities", "logits"]
"""What a network's output is: told by the caller, never guessed from the values."""

_FORMS = get_args(Form)


class Scored(NamedTuple):
    """A label sequence and how probable it is: what a decoder finds before it looks where the labels stand."""

    indices: tuple[int, ...]
    """Class indices, without blanks."""
    log_probability: float
    """Natural logarithm; of what, the decoder says."""


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
    weighted: float | None = None
    """With a lexicon or a prior: the posteriors of all texts that the search considered, shared out anew by what
    lexicon and prior say; this text's share, in [0, 1]. `confidence` remains the network's own.
    `candidates.Search.weigh` has the formula."""
    rescued: bool = False
    """Whether it is a known text of which the network reads another one, one symbol more, less or other."""


def checked(
    scores: npt.ArrayLike,
    blank: int,
    skip_steps: int = 0,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Check a network's output, drop the skipped steps, and make each row probabilities that sum to 1.

    The division by their sum makes posteriors of a quantised softmax, whose rows sum to nearly 1, true
    probabilities. What lies behind an image's length becomes certain blanks, which change nothing.

    Args:
        scores: (N, T, C) float; what is behind an image's length may be anything.
        blank: class index of the blank, in [0, C).
        skip_steps: leading time steps that are not decoded.
        form: what the scores are. Probabilities and the exponentials of log-probabilities sum to 1 in each row
            over C; log-probabilities may be -inf. Logits go through a softmax.
        lengths: (N,) int; per image the time steps that count, the skipped ones among them; None: all T.

    Returns:
        (N, T - skip_steps, C) float64, C-contiguous.

    Raises:
        InputError: if shape, dtype, values or an argument are not as said above.
    """
    given, padding = as_given(scores, blank, skip_steps, form, lengths)
    powers = np.ascontiguousarray(given, dtype=np.float64)
    if form != "probabilities":
        powers = np.exp(powers if form == "log-probabilities" else powers - powers.max(axis=-1, keepdims=True))
    rows: npt.NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    if padding is not None:
        rows[padding] = np.arange(rows.shape[2]) == blank
    return rows


def as_given(
    scores: npt.ArrayLike, blank: int, skip_steps: int, form: Form, lengths: npt.ArrayLike | None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    """Check as `checked` does, and drop the skipped steps alone.

    Returns:
        (N, T - skip_steps, C) float, and where it is behind its image's length (N, T - skip_steps), if anywhere.

    Raises:
        InputError: as `checked`.
    """
    given = _shaped(scores, blank, skip_steps, form)
    padding = None if lengths is None else _padding(lengths, given.shape, skip_steps)
    if padding is not None:
        neutral = {"probabilities": 1.0 / given.shape[2], "log-probabilities": -np.log(given.shape[2]), "logits": 0.0}
        given = np.where(padding[:, :, None], neutral[form], given)
    if given.size and not _right(given, form):
        raise InputError(_what_is_wrong(given, form))
    return given[:, skip_steps:], padding if padding is None else padding[:, skip_steps:]


def _right(given: npt.NDArray[Any], form: Form) -> bool:
    if form == "logits":
        return bool(np.isfinite(given).all())
    rows = given
    if form == "log-probabilities":
        with np.errstate(over="ignore"):
            rows = np.exp(given)
    values = rows.ravel("K")
    if not values[values.argmin()] >= 0.0:  # argmin finds NaN, too, and is faster than min
        return False
    classes = rows.shape[2]
    steps = rows[0] if len(rows) == 1 else rows.reshape(-1, classes)  # which takes longer than its sums
    sums = steps.dot(_ones(classes, rows.dtype))  # which may overflow, and says nothing
    return bool(sums[sums.argmin()] >= 1.0 - ROW_SUM_TOLERANCE and sums[sums.argmax()] <= 1.0 + ROW_SUM_TOLERANCE)


@functools.lru_cache(maxsize=4)
def _ones(count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.ones(count, dtype)


def _shaped(scores: npt.ArrayLike, blank: int, skip_steps: int, form: Form) -> npt.NDArray[Any]:
    if form not in _FORMS:
        raise InputError(f"form is {form!r}, expected one of {', '.join(_FORMS)}")
    given = np.asarray(scores)
    if given.ndim != 3:
        raise InputError(
            f"{form} have shape {given.shape}, expected (N, T, C): images, time steps, classes; "
            f"give a single image as {form}[np.newaxis]"
        )
    if given.dtype.kind != "f":
        raise InputError(f"{form} are {given.dtype}, expected float32: dequantise the network's output first")
    _, steps, classes = given.shape
    if classes < 2:
        raise InputError(f"{form} have {classes} classes, expected the blank and at least one symbol")
    if not 0 <= blank < classes:
        raise InputError(f"blank is {blank}, expected 0 to {classes - 1}, as there are {classes} classes")
    if not 0 <= skip_steps < steps:
        raise InputError(
            f"skip_steps is {skip_steps}, expected 0 to {steps - 1}, so that 1 of {steps} time steps is left"
        )
    return given if given.itemsize > 2 else given.astype(np.float32)


def _padding(lengths: npt.ArrayLike, shape: tuple[int, ...], skip_steps: int) -> npt.NDArray[np.bool_]:
    """(N, T): which steps are behind their image's length."""
    images, steps, _ = shape
    counts = np.asarray(lengths)
    if counts.shape != (images,) or (images and counts.dtype.kind not in "iu"):
        raise InputError(f"lengths are {counts.dtype} of shape {counts.shape}, expected {images} integers")
    wrong = (counts <= skip_steps) | (counts > steps)
    if wrong.any():
        image = int(np.argmax(wrong))
        raise InputError(
            f"lengths[{image}] is {counts[image]}, expected {skip_steps + 1} to {steps}: "
            f"a step behind the {skip_steps} skipped ones, and no more than there are"
        )
    behind: npt.NDArray[np.bool_] = np.arange(steps) >= counts[:, None]
    return behind


def _what_is_wrong(given: npt.NDArray[Any], form: Form) -> str:
    def place(wrong: npt.NDArray[Any]) -> str:
        return f"{form}[" + ", ".join(str(i) for i in np.argwhere(wrong)[0]) + "]"

    wrong = ~np.isfinite(given)
    if form == "log-probabilities":
        wrong &= given != -np.inf
    if wrong.any():
        count = np.count_nonzero(wrong)
        return f"{place(wrong)} is {given[wrong][0]}, 1 of {count} non-finite values: check the model"
    advice = "apply softmax to logits first, or say that they are logits"
    with np.errstate(over="ignore"):
        rows = np.exp(given) if form == "log-probabilities" else given
        sums = rows.sum(axis=-1, dtype=np.float64)
    if (rows < 0).any():
        wrong = rows < 0
        return f"{place(wrong)} is {rows[wrong][0]:.6g}, expected probabilities: {advice}"
    wrong = ~(np.abs(sums - 1.0) <= ROW_SUM_TOLERANCE)
    total = "sums to" if form == "probabilities" else "has exponentials that sum to"
    return f"{place(wrong)} {total} {sums[wrong][0]:.6g}, expected 1: {advice}"
