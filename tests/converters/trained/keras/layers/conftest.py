"""Marks the comparisons with Keras as slow, since they take minutes in all: `make test-slow` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

_FAST = ("test_table.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.path.name not in _FAST:
            item.add_marker(pytest.mark.slow)
