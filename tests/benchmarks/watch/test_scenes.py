import itertools

import numpy as np
import pytest

from benchmarks.watch.scenes import CONDITIONS, empty, passage
from edge_crnn.reader import open_reader
from edge_crnn.watch.finding.crops import crop_of


def test_same_seed_gives_the_same_frames() -> None:
    for one, other in itertools.islice(zip(passage(3).frames(), passage(3).frames(), strict=True), 5):
        assert one.shape == (720, 1280, 3)
        np.testing.assert_array_equal(one, other)


def test_empty_scene_moves_without_plates() -> None:
    scene = empty(1, 1.0)
    first, *_, last = scene.frames()
    assert (first != last).any()
    assert not any(scene.truth(number) for number in range(scene.count))


@pytest.mark.thorough
@pytest.mark.parametrize("condition", CONDITIONS)
def test_truth_is_where_the_plate_is(condition: str) -> None:
    scene = passage(1, condition, motion="approaching", vehicles=2, rate=5)  # type: ignore[arg-type]
    with open_reader("plates") as reader:
        results = [
            reader.read(crop_of(pixels, quad)).label == vehicle.label
            for number, pixels in enumerate(scene.frames())
            for vehicle, quad in scene.truth(number)
        ]
    assert len(results) > 10
    assert sum(results) > 0.8 * len(results)
