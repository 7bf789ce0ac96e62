from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge_crnn
from edge_crnn.cli.main import main
from edge_crnn.images import load_image

PLATE = next(Path("samples/plates").resolve().glob("*.jpg"), Path())


def damaged_plate() -> bytes:
    data = cv2.imencode(".jpg", load_image(PLATE))[1].tobytes()
    middle = (data.rindex(b"\xff\xda") + len(data)) // 2
    return data[:middle] + bytes(40) + data[middle + 40 :]


def test_a_damaged_picture_is_read_but_not_accepted() -> None:
    """JPEGDecoder#39."""
    whole = PLATE.read_bytes()
    with edge_crnn.open_reader(min_confidence=0.0) as reader:
        good, bad = reader.read_batch([whole, damaged_plate()])
        assert (good.damaged, good.accepted) == (False, True)
        assert (bad.damaged, bad.accepted) == (True, False)
        assert reader.fuse([whole, whole]).accepted
        fused = reader.fuse([whole, damaged_plate()])
        assert (fused.damaged, fused.accepted, fused.images) == (True, False, 2)
        assert not reader.read(np.zeros((20, 60), np.uint8)).damaged


def test_read_marks_damaged_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plate.jpg"
    path.write_bytes(damaged_plate())
    assert main(["read", "--min-confidence", "0", str(path)]) == 0
    assert capsys.readouterr().out.rstrip("\n").split("\t")[3:] == ["damaged", "rejected"]
    assert main(["read", "--min-confidence", "0", "--format", "jsonl", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["damaged"] is True
