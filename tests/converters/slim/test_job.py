"""`edge-crnn slim` with training: two epochs of two steps."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from converters.cli import slim as command
from converters.slim import job
from converters.slim.distil import STATE
from edge_crnn.cli.main import main
from edge_crnn.errors import OutputError
from edge_crnn.model.artifact import load_sidecar, sidecar
from edge_crnn.training.history import CURVE, LOG
from tests.converters.conftest import draw

Run = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred pictures."""
    return draw(tmp_path_factory.mktemp("slim") / "pictures", 100, 3)


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Train for two steps an epoch. Let any confidence and any training count: the tiny network was never trained."""
    training = command._training
    divergences = count(0.0, -1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "_training", lambda *words: (whole := training(*words)) and replace(whole, steps=2))
        patch.setattr(job, "CONFIDENT", 0.0)
        patch.setattr(job, "mean_weighted_divergence", lambda *_: next(divergences))
        yield


@pytest.fixture
def folder(tiny_keras: Path, tmp_path: Path) -> Path:
    """A folder with the teacher and its spec."""
    return copied(tiny_keras, tmp_path / "models")


def copied(teacher: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in (teacher, sidecar(teacher)):
        shutil.copy(path, folder)
    return folder


def words(folder: Path, pictures: Path, *more: object) -> list[str]:
    fixed = ["slim", folder / "tiny.keras", "-o", folder / "small.keras", "--images", pictures, "--to", 0.6]
    return [str(word) for word in (*fixed, "--epochs", 2, "--learning-rate", 1e-4, "--workers", 0, *more)]


def content(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def student(tiny_keras: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The student of an undisturbed run."""
    folder = copied(tiny_keras, tmp_path_factory.mktemp("straight") / "models")
    assert main(words(folder, pictures)) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "small.keras", "small.keras.json", "small.run", "tiny.keras", "tiny.keras.json",
    ]  # fmt: skip
    assert sorted(path.name for path in (folder / "small.run").iterdir()) == [CURVE, LOG]
    assert load_sidecar(folder / "small.keras").teacher is not None
    return (folder / "small.keras").read_bytes()


def test_a_run_survives_interrupts_and_a_full_disk(
    run: Run, folder: Path, pictures: Path, student: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "_show_epoch", interrupted)
        status, _, err = run(*words(folder, pictures))
    assert status == 130
    assert any("--resume" in line for line in err)
    assert not (folder / "small.keras").exists()
    before = content(folder)
    assert Path("small.run", STATE) in before

    status, _, err = run(*words(folder, pictures))
    assert (status, len(err)) == (1, 1)
    assert "small.run" in err[0]
    assert "--resume" in err[0]
    assert content(folder) == before

    def full(*_: object) -> None:
        raise OutputError(28, "no room")

    with monkeypatch.context() as patch:
        patch.setattr(job, "save_keras", full)
        status, out, err = run(*words(folder, pictures, "--resume"))
    assert (status, len(err)) == (1, 1)
    assert "no room" in err[0]
    assert out[0].startswith("epoch 2 of 2: loss ")
    assert "0 min left" in out[0]
    assert (folder / "small.run" / STATE).exists()
    assert not (folder / "small.keras").exists()

    status, out, _ = run(*words(folder, pictures, "--resume"))
    assert status == 0
    assert not any(line.startswith("epoch") for line in out)
    assert (folder / "small.keras").read_bytes() == student
    assert not (folder / "small.run" / STATE).exists()


KILLED = """
import os, signal, sys
from dataclasses import replace
from itertools import count
from converters.cli import slim as command
from converters.slim import job
from edge_crnn.cli.main import main

training = command._training
job.CONFIDENT = 0.0
command._training = lambda *words: replace(
    training(*words), steps=2, on_epoch=lambda _: os.kill(os.getpid(), signal.SIGKILL)
)
if __name__ == "__main__":
    main(sys.argv[1:])
"""


@pytest.mark.thorough
def test_a_killed_process_is_resumed_to_the_same_bytes(
    run: Run, folder: Path, pictures: Path, student: bytes, tmp_path: Path
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    command = [sys.executable, str(script), *words(folder, pictures, "--workers", 1)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert sorted(path.name for path in (folder / "small.run").iterdir()) == [CURVE, LOG, STATE]
    assert run(*words(folder, pictures, "--resume"))[0] == 0
    assert (folder / "small.keras").read_bytes() == student


def test_a_student_that_training_made_worse_is_written_untrained(
    run: Run, folder: Path, pictures: Path, student: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    divergences = iter([0.25, 0.5])
    monkeypatch.setattr(job, "mean_weighted_divergence", lambda *_: next(divergences))
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(job, "distil", lambda *arguments, **_: calls.append(arguments))
    monkeypatch.setattr(job, "_MOST_VALIDATED", 10)
    status, _, err = run(*words(folder, pictures))
    assert status == 0
    ((_, _, lessons, validation, plan, _),) = calls
    assert validation.images.shape == (len(validation.labels), *lessons.spec.shape)
    assert 5 <= len(validation.labels) <= 10
    assert plan.data["images"] == [str(pictures)]
    assert len(plan.data["fitted"]) == 64
    assert any("0.5000" in line and "0.2500" in line and "untrained" in line for line in err)
    written = (folder / "small.keras").read_bytes()
    assert run(*words(folder, pictures, "--epochs", 0))[0] == 0
    assert (folder / "small.keras").read_bytes() == written != student


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--epochs", 0, "--resume"], "--resume"),
        (["--learning-rate", 0], "learning rate 0"),
        (["--learning-rate", "nan"], "learning rate nan"),
        (["--glyphs", "{pictures}"], "--glyphs does not apply to --images"),
        (["--images", "{folder}", "--recursive"], "small.run"),
    ],
)
def test_options_that_do_not_go_together_are_one_error(
    more: list[object], expected: str, run: Run, folder: Path, pictures: Path
) -> None:
    before = content(folder)
    places = {"pictures": pictures, "folder": folder}
    status, out, err = run(*words(folder, pictures), *(str(word).format(**places) for word in more))
    assert (status, out, len(err)) == (1, [], 1)
    assert expected in err[0]
    assert content(folder) == before


def test_glyphs_do_not_apply_to_lines(run: Run, folder: Path, pictures: Path) -> None:
    status, _, err = run(
        "slim", folder / "tiny.keras", "-o", folder / "x.keras", "--draw", "lines", "--glyphs", pictures
    )
    assert (status, len(err)) == (1, 1)
    assert "--glyphs does not apply to --draw lines" in err[0]


@pytest.mark.parametrize("lacks", ["room for the run", "matplotlib", "an image"])
def test_training_that_would_fail_later_does_not_begin(
    lacks: str, run: Run, folder: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lacks == "room for the run":
        (folder / "small.run").write_text("a file")
    elif lacks == "matplotlib":
        find = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name == "matplotlib" else find(name, *rest)
        )
    else:
        pictures = Path(shutil.copytree(pictures, tmp_path / "pictures"))
        (pictures / "zzz.png").write_bytes(b"no image")  # --count 100 takes the files before it

    def slimming(*_: object) -> None:
        raise AssertionError("slimming has begun")

    monkeypatch.setattr(job, "Slimmer", slimming)
    before = content(folder)
    status, out, err = run(*words(folder, pictures, "--count", 100))
    assert (status, out, len(err)) == (1, [], 1)
    expected = {"room for the run": "small.run", "matplotlib": "edge-crnn[train]", "an image": "zzz.png"}
    assert expected[lacks] in err[0]
    assert content(folder) == before
    assert (folder / "small.run").exists() == (lacks == "room for the run")


def test_a_run_that_is_not_there_starts_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job._check_run(tmp_path / "small.keras", resume=True)
    assert "small.run: has no run to continue" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
