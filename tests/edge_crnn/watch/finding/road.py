"""Frames of a road, with a plate of the samples on a car."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_crnn.watch.frame import Frame, Pixels, Quad

PLATES = Path(__file__).parents[4] / "samples" / "plates"
SIZE = (640, 360)


def empty(seed: int = 0) -> Pixels:
    """Return a road without a car, with noise of its own."""
    coarse = np.random.default_rng(3).integers(70, 140, (6, 10, 3)).astype(np.uint8)
    road = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC).astype(np.float64)
    noise = np.random.default_rng(seed).normal(0, 3, road.shape)
    return np.clip(road + noise, 0, 255).astype(np.uint8)


def with_plate(
    image: Pixels, name: str, x: float = 320, y: float = 220, width: float = 150, tilt: float = 0.0
) -> tuple[Pixels, Quad]:
    """Return the frame with a dark car and a plate whose middle is at (x, y), and the corners of the plate."""
    plate = cv2.imread(str(PLATES / name))
    assert plate is not None
    height, long = plate.shape[:2]
    corners = np.array([[0, 0], [long, 0], [long, height], [0, height]], np.float32)
    angle = np.deg2rad(tilt)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    quad = ((corners - (long / 2, height / 2)) * (width / long) @ turn + (x, y)).astype(np.float32)
    image = image.copy()
    cv2.rectangle(image, (int(x - 130), int(y - 110)), (int(x + 130), int(y + 70)), (45, 40, 38), -1)
    matrix = cv2.getPerspectiveTransform(corners, quad)
    seen = cv2.warpPerspective(plate, matrix, SIZE)
    mask = cv2.warpPerspective(np.full((height, long), 255, np.uint8), matrix, SIZE) > 127
    image[mask] = seen[mask]
    return image, quad


def frame(pixels: Pixels, number: int = 0, rate: float = 10.0) -> Frame:
    """Return the frame of a recording with `rate` frames per second."""
    return Frame(number, number / rate, number / rate, pixels)
