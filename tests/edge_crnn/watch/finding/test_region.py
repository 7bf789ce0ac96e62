from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import InputError
from edge_crnn.watch.finding.region import Box, Region, View, transformed

GATE = "gate: 0,0.5 1,0.5 1,1 0,1 heights=20,80 corners=0.2,0.5;0.8,0.5;1,1;0,1"


def test_text_gives_the_region() -> None:
    region = Region.parse(GATE)
    assert region.name == "gate"
    assert region.points == ((0, 0.5), (1, 0.5), (1, 1), (0, 1))
    assert region.heights == (20, 80)
    assert region.corners == ((0.2, 0.5), (0.8, 0.5), (1, 1), (0, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,0 1,1", "expected NAME"),
        ("gate: 0,0 1", "no pair of numbers"),
        ("gate: 0,0 1,1", "no area"),
        ("gate: 0,0 2,0 1,1", "a share from 0 to 1"),
        ("gate: 0,0 1e999,0 1,1", "a share from 0 to 1"),
        ("gate: 0,0 nan,0 1,1", "a share from 0 to 1"),
        ("gate: size=3,4", "option 'size'"),
        ("gate: heights=80,20", "smaller one first"),
        ("gate: heights=0.1,20", "both"),
        ("gate: corners=0,0;1,1;1,0;0,1", "no convex"),
        (" : 0,0 1,0 1,1", "name"),
    ],
)
def test_invalid_region_is_rejected(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Region.parse(text)


@given(st.text(max_size=60))
def test_any_text_is_a_region_or_one_clear_error(text: str) -> None:
    with contextlib.suppress(InputError):
        Region.parse(text)


def test_shares_and_pixels_give_heights_in_pixels() -> None:
    assert View(Region(heights=(0.05, 0.1)), 1280, 720).heights == pytest.approx((36, 72))
    assert View(Region(heights=(20, 80)), 1280, 720).heights == (20, 80)


def test_only_what_has_its_middle_in_the_polygon_is_contained() -> None:
    view = View(Region("half", ((0, 0), (0.5, 0), (0.5, 1), (0, 1))), 100, 100)
    plate = np.array([[-5, -2], [5, -2], [5, 2], [-5, 2]], np.float32)
    assert view.contains(plate + np.float32(30))
    assert not view.contains(plate + np.float32(60))
    assert view.box == Box(0, 0, 50, 100)
    assert view.mask(10, 10).mean() == 1


def test_corners_become_a_rectangle_and_lead_back() -> None:
    corners = ((0.4, 0.3), (0.6, 0.3), (0.8, 0.7), (0.2, 0.7))
    view = View(Region(corners=corners), 200, 100)
    pixels = np.zeros((100, 200, 3), np.uint8)
    _, back = view.rectified(pixels, view.box)
    flat = transformed(np.array(corners) * (200, 100), np.linalg.inv(back))
    edges = np.roll(flat, -1, axis=0) - flat
    assert edges[::2, 1] == pytest.approx([0, 0], abs=1e-3)
    assert edges[1::2, 0] == pytest.approx([0, 0], abs=1e-3)
