from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import presets
from edge_crnn.alphabet import PLATES
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec
from edge_crnn.training.folder import Drawing
from edge_crnn.training.fonts import find_fonts
from edge_crnn.training.plates.table import FORMS

if not all(map(find_spec, ("PIL", "koreanize_matplotlib", "matplotlib"))):
    pytest.skip("Pillow and the fonts come with edge-crnn[train]", allow_module_level=True)

SPEC = ModelSpec(
    name="plates",
    symbols=PLATES.symbols,
    blank=PLATES.blank,
    input=InputSpec(width=32, height=16, axes="WHC", scale=1 / 127.5, offset=-1.0),
    output=OutputSpec(steps=3, classes=42),
)


def reads(label: str) -> Any:
    """Return a network that reads the same label in every image."""
    rows = np.zeros((3, 42), np.float32)
    rows[:, PLATES.blank] = 1
    for step, index in enumerate(PLATES.encode(label)):
        rows[step] = np.eye(42, dtype=np.float32)[index]
    return lambda images: np.repeat(rows[None], len(images), axis=0)


def test_plates_are_counted_by_form_and_lines_by_length() -> None:
    drawing = Drawing("plates", 1, "none", tuple(find_fonts()[:1]))
    tally = presets.measure(drawing, 18, SPEC, reads("Z1"))
    assert set(tally.drawn) == set(FORMS)
    assert (tally.drawn["white-long"], tally.passed.total()) == (2, 0)
    assert tally.lines("none")[0].startswith("none: 0 of 18, 0.00%")
    lines = presets.measure(replace(drawing, what="lines", length=(2, 2)), 3, SPEC, reads("Z1"))
    assert dict(lines.drawn) == {"length  2": 3}


@pytest.mark.parametrize(("label", "count"), [("", 0), ("Z1", 22)])
def test_negatives_are_counted_where_something_is_read(label: str, count: int) -> None:
    drawing = Drawing("plates", 1, "none", tuple(find_fonts()[:1]), chosen=("negatives",))
    tally = presets.measure(drawing, 22, SPEC, reads(label))
    assert tally.passed.total() == count
    assert len(tally.drawn) == 22


@pytest.mark.parametrize("options", [["--kind", "green"], ["--negatives"]])
def test_options_on_plates_do_not_apply_to_lines(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert presets.main(["--what", "lines", *options]) == 1
    assert "do not apply to --what lines" in capsys.readouterr().err


def test_a_missing_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert presets.main(["--model", str(tmp_path / "none.keras"), "-n", "1"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
