from __future__ import annotations

import math
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.errors import ImageError, InputError
from edge_crnn.images import load_image
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import exact, preprocess, preprocess_into, resize_exact, to_grey

PLATE = InputSpec(width=16, height=8, axes="WHC", scale=1 / 255, offset=-0.5)
RANDOM = np.random.default_rng(11)
IMAGE = RANDOM.integers(0, 256, (15, 30, 3), np.uint8)


@pytest.fixture(params=["opencv", "numpy"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run every test of this file twice: with OpenCV, and with its import blocked."""
    if request.param == "numpy":
        monkeypatch.setitem(sys.modules, "cv2", None)
    exact.exact_opencv.cache_clear()
    assert (exact.exact_opencv() is cv2) == (request.param == "opencv")
    yield
    exact.exact_opencv.cache_clear()


def slow_resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize one pixel after the other."""

    def around(place: int, source: int, target: int) -> list[tuple[int, int]]:
        centre = (place + 0.5) * (1.0 / (target / source)) - 0.5
        first = math.floor(centre)
        second_weight = round((centre - first) * 256)
        return [
            (min(max(first, 0), source - 1), 256 - second_weight),
            (min(max(first + 1, 0), source - 1), second_weight),
        ]

    rows, columns = image.shape[:2]
    result = np.empty((height, width, *image.shape[2:]), np.uint8)
    for y in range(height):
        for x in range(width):
            total = sum(
                down * across * image[row, column].astype(int)
                for row, down in around(y, rows, height)
                for column, across in around(x, columns, width)
            )
            result[y, x] = (total + 32768) // 65536
    return result


def picture(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_import_needs_neither_opencv_nor_an_engine() -> None:
    root = Path(__file__).parents[3]
    code = "import edge_crnn.preprocess, sys; print(*{'cv2', 'PIL', 'tensorflow'} & sys.modules.keys())"
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""


def test_grey_is_the_same_in_numpy_and_opencv() -> None:
    blue, green, red = np.meshgrid(np.arange(256), np.arange(256), np.arange(0, 256, 15), indexing="ij")
    colours = np.stack([blue, green, red], axis=-1).astype(np.uint8).reshape(256, -1, 3)
    grey = to_grey(colours)
    assert np.array_equal(grey, cv2.cvtColor(colours, cv2.COLOR_BGR2GRAY))
    assert np.abs(grey - (colours @ np.array([0.114, 0.587, 0.299]))).max() < 0.51


def test_grey_of_equal_channels_is_their_level() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    assert np.array_equal(to_grey(np.stack([levels] * 3, axis=2)), levels)
    assert to_grey(levels) is levels


SIDES = st.integers(1, 9)


@settings(deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from([1, 3]), st.integers(0, 9))
def test_resize_follows_its_formula(
    height: int, width: int, to_height: int, to_width: int, channels: int, seed: int
) -> None:
    image = picture(height, width, channels, seed)
    assert np.array_equal(resize_exact(image, to_width, to_height), slow_resize(image, to_width, to_height))


LONG_SIDES = st.one_of(SIDES, st.integers(1, 400))


@settings(deadline=None)
@given(LONG_SIDES, LONG_SIDES, LONG_SIDES, LONG_SIDES, st.sampled_from([1, 3]), st.integers(0, 9))
def test_resize_is_that_of_opencv(
    height: int, width: int, to_height: int, to_width: int, channels: int, seed: int
) -> None:
    image = picture(height, width, channels, seed)
    expected = cv2.resize(image, (to_width, to_height), interpolation=cv2.INTER_LINEAR_EXACT)
    assert np.array_equal(resize_exact(image, to_width, to_height), expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 20_000), (6, 20_000), (20_000, 1), (3, 40_000), (3, 70_000)])
def test_resize_of_very_long_images(size: tuple[int, int], channels: int) -> None:
    image = picture(*size, channels, 5)
    expected = cv2.resize(image, (128, 64), interpolation=cv2.INTER_LINEAR_EXACT)
    assert np.array_equal(resize_exact(image, 128, 64), expected)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))
def test_resize_to_the_same_size_changes_nothing(height: int, width: int, channels: int) -> None:
    image = picture(height, width, channels, 1)
    assert np.array_equal(resize_exact(image, width, height), image)


@pytest.mark.parametrize("view", [np.s_[:, ::-1], np.s_[::2, ::3], np.s_[3:9, 2:7], np.s_[..., ::-1]])
def test_views_are_as_good_as_copies(view: object) -> None:
    seen = IMAGE[view]
    assert np.array_equal(resize_exact(seen, 11, 7), resize_exact(seen.copy(), 11, 7))
    assert np.array_equal(to_grey(seen), to_grey(seen.copy()))


def test_a_read_only_image_is_taken_and_left_alone() -> None:
    image = IMAGE.copy()
    image.flags.writeable = False
    assert np.array_equal(preprocess([image], PLATE), preprocess([IMAGE], PLATE))


def test_an_opencv_with_other_formulas_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_grey(bgr: np.ndarray, code: int) -> np.ndarray:
        # The weights over 2^14 that some builds have: one colour in 400 differs.
        return ((bgr @ np.array([1868, 9617, 4899]) + (1 << 13)) >> 14).astype(np.uint8)

    other = types.SimpleNamespace(**{**vars(cv2), "cvtColor": other_grey})
    monkeypatch.setitem(sys.modules, "cv2", other)
    exact.exact_opencv.cache_clear()
    assert exact.exact_opencv() is None
    other = types.SimpleNamespace(**{**vars(cv2), "INTER_LINEAR_EXACT": cv2.INTER_LINEAR})
    monkeypatch.setitem(sys.modules, "cv2", other)
    exact.exact_opencv.cache_clear()
    assert exact.exact_opencv() is None


@pytest.mark.parametrize("colour", ["grey", "bgr", "rgb"])
@pytest.mark.parametrize("axes", ["HWC", "WHC"])
@pytest.mark.parametrize("resize", ["stretch", "fit"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_preprocess_step_by_step(colour: str, axes: str, resize: str, dtype: str) -> None:
    spec = replace(PLATE, colour=colour, axes=axes, resize=resize, dtype=dtype, padding=77)
    grey = np.array([[(3735 * b + 19235 * g + 9798 * r + 16384) >> 15 for b, g, r in row] for row in IMAGE.tolist()])
    source = grey.astype(np.uint8) if colour == "grey" else IMAGE
    expected = slow_resize(source, 16, 8)  # 30 × 15 fits into 16 × 8 without a border
    if colour == "rgb":
        expected = expected[..., ::-1]
    expected = expected.reshape(8, 16, -1)
    if axes == "WHC":
        expected = np.transpose(expected, (1, 0, 2))
    if dtype == "float32":
        expected = (expected.astype(float) * spec.scale + spec.offset).astype(np.float32)
    batch = preprocess([IMAGE], spec)
    assert batch.shape == (1, *spec.shape)
    assert batch.dtype == dtype
    assert np.array_equal(batch[0], expected)


@pytest.mark.parametrize("scale", [1 / 255, 2 / 255, 0.0039215686, -1.0, 1e-9])
def test_levels_are_rounded_once(scale: float) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    spec = InputSpec(16, 16, "HWC", scale, offset=-0.37)
    exact = [Fraction(scale) * level + Fraction(-0.37) for level in range(256)]
    seen = preprocess([levels], spec).ravel()
    assert seen.dtype == np.float32
    nearest = np.spacing(np.abs(seen)) / 2
    assert all(
        abs(Fraction(float(s)) - e) <= Fraction(float(n)) * Fraction(101, 100)
        for s, e, n in zip(seen, exact, nearest, strict=True)
    )


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize("resize", ["stretch", "fit"])
def test_a_grey_image_for_a_network_of_three_channels(colour: str, resize: str) -> None:
    spec = replace(PLATE, colour=colour, resize=resize, padding=200)
    grey = IMAGE[:, :9, 0]
    same = preprocess([grey, grey[..., np.newaxis], np.stack([grey] * 3, axis=2)], spec)
    assert np.array_equal(same[0], same[1])
    assert np.array_equal(same[0], same[2])
    assert np.array_equal(same[0, ..., 0], same[0, ..., 2])


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300))
def test_fit_keeps_the_aspect_and_pads_the_rest(height: int, width: int) -> None:
    spec = InputSpec(32, 16, "HWC", 1.0, 0.0, resize="fit", padding=9, dtype="uint8")
    seen = preprocess([np.full((height, width), 255, np.uint8)], spec)[0, ..., 0]
    scale = min(Fraction(32, width), Fraction(16, height))
    columns = max(1, math.floor(width * scale + Fraction(1, 2)))
    rows = max(1, math.floor(height * scale + Fraction(1, 2)))
    top = (16 - rows) // 2
    expected = np.full((16, 32), 9, np.uint8)
    expected[top : top + rows, :columns] = 255
    assert np.array_equal(seen, expected)


@pytest.mark.parametrize("resize", ["stretch", "fit"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 20_000), (20_000, 1, 3), (2, 3, 4)])
def test_extreme_sizes(resize: str, shape: tuple[int, ...]) -> None:
    spec = replace(PLATE, resize=resize, padding=128, dtype="uint8")
    assert np.all(
        preprocess([np.full(shape, 128, np.uint8)], spec)[:, 0] == (128 if len(shape) < 3 or shape[2] == 3 else 191)
    )


def test_a_batch_is_its_rows() -> None:
    images = [picture(7 + n, 20 - n, (1, 3, 4)[n % 3], n) for n in range(6)]
    batch = preprocess(images, PLATE)
    assert batch.flags.c_contiguous
    for row, image in zip(batch, images, strict=True):
        assert np.array_equal(row, preprocess([image], PLATE)[0])
        alone = np.empty(PLATE.shape, np.float32)
        preprocess_into(alone, image, PLATE)
        assert np.array_equal(row, alone)


def test_an_empty_batch() -> None:
    assert preprocess([], PLATE).shape == (0, 16, 8, 1)


def test_16_bit_images() -> None:
    deep = IMAGE.astype(np.uint16) * 257
    assert np.array_equal(preprocess([deep], PLATE), preprocess([IMAGE], PLATE))


@pytest.mark.parametrize("channels", [1, 3])
def test_file_and_array_give_the_same_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    image = picture(21, 34, channels, 3)
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    monkeypatch.setitem(
        sys.modules, "cv2", cv2
    )  # files are decoded by OpenCV only; the engine under test has been chosen
    assert np.array_equal(preprocess([load_image(path)], PLATE), preprocess([image], PLATE))


@pytest.mark.parametrize(
    "row",
    [
        np.empty((8, 16, 1), np.float32),
        np.empty((16, 8), np.float32),
        np.empty((16, 8, 1), np.uint8),
        np.empty((8, 16, 1), np.float32).swapaxes(0, 1),
    ],
)
def test_a_row_that_does_not_fit(row: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected \(16, 8, 1\) of float32"):
        preprocess_into(row, IMAGE, PLATE)


def test_error_names_the_image() -> None:
    with pytest.raises(ImageError, match=r"^image 1: found dtype float64"):
        preprocess([IMAGE, IMAGE / 255], PLATE)
