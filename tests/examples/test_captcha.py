from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_crnn.model.spec import ModelSpec
from tests.examples.checks import check_artifact, check_readings

pytestmark = pytest.mark.slow


def test_captcha(run: Callable[[str], list[str]], tmp_path: Path) -> None:
    """The loss is left out; scale, orientation, blank and alphabet are measured, with [UNK] unused."""
    _, output = run("captcha.md")
    assert "the training head 'ctc_loss' is left out" in output
    spec = ModelSpec.from_json((tmp_path / "captcha.keras.json").read_text())
    assert (spec.symbols, spec.blank, spec.unused, spec.skip_steps) == (tuple("2345678b"), 9, (0,), 0)
    assert (spec.input.width, spec.input.height, spec.input.axes, spec.input.resize) == (80, 24, "WHC", "stretch")
    assert (spec.input.scale, spec.input.offset) == (1 / 255, 0)
    assert check_artifact(tmp_path / "captcha.tflite").symbols == spec.symbols
    check_readings(output, tmp_path, "labelled", lambda path: path.stem)
