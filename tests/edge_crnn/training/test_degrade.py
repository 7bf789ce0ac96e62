from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.training.degrade import HEAVY, MILD, NONE, PX_PER_MM, TRAINING, VARIED, Preset, _streak, photograph, vary

PAD = 45


def canvas() -> np.ndarray:
    """A grey plate of 200 x 80 pixels with dark bars, on a darker car."""
    image = np.full((80 + 2 * PAD, 200 + 2 * PAD, 3), 70, np.uint8)
    image[PAD:-PAD, PAD:-PAD] = 190
    image[PAD + 20 : -PAD - 20, PAD + 20 : -PAD - 20 : 20] = 60
    return image


def test_without_degradation_the_crop_is_the_plate():
    preset = replace(NONE, px_per_mm=(PX_PER_MM, PX_PER_MM))
    crop = photograph(canvas(), PAD, preset, np.random.default_rng(1))
    np.testing.assert_array_equal(crop, canvas()[PAD:-PAD, PAD:-PAD])


@pytest.mark.parametrize("margin", [-0.05, 0.1])
def test_margins_are_heights_of_the_plate(margin: float):
    preset = replace(NONE, px_per_mm=(PX_PER_MM, PX_PER_MM), margin=(margin, margin))
    crop = photograph(canvas(), PAD, preset, np.random.default_rng(1))
    assert crop.shape == (80 + 2 * 80 * margin, 200 + 2 * 80 * margin, 3)


@pytest.mark.parametrize("side", range(4))
def test_a_cut_side_has_no_margin_and_the_others_keep_theirs(side: int):
    whole = replace(NONE, px_per_mm=(PX_PER_MM, PX_PER_MM), margin=(0.1, 0.1))
    left, top, right, bottom = (0.25 if place == side else 0.0 for place in range(4))
    cut = replace(whole, cut=(left, top, right, bottom))
    image, part = (photograph(canvas(), PAD, preset, np.random.default_rng(1)) for preset in (whole, cut))
    margin, away = 8, (80 if side % 2 else 200) // 4
    rows = slice(away + margin if side == 1 else None, -away - margin if side == 3 else None)
    columns = slice(away + margin if side == 0 else None, -away - margin if side == 2 else None)
    np.testing.assert_array_equal(part, image[rows, columns])


CHANGES = {
    "rotation_deg": 5.0,
    "perspective": 0.1,
    "blur_mm": (3.0, 3.0),
    "slope": 0.5,
    "contrast": (0.5, 0.5),
    "brightness": 40.0,
    "gamma": (1.6, 1.6),
    "noise": (10.0, 10.0),
    "jpeg": (20, 20),
}
EVENTS = {
    "motion_chance": {"motion_mm": (10.0, 10.0)},
    "shadow_chance": {"shadow": (0.5, 0.5)},
    "glare_chance": {},
    "negative_chance": {},
    "dirt_chance": {"dirt": (0.3, 0.3), "dirt_cover": (0.8, 0.8)},
}


@pytest.mark.parametrize("field", CHANGES)
def test_each_quantity_changes_the_picture(field: str):
    plain = photograph(canvas(), PAD, NONE, np.random.default_rng(1))
    changed = photograph(canvas(), PAD, replace(NONE, **{field: CHANGES[field]}), np.random.default_rng(1))
    assert changed.shape != plain.shape or (changed != plain).mean() > 0.05


@pytest.mark.parametrize("field", EVENTS)
def test_each_event_changes_the_picture(field: str):
    never = replace(NONE, **EVENTS[field])
    plain = photograph(canvas(), PAD, never, np.random.default_rng(1))
    changed = photograph(canvas(), PAD, replace(never, **{field: 1.0}), np.random.default_rng(1))
    assert (changed != plain).mean() > 0.05


def test_a_negative_is_one():
    plain = photograph(canvas(), PAD, NONE, np.random.default_rng(1))
    negative = photograph(canvas(), PAD, replace(NONE, negative_chance=1.0), np.random.default_rng(1))
    np.testing.assert_array_equal(negative, 255 - plain)


def test_clutter_shows_around_the_plate_and_not_on_it():
    wide = replace(NONE, px_per_mm=(PX_PER_MM, PX_PER_MM), margin=(0.4, 0.4))
    plain = photograph(canvas(), PAD, wide, np.random.default_rng(1))
    changed = (photograph(canvas(), PAD, replace(wide, clutter=9), np.random.default_rng(1)) != plain).any(axis=2)
    margin = round(0.4 * 80)
    assert not changed[margin:-margin, margin:-margin].any()
    assert changed.mean() > 0.02


def test_dirt_leaves_most_of_the_plate_in_sight():
    dirty = replace(NONE, dirt_chance=1.0, dirt=TRAINING.dirt, dirt_cover=TRAINING.dirt_cover)
    plain = photograph(canvas(), PAD, NONE, np.random.default_rng(0)).astype(int)
    for seed in range(20):
        picture = photograph(canvas(), PAD, dirty, np.random.default_rng(seed)).astype(int)
        assert (abs(picture - plain).max(axis=2) > 40).mean() < 0.5


@pytest.mark.parametrize("preset", [NONE, MILD, HEAVY])
def test_presets_with_published_figures_have_nothing_that_came_later(preset: Preset):
    assert (preset.dirt_chance, preset.clutter) == (0, 0)


def reach(preset: Preset, field: str) -> float:
    value = getattr(preset, field)
    return value if isinstance(value, float) else value[1] - value[0]


def test_training_covers_heavy():
    fields = ("rotation_deg", "perspective", "slope", "shadow_chance", "glare_chance", "brightness", "negative_chance")
    for field in fields:
        assert getattr(HEAVY, field) <= getattr(TRAINING, field)
    for field in ("px_per_mm", "margin", "blur_mm", "motion_mm", "shadow", "contrast", "gamma", "noise", "jpeg"):
        (low, high), (least, most) = getattr(HEAVY, field), getattr(TRAINING, field)
        assert least <= low < high <= most, field


def test_heavy_is_nowhere_milder_than_mild():
    assert MILD.px_per_mm[0] > HEAVY.px_per_mm[0]
    assert MILD.contrast[0] > HEAVY.contrast[0]
    for field in ("margin", "rotation_deg", "perspective", "blur_mm", "motion_mm", "motion_chance", "slope"):
        assert 0 < reach(MILD, field) < reach(HEAVY, field)
    for field in ("brightness", "gamma", "noise", "jpeg"):
        assert 0 < reach(MILD, field) < reach(HEAVY, field)
    for field in ("shadow_chance", "glare_chance", "negative_chance"):
        assert reach(MILD, field) <= reach(HEAVY, field)


@pytest.mark.parametrize("length", [0.3, 1.0, 2.5, 7.9, 8.0])
@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2, 3.0])
def test_a_streak_keeps_the_light_and_the_place(length: float, angle: float):
    kernel = _streak(length, angle)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-6)


def test_a_level_streak_is_a_line():
    kernel = _streak(4.0, 0.0)
    assert np.flatnonzero(kernel.any(axis=1)).tolist() == [2]
    assert (kernel[2, 1:4] > 0.15).all()


@given(st.integers(1, 150), st.integers(1, 300), st.integers(0, 1 << 32))
def test_a_picture_of_any_size_can_be_varied(height: int, width: int, seed: int):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    before = image.copy()
    varied = vary(image, np.random.default_rng(seed))
    assert varied.dtype == np.uint8
    assert varied.shape[2] == 3
    assert min(varied.shape) >= 1
    assert varied.shape[0] <= 1.3 * height + 0.04 * width + 3  # turned by two degrees
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(varied, vary(image, np.random.default_rng(seed)))


def test_a_varied_picture_still_shows_the_same():
    """It is about as large, and nowhere turned upside down."""
    image = np.full((80, 200, 3), 220, np.uint8)
    image[40:] = 40
    for seed in range(20):
        varied = vary(image, np.random.default_rng(seed))
        assert 0.6 < varied.shape[0] / 80 < 1.3
        assert 0.6 < varied.shape[1] / 200 < 1.2
        height = varied.shape[0]
        assert varied[: height // 4].mean() > varied[-height // 4 :].mean() + 80


def test_pictures_are_never_turned_negative():
    assert (VARIED.negative_chance, VARIED.dirt_chance, VARIED.clutter) == (0, 0, 0)
