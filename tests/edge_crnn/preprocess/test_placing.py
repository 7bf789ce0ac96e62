"""The place of an image on its canvas, and the specs of two published preprocessing functions."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.errors import ModelSpecError
from edge_crnn.model.spec import InputSpec
from edge_crnn.model.typed import build
from edge_crnn.preprocess import exact, preprocess
from tests.budget import examples

PLAIN = InputSpec(12, 6, "HWC", 1.0, 0.0, dtype="uint8")
SIDES = st.integers(1, 40)


def slow_canvas(image: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Pixel by pixel: `image` is a grey one that has been scaled already."""

    def before(missing: int, side: str) -> int:
        if side == "centre":
            extra = abs(missing) % 2 if spec.odd_pixel == "before" else 0
            return int(math.copysign(abs(missing) // 2 + extra, missing))
        return missing if side in ("right", "bottom") else 0

    top = before(spec.height - image.shape[0], spec.align_vertical)
    left = before(spec.width - image.shape[1], spec.align)
    canvas = np.empty((spec.height, spec.width), np.uint8)
    for y, x in np.ndindex(canvas.shape):
        row, column = y - top, x - left
        if spec.padding == "edge":
            row = min(max(row, 0), image.shape[0] - 1)
            column = min(max(column, 0), image.shape[1] - 1)
        inside = 0 <= row < image.shape[0] and 0 <= column < image.shape[1]
        canvas[y, x] = image[row, column] if inside else spec.padding
    return canvas


ROUNDED: dict[str, Callable[[Fraction], int]] = {
    "nearest": lambda x: math.floor(x + Fraction(1, 2)),
    "half-even": round,
    "down": math.floor,
    "up": math.ceil,
}
ALIGNED = st.fixed_dictionaries(
    {
        "align": st.sampled_from(["left", "centre", "right"]),
        "align_vertical": st.sampled_from(["top", "centre", "bottom"]),
        "odd_pixel": st.sampled_from(["after", "before"]),
        "padding": st.sampled_from([0, 77, "edge"]),
    }
)


@settings(deadline=None)
@given(SIDES, SIDES, ALIGNED)
def test_paste_aligns_pads_and_crops(height: int, width: int, how: dict[str, Any]) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, width), np.uint8)
    spec = replace(PLAIN, resize="paste", **how)
    assert np.array_equal(preprocess([image], spec)[0, ..., 0], slow_canvas(image, spec))


@settings(deadline=None)
@given(SIDES, SIDES, ALIGNED, st.sampled_from(sorted(ROUNDED)), st.sampled_from(["fit", "height"]))
def test_fit_and_height_keep_the_aspect_ratio(
    height: int, width: int, how: dict[str, Any], rounding: Any, kind: Any
) -> None:
    spec = replace(PLAIN, resize=kind, rounding=rounding, **how)
    ratio = Fraction(6, height)
    if kind == "fit":
        ratio = min(ratio, Fraction(12, width))
    rounded = ROUNDED[rounding]
    rows, columns = (min(most, max(1, rounded(side * ratio))) for side, most in ((height, 6), (width, 12)))
    seen = preprocess([np.full((height, width), 200, np.uint8)], spec)[0, ..., 0]
    assert np.array_equal(seen, slow_canvas(np.full((rows, columns), 200, np.uint8), spec))


@pytest.mark.parametrize("odd", ["after", "before"])
def test_the_odd_pixel(odd: Any) -> None:
    spec = replace(PLAIN, resize="paste", align="centre", odd_pixel=odd, padding=9)
    (row,) = {tuple(row) for row in preprocess([np.full((6, 9), 1, np.uint8)], spec)[0, ..., 0].tolist()}
    assert row == ((9, *[1] * 9, 9, 9) if odd == "after" else (9, 9, *[1] * 9, 9))


@pytest.mark.parametrize(("colour", "expected"), [("bgr", (10, 20, 30)), ("rgb", (10, 20, 30))])
@pytest.mark.parametrize("channels", [1, 3])
def test_padding_per_channel_is_in_the_tensor_s_order(colour: Any, expected: Any, channels: int) -> None:
    spec = replace(PLAIN, colour=colour, resize="paste", padding=(10, 20, 30), align_vertical="top")
    image = np.arange(4 * 3 * channels, dtype=np.uint8).reshape(4, 3, channels)
    seen = preprocess([image], spec)[0]
    assert tuple(seen[5, 5]) == expected
    inside = np.broadcast_to(image if colour == "bgr" else image[..., ::-1], (4, 3, 3))
    assert np.array_equal(seen[:4, :3], inside)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("axes", ["HWC", "WHC"])
def test_rotation_is_clockwise_and_before_the_transposition(degrees: Any, axes: Any) -> None:
    image = np.arange(72, dtype=np.uint8).reshape(6, 12)
    turns = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    expected = cv2.rotate(image, turns[degrees]) if degrees else image
    spec = replace(PLAIN, rotate=degrees, axes=axes)
    seen = preprocess([image], spec)
    assert seen.shape == (1, *spec.shape)
    assert np.array_equal(seen[0, ..., 0], expected.T if axes == "WHC" else expected)


def test_filters_before_and_after_resizing() -> None:
    image = np.random.default_rng(2).integers(0, 256, (30, 40), np.uint8)
    before = preprocess([image], replace(PLAIN, filters=("otsu",)))
    assert len(np.unique(before)) > 2
    after = preprocess([image], replace(PLAIN, filters=("resize", "otsu")))
    assert set(np.unique(after)) == {0, 255}
    small = preprocess([image], PLAIN)[0, ..., 0]
    assert np.array_equal(after[0, ..., 0], cv2.threshold(small, 0, 255, cv2.THRESH_OTSU)[1])
    same = np.array_equal(before, preprocess([cv2.threshold(image, 0, 255, cv2.THRESH_OTSU)[1]], PLAIN))
    assert same


EVERYTHING = st.fixed_dictionaries(
    {
        "width": st.integers(1, 20),
        "height": st.integers(1, 20),
        "axes": st.sampled_from(["HWC", "WHC"]),
        "scale": st.just(1 / 255),
        "offset": st.just(-0.5),
        "resize": st.sampled_from(["stretch", "fit", "height", "paste"]),
        "align": st.sampled_from(["left", "centre", "right"]),
        "align_vertical": st.sampled_from(["top", "centre", "bottom"]),
        "odd_pixel": st.sampled_from(["after", "before"]),
        "rounding": st.sampled_from(sorted(ROUNDED)),
        "interpolation": st.sampled_from(["linear", "area", "pil-bilinear", "pil-bicubic"]),
        "reduce": st.sampled_from([None, "area"]),
        "padding": st.sampled_from([0, 255, "edge"]),
        "rotate": st.sampled_from([0, 90, 180, 270]),
        "invert": st.booleans(),
        "standardise": st.booleans(),
    }
)
SPECS = st.one_of(
    st.builds(
        lambda values, filters: InputSpec(**values, filters=filters),
        EVERYTHING,
        st.sampled_from(
            [(), ("otsu",), ("clahe 2 2", "resize", "adaptive gaussian 5 2"), ("resize", "adaptive mean 3 1")]
        ),
    ),
    st.builds(
        lambda values, colour, scale, padding: InputSpec(
            **{**values, "scale": scale, "padding": padding}, colour=colour
        ),
        EVERYTHING,
        st.sampled_from(["bgr", "rgb"]),
        st.sampled_from([1 / 255, (0.5, -1.0, 2.0)]),
        st.sampled_from([7, (1, 2, 3), "edge"]),
    ),
)


@settings(deadline=None, max_examples=examples(300))
@given(SPECS, SIDES, SIDES, st.sampled_from([1, 3, 4]))
def test_opencv_and_numpy_give_the_same_bits(spec: InputSpec, height: int, width: int, channels: int) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, width, channels), np.uint8)
    canvases = [np.full(spec.shape, fill, np.float32) for fill in (np.nan, 1e9)]
    for canvas, blocked in zip(canvases, (False, True), strict=True):
        with pytest.MonkeyPatch.context() as patch:
            if blocked:
                patch.setitem(sys.modules, "cv2", None)
            exact.exact_opencv.cache_clear()
            assert (exact.exact_opencv() is None) == blocked
            canvas[...] = preprocess([image], spec)[0]
    exact.exact_opencv.cache_clear()
    assert np.isfinite(canvases[0]).all()
    assert np.array_equal(*canvases)


# --- code that people train with -------------------------------------------------------------------------------------


KERAS_IO = InputSpec(128, 32, "HWC", 1 / 255, 0.0, resize="fit", align="centre", odd_pixel="before", rotate=90)
KAGGLE = InputSpec(256, 64, "HWC", 1 / 255, 0.0, resize="paste", align_vertical="top", padding=255, rotate=90)


def test_the_page_shows_these_specs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "preprocessing.md").read_text(encoding="utf-8")
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert [build(InputSpec, fields, "page", ModelSpecError) for fields in shown] == [KERAS_IO, KAGGLE]


def kaggle(image: np.ndarray) -> np.ndarray:
    """Handwritten names on Kaggle: a grey image is pasted onto a white canvas or cropped, turned and scaled."""
    height, width = image.shape
    canvas = np.ones([64, 256]) * 255
    canvas[: min(height, 64), : min(width, 256)] = image[:64, :256]
    return cv2.rotate(canvas, cv2.ROTATE_90_CLOCKWISE)[..., np.newaxis] / 255


@pytest.mark.parametrize("size", [(30, 200), (64, 256), (80, 300), (64, 3), (90, 20)])
def test_pasted_and_turned_as_on_kaggle(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    np.testing.assert_allclose(preprocess([image], KAGGLE)[0], kaggle(image), atol=1e-7)


@pytest.mark.slow
def test_resized_without_distortion_as_on_keras_io() -> None:
    """The handwriting recogniser of keras.io: fitted, centred with the odd pixel first, transposed, and flipped."""
    import tensorflow as tf

    def theirs(image: Any) -> Any:
        image = tf.image.resize(image, size=(32, 128), preserve_aspect_ratio=True)
        down = 32 - image.shape[0]
        across = 128 - image.shape[1]
        pads = [(down - down // 2, down // 2), (across - across // 2, across // 2), (0, 0)]
        return tf.image.flip_left_right(tf.transpose(tf.pad(image, pads), (1, 0, 2))).numpy() / 255

    for height, width in np.random.default_rng(3).integers(10, 400, (100, 2)).tolist():
        scale = min(Fraction(32, height), Fraction(128, width))
        if Fraction(1, 2) in (height * scale % 1, width * scale % 1):
            continue  # tf.image rounds half a pixel to the even number, and a spec rounds it up
        image = np.random.default_rng(height).integers(0, 256, (height, width, 1), np.uint8)
        np.testing.assert_allclose(preprocess([image], KERAS_IO)[0], theirs(image), atol=1.001 / 255)
