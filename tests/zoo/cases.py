"""The table of networks: `CASES`, by number and in their order."""

from __future__ import annotations

from . import table_keras2, table_keras2_later, table_keras3
from .case import Case

CHECKPOINT = "a TensorFlow 1 checkpoint holds variables alone: the structure is in its project's code"

EXCLUDED = [
    Case(
        "22",
        "calmiLovesAI/CRNN_TensorFlow2, RaidasGrisk/tf2-crnn",
        "subclassed Model, tf.squeeze, time-major logits",
        excluded="a subclassed model is saved as weights alone: the structure is in its project's code",
    ),
    Case(
        "36",
        "githubharald/SimpleHTR",
        "conv2d, batch norms, stacks of cells both ways",
        excluded=CHECKPOINT,
    ),
    Case(
        "37",
        "MaybeShewill-CV/CRNN_Tensorflow",
        "shadow_net, stack_bidirectional_rnn",
        excluded=CHECKPOINT,
    ),
]

_ALL = [*table_keras2.CASES, *table_keras2_later.CASES, *table_keras3.CASES, *EXCLUDED]
CASES: dict[str, Case] = {
    case.number: case for case in sorted(_ALL, key=lambda case: (case.number[0] == "b", case.number))
}
