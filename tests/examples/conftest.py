"""The pages in examples/ are run as a user would: block by block, in an empty folder. A file a page: they take long."""

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
    """`run(PAGE)`, in `tmp_path`; skips where TensorFlow is not installed."""
    return lambda page: _run(EXAMPLES / page, tmp_path)


def _run(page: Path, folder: Path) -> list[str]:
    """The stdout of the page's blocks, python blocks that follow one another as one script."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert {kind for kind, _ in blocks} <= {"python", "sh"}
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("PYTHONWARNINGS", None)
    said = []
    for kind, group in groupby(blocks, key=lambda block: block[0]):
        code = "\n".join(text for _, text in group)
        command = [sys.executable, "-c", code] if kind == "python" else ["bash", "-eu", "-c", code]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    return said
