"""Checks that every page must pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_crnn.model.artifact import load
from edge_crnn.model.spec import ModelSpec

LEAST_RIGHT = 0.9
"""The share of images that a trained network must read correctly; with a wrong convention it reads far fewer."""
LEAST_RIGHT_SHOWN = 3
"""The least number of correct readings among the five that a page shows."""


def check_artifact(path: Path) -> ModelSpec:
    """Check that an artifact passed the gate on 2,000 images that the network reads, and return its spec."""
    spec = load(path).spec
    assert spec.artifact is not None
    assert spec.artifact.recipe == "int8"
    assert spec.parity is not None
    assert (spec.parity.verdict, spec.parity.images) == ("pass", 2000)
    assert spec.parity.sets[0].reference_right >= LEAST_RIGHT * 2000
    return spec


def check_readings(output: str, folder: Path, within: str, text_of: Callable[[Path], str]) -> None:
    """Check that a page shows the texts of the first five images.

    Args:
        output: the output of the page's commands, with lines of path, text and confidence.
        folder: the folder in which the page ran.
        within: the folder of the images, as the page names it.
        text_of: returns the text in an image.
    """
    rows = [line.split("\t") for line in output.splitlines() if line.count("\t") == 2]
    paths = [folder / path for path, _, _ in rows]
    assert paths == sorted((folder / within).iterdir())[:5]
    assert sum(text == text_of(path) for path, (_, text, _) in zip(paths, rows, strict=True)) >= LEAST_RIGHT_SHOWN
