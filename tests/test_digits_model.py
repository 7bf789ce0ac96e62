"""models/digits.keras converts, and reads the sample lines as samples/README.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_crnn.cli.main import main
from edge_crnn.model.artifact import load

pytestmark = pytest.mark.tensorflow

ROOT = Path(__file__).parents[1]


def test_it_reads_the_sample_lines_and_its_artifact_reads_the_same(tmp_path: Path) -> None:
    target = tmp_path / "digits.tflite"
    lines = str(ROOT / "samples" / "lines")
    model = str(ROOT / "models/digits.keras")
    assert main(["convert", model, "--recipe", "dynamic", "--labelled", lines, "-o", str(target)]) == 0
    parity = load(target).spec.parity
    assert parity is not None
    (stated,) = re.findall(
        r"digits\.keras` reads (\d+) of the (\d+) lines", (ROOT / "samples/README.md").read_text("utf-8")
    )
    assert (str(parity.sets[0].reference_right), str(parity.images)) == stated
    assert parity.agreement >= 0.99
