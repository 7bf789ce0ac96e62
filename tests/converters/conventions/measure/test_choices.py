"""Ways of preparing an image that are tried."""

from __future__ import annotations

import numpy as np
import pytest

from converters.conventions.measure.choices import apply, choices, oriented
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import preprocess

GREY = InputSpec(20, 8, "HWC", 1.0, 0.0)
RGB = InputSpec(20, 8, "HWC", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), colour="rgb")
PICTURE = np.random.default_rng(1).integers(0, 256, (16, 40)).astype(np.uint8)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_all_orientations_give_the_same_shape_and_other_pixels(axis: int | None) -> None:
    options = choices("orientation", GREY, axis)
    tensors = {preprocess([PICTURE], apply(GREY, option)).tobytes() for option in options}
    assert {apply(GREY, option).shape for option in options} == {GREY.shape}
    assert len(tensors) == len(options) == (8 if axis is None else 4)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_text_runs_along_the_steps(axis: int) -> None:
    for option in choices("orientation", GREY, axis):
        image = apply(GREY, option)
        tensor = preprocess([_left(image)], image)[0, ..., 0]
        assert np.ptp(tensor.mean(axis=1 - axis)) > 100, option.name
        assert np.ptp(tensor.mean(axis=axis)) < 1, option.name


def _left(image: InputSpec) -> np.ndarray:
    """An upright image whose left half is light."""
    picture = np.zeros((image.height, image.width), np.uint8)
    picture[:, : image.width // 2] = 200
    return picture


def test_turning_back_is_the_upright_image() -> None:
    image = oriented(oriented(GREY, "WHC", 90), "HWC", 0)
    assert image == GREY


def test_another_order_of_colours_takes_the_numbers_of_the_channels_along() -> None:
    bgr = next(apply(RGB, option) for option in choices("colour", RGB, None) if option.name == "bgr")
    assert (bgr.scale, bgr.offset) == ((3.0, 2.0, 1.0), (6.0, 5.0, 4.0))
    tensors = [preprocess([np.dstack([PICTURE, PICTURE // 2, PICTURE // 3])], image) for image in (RGB, bgr)]
    assert np.array_equal(tensors[0], tensors[1][..., ::-1])


def test_a_grey_network_has_neither_colours_nor_scales_of_colours() -> None:
    assert len(choices("colour", GREY, None)) == 1
    assert not {"imagenet", "caffe"} & {option.name for option in choices("pixels", GREY, None)}
    assert {"imagenet", "caffe"} < {option.name for option in choices("pixels", RGB, None)}


@pytest.mark.parametrize("name", ["pixels", "invert", "orientation", "colour", "resize", "padding", "interpolation"])
def test_every_choice_is_a_spec_and_its_name_is_its_own(name: str) -> None:
    options = choices(name, RGB, 1)  # type: ignore[arg-type]
    assert len({option.name for option in options}) == len(options)
    assert options[0].coarse
    for option in options:
        assert preprocess([PICTURE], apply(RGB, option)).shape == (1, *RGB.shape)
