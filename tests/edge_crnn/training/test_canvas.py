from __future__ import annotations

import numpy as np
import pytest

from edge_crnn.training.canvas import blank_plate, draw_car, px
from edge_crnn.training.degrade import PX_PER_MM


def test_millimetres_become_whole_pixels():
    assert px(100) == round(100 * PX_PER_MM)
    assert isinstance(px(0.1), int)


@pytest.mark.parametrize(("width", "height"), [(520, 110), (335, 170)])
def test_a_blank_plate_has_round_corners_and_a_frame_inside(width: float, height: float):
    outline, frame = blank_plate(width, height)
    assert outline.shape == frame.shape == (px(height), px(width))
    assert (outline[0, 0], outline[-1, -1]) == (0, 0)
    assert outline[0, outline.shape[1] // 2] == 255
    assert not frame[outline == 0].any()
    middle = frame[frame.shape[0] // 2]
    assert middle[px(6)] == 255
    assert not middle[px(20) : -px(20)].any()


def test_a_car_is_of_one_colour_that_varies_a_little():
    car = draw_car(60, 100, np.random.default_rng(1))
    assert car.shape == (60, 100, 3)
    assert 0 < np.ptp(car.astype(int), axis=(0, 1)).max() <= 70
