from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.models import MODELS
from edge_crnn.errors import DatasetError
from edge_crnn.model.artifact import Artifact, load

Runs = list[list[str]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tiny_artifacts: Callable[..., Path]) -> Runs:
    """The words of each `edge-crnn`, none of which runs; `verify` misses the gate."""
    runs: Runs = []

    def run(words: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        assert words[1:3] == ["-m", "edge_crnn"]
        runs.append(words[3:])
        return subprocess.CompletedProcess(words, 3 if words[3] == "verify" else 0)

    def make(model: Path, calibration: Path, folder: Path) -> tuple[dict[str, Artifact], dict[str, str]]:
        return {"int8": load(tiny_artifacts("int8"))}, {"tensorrt float16": "no GPU"}

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(report, "make_and_tell", make)
    return runs


def test_every_model_is_drawn_verified_and_measured_and_one_page_has_it_all(
    ran: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_artifacts: Callable[..., Path]
) -> None:
    assert report.main(["-o", str(tmp_path), "-n", "10"]) == 3
    names = [words[0] for words in ran]
    kinds = [2 * len(model.kinds) for model in MODELS.values()]
    assert names == [*["synth"] * kinds[0], "verify", "bench", *["synth"] * kinds[1], "verify", "bench", "report"]
    for model, words in zip(MODELS.values(), (run for run in ran if run[0] == "verify"), strict=True):
        assert words[1:3] == [str(model.path), str(tiny_artifacts("int8"))]
        drawn = {run[run.index("-o") + 1] for run in ran if run[0] == "synth"}
        shown = {words[place + 1] for place, word in enumerate(words) if word == "--labelled"}
        assert len(shown) == 2 * len(model.kinds)
        assert shown < drawn
        assert words[words.index("--images-are") + 1] == model.images_are
    read = [Path(word).name for word in ran[-1] if word.endswith(".json")]
    assert read == ["plates-verify.json", "plates-bench.json", "digits-verify.json", "digits-bench.json"]
    assert ran[-1].count("--note") == 1
    assert "Absent: tensorrt float16 (no GPU)." in ran[-1]
    commands = [line for line in capsys.readouterr().out.splitlines() if line.startswith("$ ")]
    assert len(commands) == len(ran) + len(MODELS)  # those that make the artifacts run here


def test_what_fails_ends_it(tmp_path: Path, ran: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DatasetError("no images")

    monkeypatch.setattr(report, "make_and_tell", fail)
    assert report.main(["-o", str(tmp_path), "--models", "digits"]) == 1
    assert {words[0] for words in ran} == {"synth"}


def test_a_command_that_fails_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda words, *, check: subprocess.CompletedProcess(words, 1))
    assert report.main(["-o", str(tmp_path)]) == 1


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path, ran: Runs) -> None:
    (tmp_path / "file").touch()
    assert report.main(["-o", str(tmp_path / "file")]) == 1
    assert ran == []
