from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.rejection import judged, threshold_without
from edge_crnn.backends import FakeBackend
from edge_crnn.calibration import calibrate, decode
from edge_crnn.confidence import threshold
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec

SPEC = ModelSpec("fake", tuple("abc"), 3, InputSpec(2, 2, "HWC", 1.0, 0.0), OutputSpec(7, 4), skip_steps=1)


def rows(seed: int, images: int) -> np.ndarray:
    powers = np.exp(np.random.default_rng(seed).normal(size=(images, 7, 4)) * 6)
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("target", [0.2, 0.3, 0.4])
def test_the_threshold_is_that_of_a_calibration_with_the_same_negatives(target: float) -> None:
    images = rows(1, 600)
    kinds = [rows(2, 50), rows(3, 120)]
    engine = FakeBackend(images[:1], SPEC.input.shape)
    read = [reading.label for reading in decode(SPEC, engine, images)]
    truths = [label if index % 3 else "abc" for index, label in enumerate(read)]
    expected = calibrate(SPEC, engine, images, truths, "x", negatives=np.concatenate(kinds))
    plain = calibrate(SPEC, engine, images, truths, "x")
    fit = judged(decode(plain, engine, images), truths)
    negatives = [judged(decode(plain, engine, kind), [""] * len(kind)) for kind in kinds]
    limit = threshold_without(plain, fit, negatives, target)
    assert limit == threshold(expected, target, SPEC.decoder)
    chosen = replace(plain, decoder=replace(SPEC.decoder, reject_below=limit))
    for kind, counts in zip(kinds, negatives, strict=True):
        assert [reading.accepted for reading in decode(chosen, engine, kind)] == counts.accepted(limit).tolist()
