"""Usual ways of scaling pixels."""

from __future__ import annotations

import numpy as np
import pytest

from converters.conventions.scales import SCALES
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import preprocess

PIXELS = np.random.default_rng(1).integers(0, 256, (4, 5, 3)).astype(np.uint8)


def prepared(name: str, colour: str) -> np.ndarray:
    image = InputSpec(5, 4, "HWC", **{"colour": colour, **SCALES[name].settings(colour)})  # type: ignore[arg-type]
    return preprocess([PIXELS], image)[0]


def test_scales_match_their_names() -> None:
    x = PIXELS.astype(np.float64)
    assert np.allclose(prepared("x/255", "bgr"), x / 255)
    assert np.allclose(prepared("x/127.5-1", "bgr"), x / 127.5 - 1)
    assert np.allclose(prepared("x/255-0.5", "bgr"), x / 255 - 0.5)
    assert np.allclose(prepared("raw", "bgr"), x)
    assert np.allclose(prepared("standardised", "bgr"), (x - x.mean()) / x.std(), atol=1e-5)


@pytest.mark.parametrize(("name", "mode"), [("imagenet", "torch"), ("caffe", "caffe")])
def test_per_channel_scales_are_those_of_keras_applications(name: str, mode: str, keras: object) -> None:
    from keras.applications.imagenet_utils import preprocess_input

    rgb = PIXELS[..., ::-1].astype(np.float32)
    expected = preprocess_input(rgb.copy(), data_format="channels_last", mode=mode)
    colour = "bgr" if mode == "caffe" else "rgb"
    assert np.allclose(prepared(name, colour), expected, atol=1e-4)
    other = "rgb" if colour == "bgr" else "bgr"
    assert np.allclose(prepared(name, other), expected[..., ::-1], atol=1e-4)
