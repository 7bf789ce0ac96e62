from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge_crnn import open_reader
from edge_crnn.errors import BackendUnavailable, InputError
from edge_crnn.reader import Reader
from edge_crnn.watch.finding.crops import crop_of, varied, widened
from edge_crnn.watch.finding.finder import RegionFinder
from edge_crnn.watch.finding.merging import overlap
from edge_crnn.watch.finding.region import Region
from edge_crnn.watch.sighting import Sighting
from tests.edge_crnn.watch.finding.road import PLATES, SIZE, empty, frame, with_plate


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    try:
        opened = open_reader("plates", workers=1)
    except BackendUnavailable as error:
        pytest.skip(str(error))
    with opened:
        yield opened


@pytest.fixture(scope="module")
def plates(reader: Reader) -> list[tuple[str, str]]:
    """Return name and label of sample plates that the reader reads correctly."""
    names = [path.name for path in sorted(PLATES.glob("*.jpg"))[:12]]
    readings = reader.read_batch([PLATES / name for name in names])
    pairs = zip(names, readings, strict=True)
    return [(name, reading.label) for name, reading in pairs if reading.accepted and name.startswith(reading.label)]


@pytest.mark.thorough
def test_most_plates_on_a_car_are_read_with_few_windows(reader: Reader, plates: list[tuple[str, str]]) -> None:
    correct = windows = 0
    for number, (name, label) in enumerate(plates[:6]):
        finder = RegionFinder(reader, [Region(heights=(0.04, 0.3))])
        sightings: list[Sighting] = []
        for shift in range(3):  # every place has one window per frame
            pixels, quad = with_plate(empty(number), name, x=320 + 4 * shift, tilt=4.0 * (number % 3 - 1))
            sightings = sightings or finder.find(frame(pixels, shift))
        correct += [sighting.reading.label for sighting in sightings] == [label]
        assert all(overlap(sighting.quad, quad) > 0.7 for sighting in sightings)
        windows += finder.counts.windows
    assert correct >= 4
    assert windows / 6 <= 40


@pytest.mark.thorough
def test_a_standing_car_is_read_and_then_left_alone(reader: Reader, plates: list[tuple[str, str]]) -> None:
    finder = RegionFinder(reader, [Region(heights=(0.04, 0.3))])
    for number in range(25):
        finder.find(frame(empty(number), number))
    before = finder.counts.windows
    for number in range(25, 29):
        finder.find(frame(with_plate(empty(number), plates[0][0])[0], number))
    assert finder.counts.windows > before
    for number in range(60, 63):  # it has stood for three seconds
        finder.find(frame(with_plate(empty(number), plates[0][0])[0], number))
    read = finder.counts.windows
    for number in range(63, 90):
        assert finder.find(frame(with_plate(empty(number), plates[0][0])[0], number)) == []
    assert finder.counts.windows == read


def test_an_empty_scene_costs_no_window(reader: Reader) -> None:
    finder = RegionFinder(reader)
    finder.find(frame(empty(0)))
    before = finder.counts.windows
    for number in range(15, 30):
        assert finder.find(frame(empty(number), number)) == []
    assert finder.counts.windows == before


def test_unusable_settings_are_rejected(reader: Reader) -> None:
    with pytest.raises(InputError, match="different names"):
        RegionFinder(reader, [Region(), Region()])
    with pytest.raises(InputError, match="at least 1"):
        RegionFinder(reader, most=0)
    spec = replace(reader.spec, decoder=replace(reader.spec.decoder, reject_below=0.0))
    generous = Reader(spec, lambda: reader._engines[0])
    with pytest.raises(InputError, match="target_precision"):
        RegionFinder(generous)


def test_a_crop_is_upright_and_has_the_quadrilaterals_size() -> None:
    pixels = np.zeros((*SIZE[::-1], 3), np.uint8)
    cv2.rectangle(pixels, (100, 100), (139, 109), (255, 255, 255), -1)
    quad = np.array([[100, 100], [140, 100], [140, 110], [100, 110]], np.float32)
    crop = crop_of(pixels, quad)
    assert crop.shape == (10, 40, 3)
    assert crop.min() == 255
    turned = crop_of(pixels, np.roll(quad, -1, axis=0))
    assert turned.shape == (40, 10, 3)


def test_a_quadrilateral_beyond_the_frame_has_a_crop() -> None:
    quad = np.array([[-20, -5], [30, -5], [30, 10], [-20, 10]], np.float32)
    assert crop_of(np.full((50, 50, 3), 9, np.uint8), quad).mean() == 9


def test_varied_windows_stay_near() -> None:
    quad = np.array([[100, 100], [200, 100], [200, 120], [100, 120]], np.float32)
    for other in varied(quad):
        assert overlap(quad, other) > 0.8
        assert not np.array_equal(other, quad)


def test_a_widened_window_goes_on_to_the_left_alone() -> None:
    quad = np.array([[100, 100], [200, 110], [200, 130], [100, 120]], np.float32)
    wider = widened(quad)
    np.testing.assert_array_equal(wider[1:3], quad[1:3])
    np.testing.assert_allclose(wider[[0, 3]], quad[[0, 3]] - [15, 1.5])


@pytest.mark.thorough
def test_a_sign_that_moves_costs_ever_fewer_windows(reader: Reader) -> None:
    finder = RegionFinder(reader)
    windows = []
    for number in range(60):
        pixels = empty(number)
        x = 40 + 6 * number
        cv2.rectangle(pixels, (x, 100), (x + 160, 140), (235, 235, 235), -1)
        cv2.putText(pixels, "02-555-0123", (x + 8, 130), cv2.FONT_HERSHEY_DUPLEX, 0.7, (140, 40, 30), 2)
        before = finder.counts.windows
        assert finder.find(frame(pixels, number)) == []
        windows.append(finder.counts.windows - before)
    assert sum(windows[:10]) > 0
    assert sum(windows[40:]) < sum(windows[:20]) / 2
