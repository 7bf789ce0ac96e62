from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import cv2
import pytest

from edge_crnn.training.history import CURVE, LOG, Row, write_history

ROWS = [
    Row(1, 640, 6.5, 1e-3, 16.25, 0.0, 1.0, 0.0, 1.0),
    Row(2, 1280, 9.0, 5e-4, 7.125, 0.25, 0.5, 0.375, 0.5),
]


def test_the_log_holds_every_figure(tmp_path: Path) -> None:
    write_history(tmp_path, ROWS)
    with (tmp_path / LOG).open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert [{key: float(value) for key, value in row.items()} for row in read] == [asdict(row) for row in ROWS]


def test_the_curve_is_a_picture_with_lines(tmp_path: Path) -> None:
    write_history(tmp_path, ROWS)
    picture = cv2.imread(str(tmp_path / CURVE))
    assert picture is not None
    assert picture.shape == (450, 800, 3)
    blue, _, red = picture[60:-60, 80:-80].astype(int).transpose(2, 0, 1)
    assert ((red - blue) > 80).any()  # texts not correct
    assert ((blue - red) > 80).any()  # character errors


@pytest.mark.thorough
def test_one_epoch_makes_a_curve_too(tmp_path: Path) -> None:
    write_history(tmp_path, ROWS[:1])
    (tmp_path / "two").mkdir()
    write_history(tmp_path / "two", ROWS)
    one, two = (cv2.imread(str(folder / CURVE)) for folder in (tmp_path, tmp_path / "two"))
    assert one is not None
    assert one.shape == (450, 800, 3)
    assert (one != two).any()


def test_a_row_for_people() -> None:
    assert str(ROWS[1]) == (
        "epoch 2: loss 7.125, exact 25.00%, character errors 50.00%, letters 37.50%; 1,280 images, 142/s"
    )
