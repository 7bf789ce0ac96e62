"""The CTC loss (Graves et al. 2006) on any backend of Keras, and the form of its labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ctc.lexicon import steps_of
from ..errors import InputError


def pack(labels: Sequence[Sequence[int]], steps: int, longest: int) -> npt.NDArray[np.int32]:
    """Write the class indices of every label into one array (N, 1 + longest) int32: the length first, zeros behind.

    A label needs a time step for every character and for every blank between two equal ones. A label that does not fit
    into `steps` has no path through CTC and an infinite loss: its length is written as -1, and `ctc_loss` gives it a
    loss of 0. An empty label has one path, the blank at every step.

    Raises:
        InputError: a label has more than `longest` characters.
    """
    packed = np.zeros((len(labels), 1 + longest), np.int32)
    for row, label in zip(packed, labels, strict=True):
        if len(label) > longest:
            raise InputError(f"a label of {len(label)} characters, expected at most {longest}")
        row[0] = len(label) if steps_of(label) <= steps else -1
        row[1 : 1 + len(label)] = label
    return packed


def ctc_loss(blank: int, skip_steps: int) -> Callable[[Any, Any], Any]:
    """Return a loss for `keras.Model.compile`: (packed labels, logits (N, T, C)) → (N,) float32, in nats per image.

    Like the decoder, it leaves out the first `skip_steps` of the T steps.
    """
    from keras import ops

    def loss(packed: Any, logits: Any) -> Any:
        packed = ops.cast(packed, "int32")
        logits = ops.cast(logits, "float32")[:, skip_steps:]
        lengths = packed[:, 0]
        steps = ops.full_like(lengths, logits.shape[1])
        # The first character replaces a label that does not fit, so that no infinity reaches the gradient.
        losses = ops.ctc_loss(packed[:, 1:], logits, ops.where(lengths < 0, 1, lengths), steps, mask_index=blank)
        return ops.where(lengths < 0, 0.0, losses)

    return loss
