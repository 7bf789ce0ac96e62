from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge_crnn import ctc
from edge_crnn.errors import InputError

Floats = npt.NDArray[np.float32]


def logits(seed: int, images: int = 60, steps: int = 12, classes: int = 6, sharpness: float = 1.0) -> Floats:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(images, steps, classes)) * sharpness).astype(np.float32)


@pytest.mark.parametrize("merge_repeated", [False, True])
@pytest.mark.parametrize(("width", "n_best"), [(1, 1), (2, 2), (4, 3), (10, 3)])
def test_results_equal_those_of_tensorflow(width: int, n_best: int, merge_repeated: bool) -> None:
    tf = pytest.importorskip("tensorflow")
    scores = np.concatenate([logits(0), logits(1, sharpness=0.3), logits(2, sharpness=4.0)])
    lengths = np.random.default_rng(3).integers(4, 13, len(scores))
    sparse, expected = tf.compat.v1.nn.ctc_beam_search_decoder(
        scores.transpose(1, 0, 2), lengths.astype(np.int32), width, n_best, merge_repeated
    )
    dense = [tf.sparse.to_dense(tensor, default_value=-1).numpy() for tensor in sparse]
    readings = ctc.tf_beam(
        scores, 5, width=width, n_best=n_best, merge_repeated=merge_repeated, form="logits", lengths=lengths
    )
    for image, result in enumerate(readings):
        assert [reading.indices for reading in result] == [
            tuple(index for index in rank[image].tolist() if index >= 0) for rank in dense
        ]
        np.testing.assert_allclose([reading.log_probability for reading in result], expected[image], atol=1e-4)


def test_an_evicted_prefix_is_lost_although_the_exact_search_keeps_it() -> None:
    # TensorFlow 2.21 gives class 0 with -1.910543: class 1 was evicted and came back with less than it had.
    rows = [[0.4, 0.2, 0.4], [0.2, 0.5, 0.3], [0.4, 0.3, 0.3]]
    scores = np.log(np.array(rows, np.float32))[np.newaxis]
    ((lost,),) = ctc.tf_beam(scores, 2, width=2, form="logits")
    ((kept,),) = ctc.search(scores, 2, width=2, form="logits")
    assert (lost.indices, kept.indices) == ((0,), (1,))
    assert lost.log_probability == pytest.approx(-1.910543, abs=1e-5)
    assert lost.log_probability < kept.log_probability


def test_the_blank_may_be_anywhere_and_steps_may_be_skipped() -> None:
    scores = logits(5)
    expected = ctc.tf_beam(scores[:, 2:], 5, width=5, n_best=2, form="logits")
    moved = ctc.tf_beam(np.roll(scores, 1, axis=2), 0, 2, width=5, n_best=2, form="logits")
    assert moved == [
        [ctc.Scored(tuple(index + 1 for index in reading.indices), reading.log_probability) for reading in result]
        for result in expected
    ]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_form_and_float_is_taken(dtype: type[np.floating[npt.NBitBase]]) -> None:
    scores = logits(6, images=3, sharpness=3.0).astype(dtype)
    powers = np.exp(scores.astype(np.float64))
    rows = (powers / powers.sum(axis=-1, keepdims=True)).astype(dtype)
    rows[0, 0] = np.eye(6)[2]  # logarithms of 0
    expected = [ctc.search(rows, 5, width=200)[0][0].indices] + [
        readings[0].indices for readings in ctc.tf_beam(scores, 5, width=200, form="logits")[1:]
    ]
    assert [readings[0].indices for readings in ctc.tf_beam(rows, 5, width=200)] == expected
    with np.errstate(divide="ignore"):
        logs = np.log(rows)
    readings = ctc.tf_beam(logs, 5, width=200, form="log-probabilities")
    assert [best[0].indices for best in readings] == expected


def test_a_beam_wide_enough_has_the_posteriors() -> None:
    scores = logits(8, images=4, steps=4, classes=3)
    wide = ctc.tf_beam(scores, 2, width=50, n_best=5, form="logits")
    for exact, readings in zip(
        ctc.search(scores, 2, width=50, n_best=5, form="logits", min_ratio=0), wide, strict=True
    ):
        assert [reading.indices for reading in readings] == [reading.indices for reading in exact]
        assert [reading.log_probability for reading in readings] == pytest.approx(
            [reading.log_probability for reading in exact], abs=1e-5
        )


def test_neighbours_that_are_the_same_are_merged_when_asked() -> None:
    rows = np.eye(3)[[0, 2, 0, 1]][np.newaxis]
    assert ctc.tf_beam(rows, 2) == [[ctc.Scored((0, 0, 1), 0.0)]]
    assert ctc.tf_beam(rows, 2, merge_repeated=True) == [[ctc.Scored((0, 1), 0.0)]]


def test_a_batch_decodes_as_its_singles() -> None:
    scores = logits(7, images=10)
    singles = [ctc.tf_beam(image[np.newaxis], 3, width=4, n_best=2, form="logits")[0] for image in scores]
    assert ctc.tf_beam(scores, 3, width=4, n_best=2, form="logits") == singles


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width is 0, expected"),
        ({"n_best": 0}, "n_best is 0, expected a whole number from 1 to 100"),
        ({"form": "logits", "lengths": [4]}, r"lengths\[0\] is 4"),
    ],
)
def test_bad_options_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ctc.tf_beam(np.full((1, 3, 4), 0.25), 0, **options)
