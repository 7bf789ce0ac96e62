"""Run the pages in examples/ as a user does, block by block, in an empty folder.

A page has a test file of its own, so that the pages run in parallel.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(keras: Any, tmp_path: Path) -> Callable[[str], list[str]]:
    """Return `run(PAGE)`, which runs a page in `tmp_path`."""
    return lambda page: _run(EXAMPLES / page, tmp_path)


def _run(page: Path, folder: Path) -> list[str]:
    """Run the blocks of a page, consecutive Python blocks as one script, and return their outputs."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert {kind for kind, _ in blocks} <= {"python", "sh"}
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("PYTHONWARNINGS", None)
    outputs = []
    for kind, group in groupby(blocks, key=lambda block: block[0]):
        code = "\n".join(text for _, text in group)
        command = [sys.executable, "-c", code] if kind == "python" else ["bash", "-eu", "-c", code]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
        outputs.append(done.stdout)
    return outputs
