"""The page on labels, held to what is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_crnn.labels import row, tables
from edge_crnn.labels.names import NamePattern

PAGE = (Path(__file__).parents[3] / "docs" / "labels.md").read_text(encoding="utf-8")
PATTERNS = re.findall(r"^\| `(.*label.*)` \| `(.*)\.\w+` \| `(.*)` \|$", PAGE, re.M)


@pytest.mark.parametrize(("pattern", "name", "label"), PATTERNS)
def test_patterns_give_the_labels_on_the_page(pattern: str, name: str, label: str) -> None:
    assert NamePattern.compile(pattern).label(name) == label


def test_it_lists_all_names() -> None:
    assert len(PATTERNS) == 5
    for name in (*tables.NAMES, *row.IMAGE_NAMES, *row.LABEL_NAMES):
        assert f"`{name}`" in PAGE
