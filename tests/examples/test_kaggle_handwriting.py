from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_crnn.model.spec import ModelSpec
from tests.examples.checks import check_artifact, check_readings

pytestmark = pytest.mark.slow


def test_kaggle_handwriting(run: Callable[[str], list[str]], tmp_path: Path) -> None:
    """The paste, the turn and both skipped steps are measured; the alphabet is declared."""
    _, output = run("kaggle_handwriting.md")
    spec = ModelSpec.from_json((tmp_path / "names.h5.json").read_text())
    assert (spec.symbols, spec.blank, spec.unused, spec.skip_steps) == (tuple("ADEILMNORS-' "), 13, (), 2)
    assert (spec.input.axes, spec.input.rotate, spec.input.resize) == ("HWC", 90, "paste")
    assert (spec.input.align, spec.input.align_vertical) == ("left", "top")
    assert spec.input.padding in (255, "edge")  # on light paper they are much alike
    check_artifact(tmp_path / "names.tflite")
    with (tmp_path / "test.csv").open(newline="") as table:
        truth = {row["FILENAME"]: row["IDENTITY"] for row in csv.DictReader(table)}
    check_readings(output, tmp_path, "test", lambda path: truth[path.name])
