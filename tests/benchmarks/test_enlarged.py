from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.enlarged import RULES, enlarged, main, resized
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import preprocess

ROOT = Path(__file__).parents[2]
SPEC = InputSpec(32, 16, "HWC", 1.0, 0.0, dtype="uint8")
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)


def test_an_image_is_enlarged_with_noise() -> None:
    flat = np.full((20, 40, 3), 128, np.uint8)
    clean, noisy = (enlarged(flat, 4, noise, np.random.default_rng(0)) for noise in (0, 30))
    assert clean.shape == noisy.shape == (80, 160, 3)
    assert clean.std() < 1 < 10 < noisy.std()


@pytest.mark.parametrize(
    ("rule", "spec"),
    [("sampled", SPEC), ("reduced", replace(SPEC, reduce="area")), ("area", replace(SPEC, interpolation="area"))],
)
def test_a_rule_is_that_of_a_spec(rule: str, spec: InputSpec) -> None:
    assert rule in RULES
    large = enlarged(IMAGE, 5, 20, np.random.default_rng(0))
    assert np.array_equal(preprocess(resized([large], rule, SPEC), SPEC), preprocess([large], spec))


def test_the_table_has_a_row_for_each_noise_and_scale(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--images", str(ROOT / "samples" / "plates"), "-n", "2", "--scales", "1", "3", "--noises", "0"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert re.match(r"\| 0 \| 3 \| [12] accepted and correct, 2 correct \|", lines[-1])
