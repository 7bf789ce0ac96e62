from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_crnn.ctc.forward import forward
from edge_crnn.errors import InputError
from edge_crnn.training.loss import ctc_loss, pack

LABELS = [(0,), (1, 1, 0), (2, 0, 1, 2), (0, 0), ()]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("blank", [0, 2, 3])
@pytest.mark.parametrize("skip", [0, 2])
def test_the_loss_is_minus_the_log_of_the_decoders_own_posterior(keras: Any, blank: int, skip: int) -> None:
    logits = np.random.default_rng(5).normal(0, 2, (len(LABELS), 9, 4)).astype(np.float32)
    labels = [tuple(index + (index >= blank) for index in label) for label in LABELS]
    losses = np.asarray(ctc_loss(blank, skip)(pack(labels, 9 - skip, 5), logits))
    posteriors = forward(softmax(logits[:, skip:]), np.arange(len(labels)), [list(label) for label in labels], blank)
    assert np.abs(losses + np.log(posteriors)).max() < 1e-4


def test_a_label_without_a_path_costs_nothing_and_moves_nothing(keras: Any) -> None:
    import tensorflow as tf

    logits = tf.Variable(np.random.default_rng(5).normal(0, 2, (2, 4, 4)), dtype=tf.float32)
    packed = pack([(1, 1, 1), (1, 0, 1)], 4, 3)
    assert packed[:, 0].tolist() == [-1, 3]
    with tf.GradientTape() as tape:
        losses = ctc_loss(3, 0)(packed, logits)
    gradient = tape.gradient(losses, logits).numpy()
    assert losses[0] == 0
    posterior = forward(softmax(logits.numpy()[1:]), np.arange(1), [[1, 0, 1]], 3)[0]
    assert float(losses[1]) == pytest.approx(-np.log(posterior), abs=1e-4)
    assert not gradient[0].any()
    assert gradient[1].any()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("blank", [0, 3])
def test_an_empty_label_costs_the_blanks_and_moves_them_up(keras: Any, blank: int) -> None:
    import tensorflow as tf

    logits = tf.Variable(np.random.default_rng(5).normal(0, 2, (1, 6, 4)), dtype=tf.float32)
    with tf.GradientTape() as tape:
        losses = ctc_loss(blank, 2)(pack([()], 4, 3), logits)
    expected = 0.0
    slope = np.zeros((6, 4))
    for step in range(2, 6):
        probabilities = softmax(logits.numpy()[:, step])[0]
        expected -= np.log(probabilities[blank])
        slope[step] = probabilities - (np.arange(4) == blank)
    assert float(losses[0]) == pytest.approx(expected, abs=1e-4)
    np.testing.assert_allclose(tape.gradient(losses, logits).numpy()[0], slope, atol=1e-5)


def test_a_longer_label_than_the_longest_is_refused() -> None:
    with pytest.raises(InputError, match="expected at most 2"):
        pack([(1, 2, 3)], 9, 2)
