from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_crnn.watch.finding.bodies import bodies
from edge_crnn.watch.finding.merging import overlap
from edge_crnn.watch.finding.proposals import TILT, hypotheses, rows
from tests.edge_crnn.watch.finding.road import PLATES, empty, with_plate

HEIGHTS = (16.0, 60.0)
PLATE = sorted(path.name for path in PLATES.glob("*.jpg"))[0]


@pytest.mark.parametrize("tilt", [0.0, 12.0, -12.0, 25.0, -25.0])
def test_a_tilted_row_of_characters_is_found_with_its_tilt(tilt: float) -> None:
    grey = cv2.cvtColor(empty(), cv2.COLOR_BGR2GRAY)
    cv2.rectangle(grey, (200, 120), (440, 260), 220, -1)
    for left in (240, 260, 290, 310, 330, 350, 370):  # OpenCV 4 and 5 write text differently
        cv2.rectangle(grey, (left, 178), (left + 12, 200), 20, -1)
    matrix = cv2.getRotationMatrix2D((320, 190), -tilt, 1)
    grey = cv2.warpAffine(grey, matrix, (640, 360), borderMode=cv2.BORDER_REFLECT)
    row = rows(grey, HEIGHTS)[0]
    assert row.count >= 5
    assert np.degrees(np.arctan2(row.along[1], row.along[0])) == pytest.approx(tilt, abs=5)
    assert row.height == pytest.approx(22, rel=0.3)


def test_a_hypothesis_surrounds_its_row() -> None:
    grey = np.full((100, 300), 220, np.uint8)
    cv2.putText(grey, "12 34567", (40, 60), cv2.FONT_HERSHEY_SIMPLEX, 1, 20, 3)
    quads = hypotheses(rows(grey, HEIGHTS)[0])
    for quad in quads:
        assert quad[0, 0] < 42
        assert quad[2, 1] > 60
    assert len(quads) <= 4


def test_a_plate_is_found_as_a_body_even_without_legible_characters() -> None:
    grey = np.full((200, 300), 60, np.uint8)
    cv2.rectangle(grey, (100, 80), (200, 102), 200, -1)
    grey = cv2.GaussianBlur(grey, (0, 0), 2)
    ((_, quad), *_) = bodies(grey, HEIGHTS, TILT)
    plate = np.array([[100, 80], [200, 80], [200, 102], [100, 102]])
    assert np.abs(quad - plate).max() < 7


def test_a_flat_frame_has_no_proposals() -> None:
    grey = np.full((360, 640), 90, np.uint8)
    assert rows(grey, HEIGHTS) == []
    assert bodies(grey, HEIGHTS, TILT) == []


@pytest.mark.parametrize("seed", range(3))
def test_any_noise_gives_finite_proposals(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (200, 300)).astype(np.uint8)
    for quad in [
        *(quad for _, quad in bodies(noise, HEIGHTS, TILT)),
        *(quad for row in rows(noise, HEIGHTS) for quad in hypotheses(row)),
    ]:
        assert quad.shape == (4, 2)
        assert np.isfinite(quad).all()


def test_a_rendered_plate_on_a_car_is_among_the_first_proposals() -> None:
    pixels, corners = with_plate(empty(), PLATE)
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    first = [
        *(quad for row in rows(grey, HEIGHTS)[:5] for quad in hypotheses(row)),
        *(quad for _, quad in bodies(grey, HEIGHTS, TILT)[:5]),
    ]
    assert max(overlap(quad.astype(np.float32), corners) for quad in first) > 0.8
