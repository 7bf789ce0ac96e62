from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from edge_crnn.folders import Skipped
from edge_crnn.serve.arrivals import Arrivals
from edge_crnn.serve.reports import Reports


def reports() -> tuple[SimpleNamespace, Reports, list[str]]:
    arrivals = SimpleNamespace(folder=Path("in"), unavailable={}, skipped=Skipped())
    messages: list[str] = []
    return arrivals, Reports(cast(Arrivals, arrivals), messages.append), messages


def test_what_is_not_available_is_said_once_until_it_has_been_available() -> None:
    arrivals, report, messages = reports()
    report.tell()
    assert messages == []
    arrivals.unavailable = {"a.png": "Permission denied", "b.png": "Permission denied", "c": "Input/output error"}
    report.tell()
    report.tell()
    assert messages == ["in/a.png (and 2 others): cannot be read yet (Permission denied); waiting for it"]
    arrivals.unavailable = {"b.png": "Permission denied", "d.png": "Stale file handle"}
    report.tell()
    assert messages[1:] == ["in/d.png: cannot be read yet (Stale file handle); waiting for it"]
    arrivals.unavailable = {}
    report.tell()
    arrivals.unavailable = {"b.png": "Permission denied"}
    report.tell()
    assert messages[2:] == ["in/b.png: cannot be read yet (Permission denied); waiting for it"]


def test_a_kind_is_said_once() -> None:
    arrivals, report, messages = reports()
    arrivals.skipped = Skipped(Counter({".txt": 1}))
    report.tell()
    arrivals.skipped = Skipped(Counter({".txt": 2}))
    report.tell()
    assert len(messages) == 1
    arrivals.skipped = Skipped(Counter({".txt": 2}), subfolders=1)
    report.tell()
    assert len(messages) == 2
    assert messages[1].startswith("in: ")
    assert "1 subfolder" in messages[1]
