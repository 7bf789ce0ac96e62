from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.acceptance import Acceptance, count, main
from edge_crnn import open_reader
from edge_crnn.reader import DEFAULT_MODEL

SAMPLES = Path(__file__).parents[2] / "samples" / "plates"
CORRECT = ("J23dk4123", "L47tk8410")
"""Samples that the built-in artifact reads correctly and accepts."""


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    """A folder of two kinds: two plates with their labels, and one with that of another plate."""
    for kind, name, label in (
        ("one", CORRECT[0], CORRECT[0]),
        ("one", CORRECT[1], CORRECT[1]),
        ("two", CORRECT[0], CORRECT[1]),
    ):
        (tmp_path / "plates" / kind).mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / f"{name}.jpg", tmp_path / "plates" / kind / f"{label}.jpg")
    return tmp_path / "plates"


def test_accepted_texts_are_right_or_wrong_by_kind(plates: Path) -> None:
    with open_reader(workers=1) as reader:
        assert count(reader, plates) == {"one": Acceptance(2, 2, 2, 0), "two": Acceptance(1, 0, 0, 1)}
        assert count(reader, plates, every=2) == {"one": Acceptance(1, 1, 1, 0), "two": Acceptance(1, 0, 0, 1)}
    with open_reader(workers=1, min_confidence=1.0) as reader:
        assert count(reader, plates) == {"one": Acceptance(2, 2, 0, 0), "two": Acceptance(1, 0, 0, 0)}


def test_an_accepted_negative_is_wrong_and_a_plain_picture_is_not_accepted(plates: Path) -> None:
    (plates / "grey").mkdir()
    cv2.imwrite(str(plates / "grey" / "grey.png"), np.full((64, 128, 3), 128, np.uint8))
    with open_reader(workers=1) as reader:
        counts = count(reader, plates, negatives=True)
    assert counts == {"grey": Acceptance(1), "one": Acceptance(2, 0, 0, 2), "two": Acceptance(1, 0, 0, 1)}


def test_the_table_has_a_line_for_every_folder_and_for_a_kind_of_accepted_negatives(
    plates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(DEFAULT_MODEL), "--labelled", str(plates / "one"), "--negatives", str(plates)]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split(" | ")[1] for line in lines] == [
        str(plates / "one"),
        str(plates),
        f"{plates}: one",
        f"{plates}: two",
    ]
    assert "2 of 2, 100" in lines[0]
    assert "3 of 3, 100" in lines[1]


def test_a_folder_without_images_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(DEFAULT_MODEL), "--labelled", str(tmp_path)]) == 1
    assert "no image" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(DEFAULT_MODEL), "--every", "0"])
