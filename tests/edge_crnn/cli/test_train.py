"""`edge-crnn train` as a user runs it, on networks of a few filters."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_crnn.cli import train, workers
from edge_crnn.cli.main import main
from edge_crnn.model.artifact import load_sidecar
from edge_crnn.training.history import CURVE, LOG
from edge_crnn.training.kinds import NEGATIVE
from edge_crnn.training.layouts import KINDS
from edge_crnn.training.plates.table import FORMS
from tests.budget import examples

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
    assert out[1].endswith("of 3 texts correct")
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
    assert main(["synth", "-o", str(folder), "-n", "5", "--seed", "4"]) == 0
    assert main(["synth", "-o", str(tmp_path / "others"), "-n", "2", "--seed", "5"]) == 0
    options = ["--images", str(folder), "--validation", str(tmp_path / "others"), "--size", "64x32"]
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
        (["--alphabet", ""], "alphabet is empty"),
        (["--learning-rate", "nan"], "learning rate nan: expected a finite number above 0"),
        (["--learning-rate", "0"], "learning rate 0.0"),
        (["--learning-rate", "-1"], "learning rate -1.0"),
        (["--learning-rate", "inf"], "learning rate inf"),
        (["--width-factor", "nan"], "width nan: expected a factor above 0"),
        (["--learning-rate", "1e38"], "lower --learning-rate"),
        (["--kind", "green"], "--kind does not apply to --what lines"),
        (["--kind", "green", "--images", ".", "--validation", "."], "--kind does not apply to --images"),
        (["--negatives", "0.1"], "--negatives does not apply to --what lines"),
        (["--leave-out", "sign"], "add --negatives"),
        (["--what", "plates", "--negatives", "0", "--leave-out", "sign"], "add --negatives"),
        (["--what", "plates", *(word for kind in NEGATIVE for word in ("--leave-out", kind))], "leave out fewer"),
    ],
)
def test_bad_options_get_one_line(
    keras: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["train", "-o", str(tmp_path), "--architecture", "digits", *SMALL, *options]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "option",
    [
        *(["--size", "wide"], ["--length", "many"], ["--length", "5-2"], ["--size", "0x9"]),
        *(["--kind", "negatives"], ["--kind", "sign"], ["--leave-out", "green"]),
        *(["--negatives", "0.91"], ["--negatives", "-0.1"], ["--negatives", "nan"]),
    ],
)
def test_bad_usage_exits_with_2(tmp_path: Path, option: list[str]) -> None:
    assert main(["train", "-o", str(tmp_path / "run"), "--architecture", "digits", *option]) == 2
    assert not (tmp_path / "run").exists()


def digits_folder(folder: Path, *labels: str, seed: int = 0) -> Path:
    """Labelled images of noise, no two of which are the same."""
    folder.mkdir()
    for place, label in enumerate(labels):
        image = np.random.default_rng((seed, place)).integers(0, 256, (32, 100), np.uint8)
        cv2.imwrite(str(folder / f"{label}.png"), image)
    return folder


@pytest.mark.parametrize(
    ("training", "validation", "message"),
    [
        (["12", "1" * 13], ["34"], "'1111111111111'"),
        (["12"], ["34", "12345678901234567890123456"], "do not fit into the 24 time steps"),
        (["12", "1x"], ["34"], "'x' 1"),
        (["12"], ["3-4"], "'-' 1"),
        (["12"], [], "no image"),
        ([], ["12"], "no image"),
    ],
    ids=["repeats", "validation too long", "unknown", "unknown in validation", "no validation image", "no image"],
)
def test_unlearnable_labels_end_the_run_before_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], training: list[str], validation: list[str], message: str
) -> None:
    """PaddleOCR#17876: training on such labels reported a loss of 0.000, wrote best.keras and exited with 0."""
    images = digits_folder(tmp_path / "a", *training), digits_folder(tmp_path / "b", *validation, seed=1)
    options = ["--images", str(images[0]), "--validation", str(images[1]), *SMALL]
    assert main(["train", "-o", str(tmp_path / "run"), "--architecture", "digits", *options]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("damaged", ["a", "b"])
def test_a_damaged_image_ends_the_run_before_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damaged: str
) -> None:
    digits_folder(tmp_path / "a", "12", "34")
    digits_folder(tmp_path / "b", "56", "78", seed=1)
    next((tmp_path / damaged).iterdir()).write_bytes(b"damaged")
    options = ["--images", str(tmp_path / "a"), "--validation", str(tmp_path / "b"), *SMALL]
    assert main(["train", "-o", str(tmp_path / "run"), "--architecture", "digits", *options]) == 1
    assert "1 of 4 images cannot be decoded" in capsys.readouterr().err


def test_an_image_in_both_sets_ends_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits_folder(tmp_path / "a", "12", "34")
    options = ["--images", str(tmp_path / "a"), "--validation", str(tmp_path / "a"), *SMALL]
    assert main(["train", "-o", str(tmp_path / "run"), "--architecture", "digits", *options]) == 1
    assert "2 validation images are also training images" in capsys.readouterr().err


@pytest.mark.tensorflow
def test_longer_lines_than_the_network_can_write_are_not_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "-o", str(tmp_path / "run"), "--architecture", "digits", *SMALL, "--length", "1-23"]
    assert main(command) == 1
    assert "a line of 23 letters takes 25 time steps" in capsys.readouterr().err


def test_another_alphabet_is_learnt_from_a_trained_model(
    keras: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """crnn.pytorch#23: fine-tuning to another alphabet was refused, since the last layer has another shape."""
    command = ["train", "--architecture", "digits", "--length", "2-4", *SMALL]
    assert main([*command, "-o", str(tmp_path / "old")]) == 0
    capsys.readouterr()
    initial = ["--initial", str(tmp_path / "old" / "best.keras"), "--alphabet", "0123456789ABC"]
    assert main([*command, "-o", str(tmp_path / "new"), *initial]) == 0
    err = capsys.readouterr().err
    assert "10 symbols in both alphabets (0123456789); new are 3 symbols (ABC)" in err
    assert load_sidecar(tmp_path / "new" / "best.keras").symbols == tuple("0123456789ABC")


def test_the_alphabet_is_in_the_form_of_labels(keras: Any, tmp_path: Path) -> None:
    images = digits_folder(tmp_path / "a", "é1"), digits_folder(tmp_path / "b", "1é", seed=1)
    options = ["--alphabet", "1e\u0301", "--images", str(images[0]), "--validation", str(images[1]), *SMALL]
    assert main(["train", "-o", str(tmp_path / "run"), "--architecture", "digits", *options]) == 0
    assert load_sidecar(tmp_path / "run" / "best.keras").symbols == ("1", "é")


VALUES = st.one_of(
    st.text(max_size=8),
    st.integers().map(str),
    st.floats().map(str),
    st.tuples(st.integers(), st.sampled_from("x-"), st.integers()).map(lambda parts: "{}{}{}".format(*parts)),
)
OPTIONS = (
    *("--width-factor", "--rnn", "--alphabet", "--size", "--validation-count", "--what", "--preset", "--font-split"),
    *("--held-out", "--length", "--epochs", "--steps", "--batch", "--optimiser", "--learning-rate", "--precision"),
    *("--patience", "--seed", "--workers", "--label-pattern", "--fold-case", "--labels", "--initial", "--images"),
    *("--kind", "--negatives", "--leave-out"),
)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(OPTIONS), VALUES)
def test_no_value_of_an_option_gives_another_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    nowhere = str(tmp_path / "nowhere")
    command = ["train", "-o", str(tmp_path / "run"), "--architecture", "digits"]
    assert main([*command, "--images", nowhere, "--validation", nowhere, f"{option}={value}"]) in (1, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_the_workers_are_those_that_cores_and_memory_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "usable_helpers", lambda: 7)
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    assert parser.parse_args(["-o", "run", "--architecture", "digits"]).workers == 7


def arguments(*options: str) -> argparse.Namespace:
    """Parse options of a run with as little work as possible."""
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return parser.parse_args(["-o", "run", *options, *SMALL])


def test_rendered_plates_are_of_all_forms_with_negatives_among_them() -> None:
    args = arguments("--architecture", "plates")
    data = train._data(args)
    assert data["kinds"] == tuple(FORMS)
    assert data["negatives"] == {"share": 0.12, "kinds": NEGATIVE}
    source, validation = train._images(args, train._spec(args))
    labels = [source.sample(index)[1] for index in range(50)]
    assert labels.count("") == 6
    assert source.longest == 10
    assert len(validation.labels) == 3


def test_forms_and_negatives_are_those_that_are_chosen() -> None:
    kinds = ["--kind", "first-five", "--kind", "white-long"]
    left_out = ["--leave-out", "sign", "--leave-out", "tiny"]
    args = arguments("--architecture", "plates", *kinds, "--negatives", "0.5", *left_out, "--preset", "mild")
    data = train._data(args)
    assert data["kinds"] == (*KINDS, "white-long")
    assert data["negatives"]["kinds"] == tuple(kind for kind in NEGATIVE if kind not in ("sign", "tiny"))
    source, validation = train._images(args, train._spec(args))
    assert validation.labels[1::2] == ("",)
    assert [bool(source.sample(index)[1]) for index in range(6)] == [True, False] * 3
    assert source.sample(2)[0].shape != source.sample(0)[0].shape


@pytest.mark.parametrize("options", [["--architecture", "digits"], ["--architecture", "plates", "--images", "a"]])
def test_others_have_no_negatives_and_the_record_that_they_have_always_had(options: list[str]) -> None:
    assert set(train._data(arguments(*options))) <= {
        *("what", "length", "presets", "fonts", "font_split", "held_out", "glyphs", "images"),
    }


def test_negatives_are_mixed_into_labelled_images(keras: Any, tmp_path: Path) -> None:
    images = digits_folder(tmp_path / "a", "12", "34"), digits_folder(tmp_path / "b", "56", seed=1)
    options = ["--images", str(images[0]), "--validation", str(images[1]), "--negatives", "0.5", *SMALL]
    assert main(["train", "-o", str(tmp_path / "run"), "--architecture", "digits", *options]) == 0
    assert (tmp_path / "run" / "best.keras").exists()
