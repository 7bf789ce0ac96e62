from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_crnn.training.degrade import HEAVY, MILD, NONE, PX_PER_MM, Preset, _streak, photograph

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


def test_heavy_is_nowhere_milder_than_mild():
    def reach(preset: Preset, field: str) -> float:
        value = getattr(preset, field)
        return value if isinstance(value, float) else value[1] - value[0]

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
