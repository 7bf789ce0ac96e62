"""TensorFlow's beam search, for parity: reproduces its results, including the sequences that it loses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import bounds
from ..errors import InputError
from .decoded import Form, Scored, checked

_NOTHING = float("-inf")


def tf_beam(
    scores: npt.ArrayLike,
    blank: int,
    skip_steps: int = 0,
    *,
    width: int = 100,
    n_best: int = 1,
    merge_repeated: bool = False,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
) -> list[list[Scored]]:
    """Decode as `tf.nn.ctc_beam_search_decoder` does (tensorflow/core/util/ctc/ctc_beam_search.h), best first.

    This is not an exact prefix beam search. Growing a prefix may evict another one in the middle of a time step. If
    the parent of the evicted prefix grows afterwards, the prefix returns with the parent's contribution alone, or is
    lost. So texts and scores sometimes differ from those of `beam`, more often with a narrow beam. A score is the
    logarithm of the part of a sequence's posterior that the beam has seen. The arithmetic has TensorFlow's precision:
    float64 for float64 scores, otherwise float32.

    Args:
        scores: (N, T, C) float.
        blank: class index of the blank; TensorFlow itself takes the last class only.
        skip_steps: leading time steps that are not decoded.
        width: prefixes kept after each time step.
        n_best: sequences returned per image, at most `width`; fewer where the beam has fewer, which TensorFlow rejects.
        merge_repeated: whether equal neighbours are returned as one label, even with a blank between them, as in
            `tf.compat.v1.nn.ctc_beam_search_decoder`; `tf.nn` does not merge.
        form: what the scores are.
        lengths: (N,) int; per image the time steps that count, the skipped ones among them; None: all T.

    Raises:
        InputError: the scores are not of that form, or another argument is out of range.
    """
    images, steps, classes = checked(scores, blank, skip_steps, form, lengths).shape
    if (problem := bounds.BEAM_WIDTH.problem("width", width)) is not None:
        raise InputError(f"{problem}: the number of prefixes to keep")
    if (problem := bounds.Bounds(1, width).problem("n_best", n_best)) is not None:
        raise InputError(f"{problem}, the width of the beam; widen the beam for more")
    values = np.asarray(scores)
    logits = values.astype(np.float64 if values.dtype == np.float64 else np.float32)
    if form == "probabilities":
        with np.errstate(divide="ignore", invalid="ignore"):  # log 0 = -inf is intended; anything may follow a length
            logits = np.log(logits)
    ends = np.full(images, skip_steps + steps) if lengths is None else np.asarray(lengths)
    order = [index for index in range(classes) if index != blank]
    results = []
    for image, end in zip(logits[:, :, [*order, blank]], ends.tolist(), strict=True):
        leaves = [_Entry(None, -1)]
        leaves[0].total = leaves[0].ending_blank = 0.0
        for row in image[skip_steps:end]:
            leaves = _advance(leaves, row, width)
        best = sorted(leaves, key=_total, reverse=True)[:n_best]
        results.append(
            [Scored(tuple(order[label] for label in entry.spell(merge_repeated)), entry.total) for entry in best]
        )
    return results


class _Entry:
    """A prefix, which is in the beam if its probability is not 0. All probabilities are logarithms."""

    __slots__ = ("children", "ending_blank", "ending_label", "label", "old_blank", "old_total", "parent", "total")

    def __init__(self, parent: _Entry | None, label: int) -> None:
        self.parent = parent
        self.label = label
        self.children: dict[int, _Entry] = {}
        self.total = self.ending_blank = self.ending_label = _NOTHING
        self.old_total = self.old_blank = _NOTHING  # before this time step

    def evict(self) -> None:
        """Remove the prefix from the beam; if it was there before this time step, it may still grow."""
        self.total = self.ending_blank = self.ending_label = _NOTHING

    def forget(self) -> None:
        """Keep an evicted prefix from growing."""
        self.old_total = self.old_blank = _NOTHING

    def spell(self, merge_repeated: bool) -> list[int]:
        labels: list[int] = []
        entry = self
        following = -1
        while entry.parent is not None:
            if not (merge_repeated and entry.label == following):
                labels.append(entry.label)
            following = entry.label
            entry = entry.parent
        return labels[::-1]


def _total(entry: _Entry) -> float:
    return entry.total


def _advance(leaves: list[_Entry], row: npt.NDArray[Any], width: int) -> list[_Entry]:
    """Advance one time step over logits (C,), the blank last."""
    number = row.dtype.type
    most = row.max()
    # cumsum adds one after another, as TensorFlow does.
    offset = most + np.log(np.cumsum(np.exp(row - most))[-1])
    chances = row - offset
    blank = float(row[-1])
    label_chances = chances[:-1]
    offset = number(offset)

    branches = sorted(leaves, key=_total, reverse=True)
    for entry in branches:
        entry.old_total, entry.old_blank = entry.total, entry.ending_blank
    for entry in branches:
        if entry.parent is not None:
            if entry.parent.total > _NOTHING:
                same = entry.label == entry.parent.label
                inflow = entry.parent.old_blank if same else entry.parent.old_total
                entry.ending_label = _added(number, entry.ending_label, inflow)
            entry.ending_label = float(number(entry.ending_label) + label_chances[entry.label])
        entry.ending_blank = float(number(entry.old_total) + number(blank) - offset)
        entry.total = _added(number, entry.ending_blank, entry.ending_label)

    leaves = list(branches)
    bottom = min(leaves, key=_total)
    for entry in branches:
        if entry.old_total == _NOTHING or (len(leaves) == width and entry.old_total <= bottom.total):
            continue
        totals = (label_chances + number(entry.old_total)).tolist()
        if entry.label >= 0:
            totals[entry.label] = float(label_chances[entry.label] + number(entry.old_blank))
        for label, total in enumerate(totals):
            child = entry.children.get(label)
            if child is not None and child.total > _NOTHING:
                continue
            if total == _NOTHING or (len(leaves) == width and total <= bottom.total):
                if child is not None:
                    child.forget()
                continue
            if child is None:
                child = entry.children[label] = _Entry(entry, label)
            if len(leaves) == width:
                leaves.remove(bottom)
                bottom.evict()
            child.total = child.ending_label = total
            child.ending_blank = _NOTHING
            leaves.append(child)
            bottom = min(leaves, key=_total)
    return leaves


def _added(number: type[Any], first: float, second: float) -> float:
    """Return log(e^first + e^second), in the precision of `number`."""
    if _NOTHING in (first, second):
        return max(first, second)
    high, low = number(max(first, second)), number(min(first, second))
    return float(high + np.log1p(np.exp(low - high)))
