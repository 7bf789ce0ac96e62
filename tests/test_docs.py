"""What the pages in docs/ say is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("h5py", reason="h5py comes with edge-crnn[convert]")

from converters.trained.keras.lambdas import VOCABULARY

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_on_lambdas_lists_the_vocabulary() -> None:
    page = (DOCS / "what_a_file_cannot_say.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert [words.replace("…", "...") for words in listed] == list(VOCABULARY)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not target.startswith("http") and not (DOCS / target).exists()] == []
