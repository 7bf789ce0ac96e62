"""Emulated boards: an aarch64 Debian, QEMU as a processor, and the built wheel with the wheels that pip finds for it.

Tests that cannot run here, such as without a network or Linux on x86-64, are skipped and listed at the end of the run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from packaging.requirements import Requirement

from benchmarks.peers.source import Source
from converters.recipe import RECIPES
from converters.tflite.writer import pack
from edge_crnn.model.artifact import load
from edge_crnn.reader import DEFAULT_MODEL

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CACHE = Path(os.environ.get("EDGE_CRNN_ARM_CACHE", ROOT / "build" / "arm")).absolute()

OURS = f"/opt/{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
"""The folder in a root for the files of this process, since others may use the root at the same time."""

_UNAVAILABLE = 69
_END_OF_STACK = b"dense1"
"""The last int8 tensor of the shipped artifact: the output of its convolutions and the input of its LSTMs."""


@dataclass(frozen=True)
class Board:
    """A root, its site-packages, and the processor that emulates it."""

    root: Path
    site: str
    cpu: str

    @property
    def ours(self) -> Path:
        """`OURS` as a path on this machine."""
        return self.root / OURS.removeprefix("/")

    def python(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `python3 WORDS…` on the board, in the project's folder but with the packages of the wheel."""
        path = f"PYTHONPATH={OURS}:{self.site}"
        # Under emulation, the idle threads of OpenBLAS never come to rest.
        settings = [path, "PYTHONSAFEPATH=1", "OPENBLAS_NUM_THREADS=1"]
        command: list[str | Path] = [HERE / "run", self.root, self.cpu, *settings, "python3", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the project's wheel from a copy, since setuptools leaves files behind that end up in the next wheel."""
    pytest.importorskip("setuptools", "77", reason="the wheel is built by setuptools 77 or later")
    copy = tmp_path_factory.mktemp("tree")
    for name in ("edge_crnn", "converters"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    _run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        copy / "built",
        copy,
    )
    (built,) = (copy / "built").iterdir()
    return built


@pytest.fixture(scope="session")
def board(wheel: Path) -> Callable[[str, str, str], Board]:
    """Return `board(suite, cpu, numpy)`; numpy is a requirement such as `numpy==1.24.2`, or empty for the newest."""

    def make(suite: str, cpu: str, numpy: str) -> Board:
        site = numpy or "newest"
        new = Board(CACHE / suite, f"/opt/{site}", cpu)
        _run(HERE / "root.sh", suite, new.root)
        shutil.rmtree(new.ours, ignore_errors=True)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(new.ours)
        (metadata,) = new.ours.glob("*.dist-info")
        _run(HERE / "site.sh", new.root, site, *_requirements(Distribution.at(metadata)), *filter(None, [numpy]))
        return new

    return make


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes an artifact by its name.

    `int8` is the shipped one, `stack` the same with the end of its convolutions as an output; the others are recipes.
    """
    work = tmp_path_factory.mktemp("artifacts")
    source = Source(ROOT / "models" / "plates.keras", ROOT / "samples" / "calibration", work)

    def make(name: str) -> Path:
        path = work / f"{name}.tflite"
        if path.exists():
            return path
        if name == "int8":
            shutil.copy(DEFAULT_MODEL, path)
        elif name == "stack":
            model = schema.ModelT.InitFromPackedBuf(load(DEFAULT_MODEL).payload, 0)
            main = model.subgraphs[0]
            (end,) = (index for index, tensor in enumerate(main.tensors) if tensor.name == _END_OF_STACK)
            main.outputs = [*map(int, main.outputs), end]
            path.write_bytes(pack(model))
        else:
            source.artifact(RECIPES[name])
        return path

    return make


def _requirements(metadata: Distribution) -> list[str]:
    """Return the requirements of the wheel with its extras litert and opencv."""
    requirements = [Requirement(line) for line in metadata.requires or []]
    extras = ({"extra": extra} for extra in ("", "litert", "opencv"))
    chosen = [
        requirement
        for extra in extras
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(extra)
    ]
    return list(dict.fromkeys(f"{requirement.name}{requirement.specifier}" for requirement in chosen))


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        command, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, check=False
    )
    if done.returncode == _UNAVAILABLE:
        pytest.skip(" ".join(done.stderr.strip().splitlines()[-3:]))
    assert done.returncode == 0, done.stderr


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the measurements and, in red, the skipped tests."""
    stats: Mapping[str, list[pytest.TestReport]] = terminalreporter.stats
    texts = [text for report in stats.get("passed", []) for name, text in report.user_properties if name == "arm"]
    for text in map(str, texts):
        terminalreporter.write_line(text)
    for report in stats.get("skipped", []):
        if "tests/arm/" in report.nodeid and "test_scripts" not in report.nodeid:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            terminalreporter.write_line(f"NOT TESTED ON ARM: {report.nodeid}: {reason}", red=True, bold=True)
