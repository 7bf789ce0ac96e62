"""Images far larger than the network's: averaged over blocks first, beside a slow formula."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import preprocess, to_grey
from edge_crnn.preprocess.reducing import reduce_area
from tests.budget import examples

SPEC = InputSpec(32, 16, "HWC", 1.0, 0.0, dtype="uint8", reduce="area")
SIDES = st.one_of(st.integers(1, 12), st.integers(1, 90))
TARGETS = st.integers(1, 24)
CHANNELS = st.sampled_from([1, 3])


def picture(height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    """Draw noise, or black and white alone, where errors show most."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return np.where(noise > 127, 255, 0).astype(np.uint8) if seed % 2 else noise


def slow_reduce(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Average one block after the other, in fractions."""

    def blocks(source: int, target: int) -> list[range]:
        length = math.ceil(Fraction(source, 2 * target))
        start = (source % length) // 2
        return [range(start + place * length, start + (place + 1) * length) for place in range(source // length)]

    rows = blocks(image.shape[0], height)
    columns = blocks(image.shape[1], width)
    result = np.empty((len(rows), len(columns), *image.shape[2:]), np.uint8)
    for place in np.ndindex(result.shape):
        down, across = rows[place[0]], columns[place[1]]
        total = sum(int(image[(row, column, *place[2:])]) for row in down for column in across)
        result[place] = math.floor(Fraction(total, len(down) * len(across)) + Fraction(1, 2))
    return result


@settings(deadline=None, max_examples=examples(150))
@given(SIDES, SIDES, TARGETS, TARGETS, CHANNELS, st.integers(0, 9))
@example(7, 1, 1, 1, 1, 1)  # two of seven rows fill no block of four
def test_a_block_is_its_mean(height: int, width: int, to_width: int, to_height: int, channels: int, seed: int) -> None:
    image = picture(height, width, channels, seed)
    assert np.array_equal(reduce_area(image, to_width, to_height), slow_reduce(image, to_width, to_height))


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(2, 9), st.integers(2, 9), CHANNELS, st.integers(0, 9))
def test_it_is_opencv_s_area_by_whole_factors_within_a_level(
    height: int, width: int, down: int, across: int, channels: int, seed: int
) -> None:
    image = picture(2 * height * down, 2 * width * across, channels, seed)
    theirs = cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_AREA)
    ours = reduce_area(image, width, height)
    assert ours.shape[:2] == theirs.shape[:2]
    assert np.abs(ours.reshape(theirs.shape).astype(int) - theirs).max() <= 1


@given(st.integers(1, 5000), st.integers(1, 300))
def test_the_result_is_one_to_two_times_the_target(side: int, target: int) -> None:
    reduced = reduce_area(np.zeros((side, 1), np.uint8), 1, target).shape[0]
    assert min(side, target) <= reduced <= min(side, 2 * target)


@pytest.mark.parametrize("shape", [(3000, 1), (1, 5000, 3), (2000, 3000), (600, 700, 3)])
@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_plain_image_stays_plain(shape: tuple[int, ...], level: int) -> None:
    """Blocks of up to six million pixels overflow no sum."""
    assert np.all(reduce_area(np.full(shape, level, np.uint8), 1, 1) == level)


@settings(deadline=None)
@given(
    st.integers(1, 2 * SPEC.height),
    st.integers(1, 2 * SPEC.width),
    CHANNELS,
    st.sampled_from(["grey", "bgr"]),
    st.sampled_from(["linear", "area", "pil-bilinear", "pil-bicubic"]),
)
def test_an_image_at_most_twice_as_large_keeps_every_bit(
    height: int, width: int, channels: int, colour: Any, interpolation: Any
) -> None:
    image = picture(height, width, channels)
    spec = replace(SPEC, colour=colour, interpolation=interpolation)
    assert np.array_equal(preprocess([image], spec), preprocess([image], replace(spec, reduce=None)))


@pytest.mark.parametrize("scale", [3, 4, 5.5, 8, 12])
@pytest.mark.parametrize("resize", ["stretch", "fit", "height"])
@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_noise_of_a_large_image_is_averaged_away(scale: float, resize: Any, colour: Any) -> None:
    """A large crop was sampled without averaging, so the noise of its pixels stayed (PaddleOCR#6942, immich#23541)."""
    height = round(SPEC.height * scale)
    width = round(SPEC.width * scale)
    noise = np.random.default_rng(1).normal(128, 30, (height, width)).clip(0, 255).astype(np.uint8)
    spec = replace(SPEC, resize=resize, colour=colour)
    sampled, averaged = (preprocess([noise], replace(spec, reduce=reduce)).std() for reduce in (None, spec.reduce))
    assert averaged < 1.3 * 30 / scale
    assert averaged < 0.9 * sampled


@pytest.mark.parametrize("period", [2, 5, 7])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_pattern_finer_than_the_target_becomes_its_mean(period: int, axis: int) -> None:
    """A sensor's grid in a large crop turned into stripes that are not there (PaddleOCR#6942)."""
    stripes = np.where(np.arange(640) % period < period / 2, 255, 0).astype(np.uint8)
    image = np.tile(stripes, (320, 1)) if axis else np.tile(stripes[:320, np.newaxis], (1, 640))
    sampled, averaged = (
        np.ptp(preprocess([image], replace(SPEC, reduce=reduce)).astype(int)) for reduce in (None, "area")
    )
    assert averaged <= 0.5 * sampled or sampled == 0


def test_a_long_image_is_averaged_along_that_axis_alone() -> None:
    image = picture(20, 640, 1)
    assert reduce_area(image, SPEC.width, SPEC.height).shape == (20, 64)
    assert reduce_area(image.T, SPEC.height, SPEC.width).shape == (64, 20)


def test_it_comes_after_grey_and_before_filters() -> None:
    image = picture(90, 170, 3)
    spec = replace(SPEC, filters=("otsu", "resize"))
    smaller = reduce_area(to_grey(image), SPEC.width, SPEC.height)
    assert np.array_equal(preprocess([image], spec), preprocess([smaller], replace(spec, reduce=None)))


def test_a_fitted_image_keeps_its_proportions() -> None:
    """The side that is not filled follows from the image itself, not from its whole blocks."""
    image = np.full((103, 331), 200, np.uint8)
    spec = replace(SPEC, resize="fit", padding=0)
    assert np.array_equal(preprocess([image], spec), preprocess([image], replace(spec, reduce=None)))


def test_pasting_scales_nothing() -> None:
    image = picture(90, 170, 1)
    spec = replace(SPEC, resize="paste")
    assert np.array_equal(preprocess([image], spec), preprocess([image], replace(spec, reduce=None)))


def test_a_view_reads_like_its_copy() -> None:
    image = picture(200, 300, 3)[::-1, ::2]
    assert np.array_equal(reduce_area(image, 20, 10), reduce_area(image.copy(), 20, 10))
