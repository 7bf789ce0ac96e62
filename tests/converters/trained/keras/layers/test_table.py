"""The list of supported layers."""

from __future__ import annotations

from pathlib import Path

from converters.trained.keras.builder import LAYERS
from converters.trained.keras.layers.table import markdown

PAGE = Path(__file__).parents[5] / "docs" / "layers.md"


def test_the_page_is_up_to_date() -> None:
    """If not: python -m converters.trained.keras.layers.table > docs/layers.md."""
    assert PAGE.read_text(encoding="utf-8") == markdown()


def test_every_layer_is_listed_and_described() -> None:
    rows = [line for line in markdown().splitlines() if line.startswith("| `")]
    assert all(f"`{kind}`" in "".join(rows) for kind in LAYERS)
    assert not [row for row in rows if row.endswith("|  |")]
