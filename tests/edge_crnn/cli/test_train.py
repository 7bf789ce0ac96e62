"""`edge-crnn train` as a user runs it, on networks of a few filters."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from edge_crnn.cli.main import main
from edge_crnn.model.artifact import load_sidecar
from edge_crnn.training.history import CURVE, LOG
from edge_crnn.training.layouts import KINDS

SMALL = [
    "--width-factor",
    "0.03",
    "--epochs",
    "1",
    "--steps",
    "2",
    "--batch",
    "2",
    "--workers",
    "0",
    "--validation-count",
    "3",
]


def test_digits_are_drawn_and_learnt(keras: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "-o", str(tmp_path / "run"), "--architecture", "digits", "--length", "2-4", *SMALL]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("epoch 1: loss ")
    assert f"{tmp_path / 'run' / 'best.keras'}: epoch 1, " in out[1]
    assert out[1].endswith("of 3 texts right")
    spec = load_sidecar(tmp_path / "run" / "best.keras")
    assert (spec.name, "".join(spec.symbols), spec.blank) == ("digits", "0123456789", 10)
    assert (spec.input.width, spec.input.height, spec.input.axes, spec.skip_steps) == (100, 32, "WHC", 0)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("best.keras", "best.keras.json", "state.npz"),
        *(LOG, CURVE),
    }
    assert len(list(csv.DictReader((tmp_path / "run" / LOG).read_text().splitlines()))) == 1


def test_plates_learn_from_folders_and_read_for_people(keras: Any, tmp_path: Path) -> None:
    folder = tmp_path / "plates"
    assert main(["synth", "-o", str(folder), "-n", str(len(KINDS)), "--seed", "4"]) == 0
    options = ["--images", str(folder), "--validation", str(folder), "--size", "64x32"]
    assert main(["train", "-o", str(tmp_path / "run"), "--architecture", "plates", *options, *SMALL]) == 0
    spec = load_sidecar(tmp_path / "run" / "best.keras")
    assert spec.alphabet.read("A18sk6897") == "서울 18 나 6897"
    assert (spec.input.width, spec.input.height, spec.output.steps, spec.skip_steps) == (64, 32, 16, 2)


def test_a_run_is_not_overwritten(keras: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "-o", str(tmp_path), "--architecture", "digits", *SMALL]
    (tmp_path / "state.npz").write_bytes(b"a state")
    assert main(command) == 1
    assert "already has a run; continue it with --resume" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 1
    assert "not the state of a run" in capsys.readouterr().err
    assert (tmp_path / "state.npz").read_bytes() == b"a state"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--images", "nowhere", "--validation", "nowhere"], "nowhere: cannot be read"),
        (["--images", "."], "--images needs --validation DIR"),
        (["--width-factor", "9"], "width 9.0: expected a factor above 0"),
        (["--fonts", "nowhere"], "has no .ttf"),
        (["--initial", "nowhere.keras"], "nowhere.keras: Keras cannot load it"),
        (["--alphabet", "0120"], "'0'"),
    ],
)
def test_bad_options_get_one_line(
    keras: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["train", "-o", str(tmp_path), "--architecture", "digits", *SMALL, *options]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("option", [["--size", "wide"], ["--length", "many"], ["--length", "5-2"], ["--size", "0x9"]])
def test_bad_usage_exits_with_2(tmp_path: Path, option: list[str]) -> None:
    assert main(["train", "-o", str(tmp_path / "run"), "--architecture", "digits", *option]) == 2
    assert not (tmp_path / "run").exists()
