from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import preprocess

IMAGE = np.random.default_rng(5).integers(0, 256, (6, 12, 3), np.uint8)
PLAIN = InputSpec(12, 6, "HWC", 1 / 255, -0.5, colour="bgr")


def test_inverted() -> None:
    assert np.array_equal(preprocess([IMAGE], replace(PLAIN, invert=True)), preprocess([255 - IMAGE], PLAIN))
    pixels = replace(PLAIN, dtype="uint8", invert=True)
    assert np.array_equal(preprocess([IMAGE], pixels)[0], IMAGE)  # the artifact inverts


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("colour", ["bgr", "rgb"])
def test_scale_and_offset_per_channel_are_in_the_tensor_s_order(colour: Any, invert: bool) -> None:
    spec = replace(PLAIN, colour=colour, scale=(0.5, 1.0, -2.0), offset=(0.0, 10.0, 20.0), invert=invert)
    pixels = (IMAGE if colour == "bgr" else IMAGE[..., ::-1]).astype(float)
    expected = (255 - pixels if invert else pixels) * spec.scale + spec.offset
    assert np.array_equal(preprocess([IMAGE], spec)[0], expected.astype(np.float32))


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_standardised(colour: Any, invert: bool) -> None:
    spec = replace(PLAIN, colour=colour, scale=1.0, offset=0.0, invert=invert)
    raw = preprocess([IMAGE], spec)[0].astype(np.float64)
    seen = preprocess([IMAGE], replace(spec, standardise=True))[0]
    np.testing.assert_allclose(seen, (raw - raw.mean()) / raw.std(), atol=1e-6)
    scaled = preprocess([IMAGE], replace(spec, standardise=True, scale=2.0, offset=1.0))[0]
    np.testing.assert_allclose(scaled, 2 * seen + 1, atol=1e-6)


def test_standardised_where_nearly_all_is_alike() -> None:
    spec = InputSpec(12, 6, "HWC", 1.0, 0.0, standardise=True)
    image = np.full((6, 12), 200, np.uint8)
    assert np.all(preprocess([image], spec) == 0)
    image[0, 0] = 201  # the deviation is below 1/sqrt(72) = 0.1179
    seen = preprocess([image], replace(spec, scale=1.0))[0]
    np.testing.assert_allclose(seen[0, 0], (1 - 1 / 72) * 72**0.5, rtol=1e-6)


@pytest.mark.slow
def test_standardised_as_tensorflow() -> None:
    import tensorflow as tf

    spec = replace(PLAIN, colour="rgb", scale=1.0, offset=0.0, standardise=True)
    theirs = tf.image.per_image_standardization(IMAGE[..., ::-1]).numpy()
    np.testing.assert_allclose(preprocess([IMAGE], spec)[0], theirs, atol=1e-5)
