"""The fast run leaves out what is marked, and fails where a test imports TensorFlow or takes long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TESTS = """
import time
import pytest
from tests import fast

fast.LIMIT_SECONDS = 0.1

def test_light(): pass

def test_import():
    import tensorflow

def test_of_long_computation():
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass

def test_with_keras(keras): pass

@pytest.mark.tensorflow
def test_with_tensorflow(): pass

@pytest.mark.thorough
def test_all_of_it(): pass
"""


@pytest.mark.thorough
def test_it_leaves_out_marked_tests_and_fails_the_others_that_are_not_fast(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", "-p", "no:cacheprovider", "-p", "no:xdist"]
    plugins = ["-p", "no:benchmark", "-p", "tests.conftest", "-p", "tests.fast"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, *plugins, tmp_path], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert "2 failed, 1 passed, 3 deselected" in done.stdout, done.stdout + done.stderr
    for name in ("test_import", "test_of_long_computation"):
        assert f"::{name}" in done.stdout
    assert "mark it `thorough`" in done.stdout
    assert "marked `tensorflow`" in done.stdout
