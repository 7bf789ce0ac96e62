"""Filters beside OpenCV's."""

from __future__ import annotations

import platform
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.model.filters import parse
from edge_crnn.preprocess.filters import apply, otsu_threshold


def filtered(text: str, image: np.ndarray) -> np.ndarray:
    return apply([parse(text)], image)


@st.composite
def pictures(draw: st.DrawFn) -> np.ndarray:
    """Noise, blobs, gradients, few levels: any size."""
    random = np.random.default_rng(draw(st.integers(0, 999)))
    image = random.integers(0, draw(st.sampled_from([2, 5, 256])), draw(st.tuples(*[st.integers(1, 60)] * 2)), np.uint8)
    match draw(st.sampled_from(["noise", "blobs", "gradient", "stretched"])):
        case "blobs":
            return cv2.GaussianBlur(image, (0, 0), 3)
        case "gradient":
            return np.sort(image.ravel()).reshape(image.shape)
        case "stretched":
            return image * np.uint8(255 // max(int(image.max()), 1))
    return image


# Where OpenCV is compiled with fused multiplications, as on ARM, ties may fall the other way.
on_x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="OpenCV's own bits are those of x86")


@on_x86
@settings(deadline=None)
@given(pictures())
def test_otsu_is_opencv_s(image: np.ndarray) -> None:
    level, theirs = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    ours = otsu_threshold(image)
    if ours == level:
        assert np.array_equal(filtered("otsu", image), theirs)
    else:  # two levels that are equally good: OpenCV 5 may sum in another order
        assert variance_between(image, ours) == pytest.approx(variance_between(image, int(level)), rel=1e-9)


def variance_between(image: np.ndarray, level: int) -> float:
    """Return the variance between the two sides of a level, for which Otsu's method looks."""
    low, high = image[image <= level], image[image > level]
    return float(len(low) * len(high) * (low.mean() - high.mean()) ** 2)


BLOCKS = st.integers(1, 25).map(lambda half: 2 * half + 1)
CONSTANTS = st.integers(-20, 20).map(lambda twice: twice / 2)


@settings(deadline=None)
@given(pictures(), BLOCKS, CONSTANTS)
def test_adaptive_mean_is_opencv_s(image: np.ndarray, block: int, less: float) -> None:
    theirs = cv2.adaptiveThreshold(image, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, block, less)
    assert np.array_equal(filtered(f"adaptive mean {block} {less}", image), theirs)


@settings(deadline=None)
@given(pictures(), BLOCKS, CONSTANTS)
def test_adaptive_gaussian_is_opencv_s_within_a_level_of_the_mean(image: np.ndarray, block: int, less: float) -> None:
    ours = filtered(f"adaptive gaussian {block} {less}", image)
    method, kind = cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY
    lower, higher = (cv2.adaptiveThreshold(image, 255, method, kind, block, less + by) for by in (-1, 1))
    assert np.all((lower <= ours) & (ours <= higher))


@pytest.mark.parametrize("block", [3, 5, 7, 9, 11, 51])
def test_adaptive_gaussian_of_a_photo_is_opencv_s(block: int) -> None:
    image = cv2.GaussianBlur(np.random.default_rng(block).integers(0, 256, (64, 200), np.uint8), (0, 0), 2)
    theirs = cv2.adaptiveThreshold(image, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, block, 2)
    assert np.mean(filtered(f"adaptive gaussian {block} 2", image) != theirs) <= 1e-4


@on_x86
@settings(deadline=None)
@given(pictures(), st.sampled_from([0, 0.5, 1, 2.0, 3.5, 40]), st.sampled_from([1, 2, 3, 8]))
def test_clahe_is_opencv_s(image: np.ndarray, limit: float, tiles: int) -> None:
    assert np.array_equal(
        filtered(f"clahe {limit} {tiles}", image), cv2.createCLAHE(limit, (tiles, tiles)).apply(image)
    )


def test_filters_follow_one_another() -> None:
    image = np.random.default_rng(1).integers(0, 256, (20, 30), np.uint8)
    both = apply([parse("clahe 2 8"), parse("otsu")], image)
    assert np.array_equal(both, filtered("otsu", filtered("clahe 2 8", image)))
    assert np.array_equal(apply([], image), image)


@pytest.mark.parametrize("text", ["otsu", "adaptive mean 5 2", "adaptive gaussian 5 2", "clahe 2 8"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_extreme_images(text: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    image = np.full(shape, 100, np.uint8)
    image.flags.writeable = False
    assert filtered(text, image).shape == shape
