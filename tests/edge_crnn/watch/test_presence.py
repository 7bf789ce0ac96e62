"""Pixels tell whether a plate is still there: on real crops of plates."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge_crnn.images import read_pixels
from edge_crnn.preprocess.exact import resize_exact
from edge_crnn.watch.frame import Pixels
from edge_crnn.watch.place import Place
from edge_crnn.watch.presence import is_alike, is_there, patch_of
from tests.edge_crnn.watch.street import ROAD, Seen, quad_of

PLATES = sorted(Path("samples/plates").glob("*.jpg"))[:12]
PLACE = Place.of(quad_of(Seen("", 160, 90, 120)))


def street(plate: Pixels | None, *, shift: int = 0, gain: float = 1.0, noise: float = 4.0, seed: int = 0) -> Pixels:
    """Put a plate into a frame, with noise."""
    pixels = ROAD.copy()
    if plate is not None:
        width, height = int(PLACE.width), int(PLACE.height)
        left, top = int(PLACE.box[0]) + shift, int(PLACE.box[1])
        pixels[top : top + height, left : left + width] = resize_exact(plate, width, height)
    noisy = pixels * gain + np.random.default_rng(seed).normal(0, noise, pixels.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def plates() -> list[Pixels]:
    return [read_pixels(path) for path in PLATES]


@pytest.mark.parametrize("change", [{}, {"shift": 1}, {"gain": 0.6}, {"gain": 1.3}, {"noise": 12.0}])
def test_a_standing_plate_is_alike(plates: list[Pixels], change: dict[str, float]) -> None:
    for plate in plates:
        before = patch_of(street(plate), PLACE)
        assert is_alike(before, patch_of(street(plate, seed=1, **change), PLACE))  # type: ignore[arg-type]


def test_another_plate_at_the_same_place_is_not_alike(plates: list[Pixels]) -> None:
    for one, other in pairwise(plates):
        assert not is_alike(patch_of(street(one), PLACE), patch_of(street(other, seed=1), PLACE))


def test_the_road_is_not_alike(plates: list[Pixels]) -> None:
    for plate in plates:
        assert not is_alike(patch_of(street(plate), PLACE), patch_of(street(None, seed=1), PLACE))


def test_a_camera_that_shakes_by_a_pixel_still_sees_it(plates: list[Pixels]) -> None:
    for plate in plates:
        assert is_there(street(plate, shift=1, seed=1), PLACE, patch_of(street(plate, noise=2), PLACE))
        assert not is_there(street(None, seed=1), PLACE, patch_of(street(plate), PLACE))


def test_a_dark_frame_is_like_nothing() -> None:
    dark = np.zeros((180, 320, 3), np.uint8)
    assert not is_alike(patch_of(dark, PLACE), patch_of(dark, PLACE))


def test_a_plate_that_is_partly_outside_of_the_frame_has_a_patch() -> None:
    patch = patch_of(ROAD, Place.of(quad_of(Seen("", 318, 2, 120))))
    assert np.isfinite(patch).all()
    assert is_alike(patch, patch)
