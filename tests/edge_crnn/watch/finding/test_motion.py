from __future__ import annotations

import numpy as np

from edge_crnn.watch.finding.motion import Motion
from edge_crnn.watch.finding.region import Box, Region, View
from tests.edge_crnn.watch.finding.road import SIZE, empty


def settled(pixels_of, frames: int = 25) -> Motion:
    """Return the motion of a scene that has been still for some seconds, at 10 frames per second."""
    motion = Motion(View(Region(), *SIZE))
    for number in range(frames):
        motion.changes(pixels_of(number), number / 10)
    return motion


def car(x: int, seed: int, image=None):
    image = empty(seed) if image is None else image
    image = image.copy()
    image[150:300, max(x - 60, 0) : x + 60] = (40, 40, 200)
    image[180:200, max(x - 40, 0) : x + 40] = 230
    return image


def test_the_first_frames_are_looked_at_and_then_an_empty_scene_sleeps() -> None:
    motion = Motion(View(Region(), *SIZE))
    assert motion.changes(empty(0), 0.0) == [Box(0, 0, *SIZE)]
    assert [motion.changes(empty(n), n / 10) for n in range(15, 60)] == [[]] * 45


def test_slow_light_and_drops_do_not_wake() -> None:
    motion = settled(empty)
    random = np.random.default_rng(5)
    for number in range(25, 75):
        image = np.clip(empty(number).astype(np.int16) + (number - 25) // 2, 0, 255).astype(np.uint8)
        for x, y in random.integers(0, (630, 350), (30, 2)):
            image[y : y + 9, x] = 220
        assert motion.changes(image, number / 10) == []


def test_a_car_wakes_and_once_it_stands_it_is_left_alone() -> None:
    motion = settled(empty)
    (box,) = motion.changes(car(200, 25), 2.5)
    assert box.left <= 140
    assert box.right >= 260
    later = [motion.changes(car(200, number), number / 10) for number in range(26, 60)]
    assert later[0]
    assert later[12:] == [[]] * 22


def test_a_car_that_moves_beside_a_parked_one_is_seen_alone() -> None:
    motion = settled(lambda number: car(120, number))
    (box,) = motion.changes(car(450, 25, car(120, 25)), 2.5)
    assert box.left > 180
    assert box.right >= 500


def test_what_moves_outside_of_the_polygon_does_not_wake() -> None:
    view = View(Region("left", ((0, 0), (0.5, 0), (0.3, 1), (0, 1))), *SIZE)
    motion = Motion(view)
    for number in range(25):
        motion.changes(empty(number), number / 10)
    assert motion.changes(car(450, 25), 2.5) == []


def test_a_scene_in_which_something_always_moves_is_looked_at_there_alone() -> None:
    motion = settled(empty)
    for number in range(25, 80):
        boxes = motion.changes(car(60 + 8 * (number % 10), number), number / 10)
    (box,) = boxes
    assert box.right < 300
    moved = motion.changes(car(500, 80, car(60, 80)), 8.0)
    assert len(moved) == 2
    assert moved[0].right < moved[1].left or moved[1].right < moved[0].left
