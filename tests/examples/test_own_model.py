from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_crnn import open_reader
from edge_crnn.model.artifact import load

pytestmark = pytest.mark.slow


def test_own_model(run: Callable[[str], list[str]], tmp_path: Path) -> None:
    _, converted, device = run("own_model.md")
    with (tmp_path / "labelled" / "labels.csv").open(newline="") as table:
        truth = {row["image"]: row["label"] for row in csv.DictReader(table)}

    artifact = load(tmp_path / "digits.tflite")
    facts, parity = artifact.spec.artifact, artifact.spec.parity
    assert facts is not None
    assert parity is not None
    assert parity.verdict == "pass"
    assert parity.images == 2000
    assert parity.sets[0].reference_right >= 1900  # the network has learnt to read
    assert parity.agreement >= 0.995
    assert re.findall(r"^(float32|float16|dynamic|int8|int8-full) +(?:pass|fail|underpowered)", converted, re.MULTILINE)
    assert f"recipe {facts.recipe}" in converted
    assert re.search(r"^digits\.tflite: pass\b", converted, re.MULTILINE)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "digits.tflite" in page

    with open_reader(artifact.path) as reader:
        names = sorted(truth)[:300]
        readings = reader.read_batch([tmp_path / "labelled" / name for name in names])
    right = sum(reading.text == truth[name] for name, reading in zip(names, readings, strict=True))
    assert right >= 285

    rows = [line.split("\t") for line in converted.splitlines() if line.startswith("labelled/")]
    assert [row[0] for row in rows] == [f"labelled/{index:04}.png" for index in range(5)]
    assert sum(row[1] == truth[Path(row[0]).name] for row in rows) >= 4
    text, confidence = device.split()
    assert text == readings[0].text
    assert 0 < float(confidence) <= 1
