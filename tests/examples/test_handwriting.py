from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_crnn.model.spec import ModelSpec
from tests.examples.checks import check_artifact, check_readings

pytestmark = pytest.mark.slow


def test_handwriting(run: Callable[[str], list[str]], tmp_path: Path) -> None:
    """IAM's table is read; the fit, the turn, and two unused classes are measured."""
    _, output = run("handwriting.md")
    spec = ModelSpec.from_json((tmp_path / "handwriting.keras.json").read_text())
    assert (spec.symbols, spec.blank, spec.unused, spec.skip_steps) == (tuple("aehinorst"), 11, (0, 10), 0)
    assert (spec.input.axes, spec.input.rotate, spec.input.resize) == ("HWC", 90, "fit")
    assert (spec.input.align, spec.input.align_vertical, spec.input.odd_pixel) == ("centre", "centre", "before")
    check_artifact(tmp_path / "handwriting.tflite")
    lines = (tmp_path / "words" / "words.txt").read_text().splitlines()
    truth = {line.split()[0]: line.split()[-1] for line in lines}
    check_readings(output, tmp_path, "words/a00/a00-000u", lambda path: truth[path.stem])
