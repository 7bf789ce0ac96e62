"""The zoo is collected only where its tests run: listing the networks imports TensorFlow, which takes seconds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    deselected = "not slow" in config.getoption("markexpr")
    return deselected or importlib.util.find_spec("tensorflow") is None or None
