from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_crnn.cli.doctor import examine
from edge_crnn.cli.main import main
from edge_crnn.doctor import software
from edge_crnn.doctor.isolated import attempt_all
from edge_crnn.doctor.trials import READING, TRIALS, Trial, attempt
from edge_crnn.reader import DEFAULT_MODEL
from tests.edge_crnn.board.trees import BARE, TREES, plant
from tests.edge_crnn.doctor.stubs import ABSENT, stub

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[3]
LINES = [
    *("board", "processor", "system", "memory", "edge-crnn", "python", "numpy", "litert", "opencv", "onnxruntime"),
    *("tensorrt", "pycuda", "gpu", "reading"),
]


def test_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ai_edge_litert")
    assert main(["doctor"]) == 0
    streams = capsys.readouterr()
    assert streams.err == ""
    lines = streams.out.splitlines()
    names = [line[6:20].strip() for line in lines if line[:1].strip() and line[:6].strip() in ("ok", "warn", "-")]
    assert [name for name in names if name in LINES] == LINES
    assert lines[-1].startswith("Ready to read")
    assert "plates-int8.tflite reads 부산 77 아 9304 correctly" in streams.out


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ai_edge_litert")
    assert main(["doctor", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["version"], report["reads"], report["model"]) == (1, True, str(DEFAULT_MODEL))
    assert [check["name"] for check in report["checks"] if check["name"] in LINES] == LINES
    assert report["board"]["cpu"]["cores"] >= 1
    assert report["snapshot"]["taken_at"]


def test_with_numpy_alone(tmp_path: Path) -> None:
    for package in ABSENT:
        stub(tmp_path, package)
    blocked = f"import sys\nfor name in {ABSENT!r}: sys.modules[name] = None\n"
    code = f"{blocked}from edge_crnn.cli.main import entry\nsys.argv[1:] = ['doctor']\nentry()"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "\nfail  litert        not installed\n" in ended.stdout
    assert "pip install 'edge-crnn[litert]'\n" in ended.stdout
    assert "\nwarn  opencv        not installed: arrays can be read, files cannot\n" in ended.stdout
    assert "\n-     tensorrt      not installed\n" in ended.stdout
    assert "\nfail  reading       plates-int8.tflite needs litert: see above\n" in ended.stdout
    assert "\nCannot read here: litert, reading; " in ended.stdout


@pytest.fixture(scope="module")
def trials() -> dict[str, Trial]:
    """Return the trials of this machine."""
    return attempt_all([*TRIALS, READING], DEFAULT_MODEL)


@pytest.fixture
def _same_trials(trials: dict[str, Trial], monkeypatch: pytest.MonkeyPatch) -> None:
    """Reuse the trials of libraries, and read with a model in this process."""

    def attempted(names: list[str], model: Path) -> dict[str, Trial]:
        return {name: trials[name] if name in TRIALS else attempt(name, model) for name in names}

    monkeypatch.setattr(software, "attempt_all", attempted)


@pytest.mark.usefixtures("_same_trials")
@pytest.mark.parametrize("format_", ["text", "json"])
def test_another_model(format_: str, tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tiny_artifact), "--format", format_]) == 0
    assert f"{tiny_artifact.name} runs, about" in capsys.readouterr().out


@pytest.mark.usefixtures("_same_trials")
def test_an_onnx(tiny_onnx: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tiny_onnx())]) == 0
    assert "one image at a time" in capsys.readouterr().out


@pytest.mark.usefixtures("_same_trials")
@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_model_that_is_not_there(format_: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path / "none.tflite"), "--format", format_]) == 1
    streams = capsys.readouterr()
    assert streams.err == ""
    assert "none.tflite: cannot be read (No such file or directory)" in streams.out
    if format_ == "text":
        assert "\nCannot read here: reading" in streams.out
        assert "→ name a converted model" in streams.out
    else:
        assert json.loads(streams.out)["reads"] is False


@pytest.mark.parametrize("name", TREES)
def test_every_board(
    name: str,
    trials: dict[str, Trial],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(software, "attempt_all", lambda names, model: {name: trials[name] for name in names})
    assert examine(DEFAULT_MODEL, "text", plant(TREES[name], tmp_path)) == (trials[READING].state != "works")
    text = capsys.readouterr().out
    assert {line[:6].strip() for line in text.splitlines()[:-1]} <= {"ok", "warn", "fail", "-", ""}
    assert examine(DEFAULT_MODEL, "json", tmp_path) == (trials[READING].state != "works")
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [line[6:20].strip() for line in text.splitlines()[:-1] if line[:6].strip()] == [
        check["name"] for check in checks
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_colour", "first"), [("", "\033[32mok    \033[0mboard"), ("1", "ok    board")])
def test_on_a_terminal_there_is_colour_and_lines_fit(
    no_colour: str, first: str, trials: dict[str, Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "attempt_all", lambda names, model: {name: trials[name] for name in names})
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys, "stdout", Terminal())
    examine(DEFAULT_MODEL, "text", plant(BARE["Orin NX"], tmp_path))
    text = sys.stdout.getvalue()  # type: ignore[attr-defined]
    assert text.startswith(first)
    plain = text.replace("\033[0m", "")
    for colour in ("32", "33", "31", "2"):
        plain = plain.replace(f"\033[{colour}m", "")
    assert ("\033" in text) == (not no_colour)
    lines = [line for line in plain.splitlines() if "→" not in line and "/" not in line]
    assert max(map(len, lines)) <= 60
    assert "                    Reference Developer Kit, Tegra234 (Orin)" in lines
