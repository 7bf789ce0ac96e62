"""Interpolations beside the libraries that they are like, and beside a slow formula."""

from __future__ import annotations

import math
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_crnn.preprocess import resize_exact, to_grey
from edge_crnn.preprocess.resampling import resize
from tests.budget import examples

PILLOW = {"pil-bilinear": Image.Resampling.BILINEAR, "pil-bicubic": Image.Resampling.BICUBIC}
SIDES = st.one_of(st.integers(1, 12), st.integers(1, 150))


def picture(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    """Return an image of noise, or of black and white alone, where errors show most."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return noise if seed % 2 else np.where(noise > 127, 255, 0).astype(np.uint8)


def slow_area(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Shrink an image one pixel after the other, in exact fractions."""

    def covered(place: int, source: int, target: int) -> list[tuple[int, Fraction]]:
        ratio = Fraction(source, target)
        start = place * ratio
        end = start + ratio
        return [(at, min(end, at + 1) - max(start, at)) for at in range(math.floor(start), math.ceil(end))]

    rows, columns = image.shape[:2]
    result = np.empty((height, width, *image.shape[2:]), np.uint8)
    for place in np.ndindex(result.shape):
        total = sum(
            down * across * int(image[(row, column, *place[2:])])
            for row, down in covered(place[0], rows, height)
            for column, across in covered(place[1], columns, width)
        )
        result[place] = math.floor(total / (Fraction(rows, height) * Fraction(columns, width)) + Fraction(1, 2))
    return result


@settings(deadline=None, max_examples=examples(40))
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 7), st.integers(0, 7), st.sampled_from([1, 3]))
def test_area_is_the_mean_of_what_a_pixel_covers(height: int, width: int, more: int, wider: int, channels: int) -> None:
    image = picture(height + more, width + wider, channels, height)
    assert np.array_equal(resize(image, width, height, "area"), slow_area(image, width, height))


@settings(deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from([1, 3]), st.integers(0, 9))
@example(13, 92, 47, 116, 1, 0)  # a place that OpenCV's doubles put just short of a whole pixel
def test_area_is_that_of_opencv_within_a_level(
    height: int, width: int, to_height: int, to_width: int, channels: int, seed: int
) -> None:
    image = picture(height, width, channels, seed)
    theirs = cv2.resize(image, (to_width, to_height), interpolation=cv2.INTER_AREA)
    assert np.abs(resize(image, to_width, to_height, "area").astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("interpolation", PILLOW)
@settings(deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from([1, 3]), st.integers(0, 9))
def test_pil_is_pillow_bit_for_bit(
    interpolation: str, height: int, width: int, to_height: int, to_width: int, channels: int, seed: int
) -> None:
    image = picture(height, width, channels, seed)
    kind = PILLOW[interpolation]
    # The width first: Pillow 13 may take the height first if it is asked for both.
    theirs = Image.fromarray(image).resize((to_width, height), kind).resize((to_width, to_height), kind)
    assert np.array_equal(resize(image, to_width, to_height, interpolation), np.asarray(theirs))  # type: ignore[arg-type]


@pytest.mark.parametrize("interpolation", PILLOW)
def test_pil_in_one_call(interpolation: str) -> None:
    image = picture(60, 200, 3, 1)
    theirs = Image.fromarray(image).resize((128, 32), PILLOW[interpolation])
    assert np.array_equal(resize(image, 128, 32, interpolation), np.asarray(theirs))  # type: ignore[arg-type]


@pytest.mark.parametrize("interpolation", ["linear", "area", *PILLOW])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5_000), (5_000, 1, 3), (3, 4, 3)])
def test_a_plain_image_stays_plain(interpolation: str, shape: tuple[int, ...]) -> None:
    resized = resize(np.full(shape, 77, np.uint8), 37, 11, interpolation)  # type: ignore[arg-type]
    assert resized.shape == (11, 37, *shape[2:])
    assert np.all(resized == 77)


@pytest.mark.thorough
def test_area_of_a_large_image_does_not_overflow() -> None:
    assert np.all(resize(np.full((3000, 3000), 255, np.uint8), 1999, 1999, "area") == 255)


def test_grey_is_that_of_pillow_within_a_level() -> None:
    image = picture(200, 300, 3, 1)
    theirs = np.asarray(Image.fromarray(image[..., ::-1]).convert("L"))
    assert np.abs(to_grey(image).astype(int) - theirs).max() == 1


@pytest.mark.slow
def test_linear_and_grey_are_those_of_tensorflow_within_a_level() -> None:
    import tensorflow as tf

    random = np.random.default_rng(0)
    for seed in range(200):
        height, width, to_height, to_width = (int(side) for side in random.integers(1, 150, 4))
        image = picture(height, width, 3, seed)
        theirs = np.rint(tf.image.resize(image, (to_height, to_width)).numpy())
        assert np.abs(resize_exact(image, to_width, to_height) - theirs).max() <= 1
        grey = tf.image.rgb_to_grayscale(image[..., ::-1]).numpy()[..., 0]
        assert np.abs(to_grey(image).astype(int) - grey).max() <= 1
