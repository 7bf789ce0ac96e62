from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_crnn.training.fonts import find_fonts
from edge_crnn.training.sheet import contact_sheet


@pytest.fixture(scope="module")
def font() -> Path:
    return find_fonts()[0]


def picture(height: int, width: int, level: int = 0) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (10, 10, 1), (11, 10, 2), (100, 10, 10)])
def test_ten_stand_in_a_row(count: int, columns: int, rows: int, font: Path):
    margin = 8
    single, many = (contact_sheet([("7", picture(50, 100))] * n, font).shape for n in (1, count))
    assert many[0] - margin == rows * (single[0] - margin)
    assert many[1] - margin == columns * (single[1] - margin)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 60), (400, 90), (30, 900), (3000, 3000)])
def test_a_picture_keeps_its_aspect_and_stays_on_the_sheet(height: int, width: int, font: Path):
    sheet = contact_sheet([("", picture(height, width))], font)
    rows, columns = (np.flatnonzero((sheet.max(axis=2) < 128).any(axis=axis)) for axis in (1, 0))
    seen = len(rows), len(columns)
    scale = min(seen[0] / height, seen[1] / width)
    assert scale <= 3
    assert seen[0] == pytest.approx(height * scale, abs=1, rel=0.02)
    assert seen[1] == pytest.approx(width * scale, abs=1, rel=0.02)


def test_captions_are_written_below_and_cut_to_fit(font: Path):
    plain = contact_sheet([("", picture(96, 208, 200))], font)
    short, long = (contact_sheet([(text, picture(96, 208, 200))], font) for text in ("7 나", "7 나" * 40))
    for sheet in (short, long):
        rows, columns = np.nonzero((sheet != plain).any(axis=2))
        assert rows.min() > 8 + 96
        assert columns.min() >= 8
        assert columns.max() < 8 + 208
    assert not np.array_equal(short, long)


def test_the_same_colours_come_out(font: Path):
    sheet = contact_sheet([("", np.full((96, 208, 3), (200, 100, 0), np.uint8))], font)
    assert sheet[50, 100].tolist() == [200, 100, 0]
