from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_crnn.model.spec import ModelSpec
from tests.examples.checks import check_artifact, check_readings

pytestmark = pytest.mark.slow


def test_mltu_captcha(run: Callable[[str], list[str]], tmp_path: Path) -> None:
    """The Lambda must be declared, and then scales inside the network; orientation and blank are measured."""
    _, output = run("mltu_captcha.md")
    assert "obstacles" not in output
    assert "network      48 layers" in output
    spec = ModelSpec.from_json((tmp_path / "captcha.h5.json").read_text())
    assert spec.lambdas == {"lambda": "scale 1/255"}
    assert (spec.symbols, spec.blank, spec.unused, spec.skip_steps) == (tuple("2345678b"), 8, (), 0)
    assert (spec.input.scale, spec.input.offset, spec.input.colour) == (1, 0, "bgr")
    assert (spec.input.axes, spec.input.rotate, spec.input.resize) == ("HWC", 0, "stretch")
    check_artifact(tmp_path / "captcha.tflite")
    check_readings(output, tmp_path, "labelled", lambda path: path.stem)
