from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.alphabet import PLATES_2019, Alphabet
from edge_crnn.cli import synth
from edge_crnn.dataset import load_labelled
from edge_crnn.errors import DatasetError, InputError, OutputError
from edge_crnn.training.fonts import find_fonts
from edge_crnn.training.kinds import NEGATIVE
from edge_crnn.training.layouts import KINDS, label_at
from edge_crnn.training.lines import LineRenderer, generate_lines
from edge_crnn.training.negatives import NegativeRenderer, generate_negatives
from edge_crnn.training.synthetic import Renderer, generate


def command(*words: object) -> int:
    parser = argparse.ArgumentParser()
    synth.add_arguments(parser)
    return synth.run(parser.parse_args([str(word) for word in words]))


def test_files_are_named_by_label_and_hold_the_plates(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "new" / "plates"
    assert command("-o", folder, "-n", 6, "--seed", 3, "--preset", "heavy") == 0
    expected = {f"{plate.label}.png": plate.image for plate in generate(6, 3, "heavy")}
    assert {file.name for file in folder.iterdir()} == set(expected)
    for name, image in expected.items():
        np.testing.assert_array_equal(cv2.imread(str(folder / name)), image)
    streams = capsys.readouterr()
    assert f"{folder}: 6 plates, preset heavy, seed 3\n" in streams.out
    assert streams.err == ""


def test_the_first_five_kinds_are_drawn_as_ever(tmp_path: Path):
    command("-o", tmp_path, "-n", 6, "--seed", 3, "--preset", "heavy", "--kind", "first-five")
    expected = {f"{plate.label}.png": plate.image for plate in generate(6, 3, "heavy", renderer=Renderer(kinds=KINDS))}
    assert {file.name for file in tmp_path.iterdir()} == set(expected)
    for name, image in expected.items():
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / name)), image)


def test_negatives_are_numbered_and_have_no_labels(tmp_path: Path):
    command(
        "-o", tmp_path / "all", "-n", len(NEGATIVE), "--seed", 3, "--kind", "negatives", "--sheet", tmp_path / "s.png"
    )
    for index, plate in enumerate(
        generate_negatives(len(NEGATIVE), 3, "mild", renderer=NegativeRenderer(find_fonts()))
    ):
        saved = cv2.imread(str(tmp_path / "all" / f"{index:06d}.png"))
        assert saved is not None
        np.testing.assert_array_equal(saved, plate.image)
    assert len(list((tmp_path / "all").iterdir())) == len(NEGATIVE)
    command("-o", tmp_path / "signs", "-n", 2, "--kind", "sign")
    assert sorted(file.name for file in (tmp_path / "signs").iterdir()) == ["000000.png", "000001.png"]


def test_fonts_draw_the_glyphs_that_a_folder_lacks(tmp_path: Path):
    (tmp_path / "glyphs").mkdir()
    with pytest.raises(DatasetError, match=r"missing: .* add fonts"):
        command("-o", tmp_path / "new", "--glyphs", tmp_path / "glyphs")
    assert not (tmp_path / "new").exists()
    fonts = find_fonts()[0].parent
    command("-o", tmp_path / "new", "-n", 2, "--glyphs", tmp_path / "glyphs", "--fonts", fonts, "--font-split", "all")
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_one_kind_as_jpeg_numbered_from_start(tmp_path: Path):
    command("-o", tmp_path, "-n", 2, "--start", 8, "--kind", "green", "--format", "jpg", "--unlabelled")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["000008.jpg", "000009.jpg"]


def test_a_folder_with_files_is_refused_unless_added_to(tmp_path: Path):
    command("-o", tmp_path, "-n", 2, "--seed", 1)
    with pytest.raises(OutputError, match="already has files; choose an empty folder"):
        command("-o", tmp_path, "-n", 2, "--seed", 2)
    command("-o", tmp_path, "-n", 2, "--seed", 2, "--add")
    assert len(list(tmp_path.iterdir())) == 4


def test_adding_replaces_nothing(tmp_path: Path):
    command("-o", tmp_path, "-n", 2, "--seed", 1)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="already exists; choose another --seed"):
        command("-o", tmp_path, "-n", 3, "--seed", 1, "--preset", "heavy", "--add")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_folder_that_cannot_be_created_is_one_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        command("-o", tmp_path / "file" / "plates", "-n", 1)


def test_bad_fonts_leave_no_folder_behind(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"has no \.ttf"):
        command("-o", tmp_path / "plates", "--fonts", tmp_path)
    assert not (tmp_path / "plates").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("-n", "0"),
        ("--seed", "-1"),
        ("--kind", "blue"),
        ("--length", "4-3"),
        ("--length", "0-3"),
        ("--workers", "0"),
        ("--held-out", "2"),
    ],
)
def test_bad_usage_exits_with_2(tmp_path: Path, words: tuple[str, ...]):
    with pytest.raises(SystemExit) as exit_:
        command("-o", tmp_path, *words)
    assert exit_.value.code == 2


def test_importing_the_command_loads_no_image_library():
    code = "import sys, edge_crnn.cli.synth; assert not {'PIL', 'cv2', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lines_have_their_labels_in_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    letters = '",;0é'
    folder = tmp_path / "lines"
    command("-o", folder, "--what", "lines", "-n", 9, "--seed", 2, "--alphabet", letters, "--length", "2-4")
    assert f"{folder}: 9 lines, preset mild, seed 2\n" in capsys.readouterr().out
    expected = list(generate_lines(9, 2, renderer=LineRenderer(alphabet=letters, length=(2, 4))))
    dataset = load_labelled(folder, Alphabet(tuple(letters), 5))
    assert [entry.path.name for entry in dataset] == [f"{index:06d}.png" for index in range(9)]
    assert [entry.label for entry in dataset] == [line.label for line in expected]
    for entry, line in zip(dataset, expected, strict=True):
        np.testing.assert_array_equal(entry.load(), line.image)


def test_lines_added_to_lines_extend_the_table(tmp_path: Path):
    command("-o", tmp_path, "--what", "lines", "-n", 2)
    command("-o", tmp_path, "--what", "lines", "-n", 2, "--start", 2, "--add", "--format", "jpg", "--length", "3")
    dataset = load_labelled(tmp_path, Alphabet(tuple("0123456789"), 10))
    assert [entry.path.name for entry in dataset] == ["000000.png", "000001.png", "000002.jpg", "000003.jpg"]
    assert [len(entry.label) for entry in dataset][2:] == [3, 3]


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ((), ("--what", "lines"), "has labels in file names, but"),
        (("--what", "lines"), (), "has labels in labels.csv, but"),
    ],
)
def test_one_folder_has_its_labels_in_one_place(tmp_path: Path, first: tuple[str], then: tuple[str], message: str):
    command("-o", tmp_path, "-n", 1, *first)
    with pytest.raises(OutputError, match=message):
        command("-o", tmp_path, "-n", 1, "--seed", 1, "--add", *then)


def test_unlabelled_lines_have_no_table(tmp_path: Path):
    command("-o", tmp_path, "--what", "lines", "-n", 2, "--unlabelled")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["000000.png", "000001.png"]


def test_plates_of_2019(tmp_path: Path):
    command("-o", tmp_path, "--what", "plates-2019", "-n", 5)
    dataset = load_labelled(tmp_path, PLATES_2019)
    assert {entry.path.stem for entry in dataset} == {label_at(0, index, "long-white-2019") for index in range(5)}


@pytest.mark.parametrize("kind", ["plates", "plates-2019", "lines"])
def test_a_sheet_shows_the_first_hundred(tmp_path: Path, kind: str):
    command("-o", tmp_path / "pictures", "--what", kind, "-n", 12, "--preset", "none", "--sheet", tmp_path / "s.png")
    sheet = cv2.imread(str(tmp_path / "s.png"))
    assert sheet is not None
    assert sheet.shape[1] > 2000
    assert (sheet < 128).any()


@pytest.mark.parametrize(
    ("sheet", "message"),
    [("s.jpg", "the sheet must end in .png"), ("pictures/s.png", "mistaken for one of the images")],
)
def test_a_sheet_in_the_wrong_place_is_refused(tmp_path: Path, sheet: str, message: str):
    with pytest.raises(OutputError, match=message):
        command("-o", tmp_path / "pictures", "-n", 1, "--sheet", tmp_path / sheet)
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--alphabet", "01"),
        ("--length", "4"),
        ("--what", "lines", "--kind", "green"),
        ("--what", "lines", "--glyphs", "."),
        ("--what", "plates-2019", "--kind", "green"),
        ("--glyphs", ".", "--font-split", "train"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path: Path, words: tuple[str, ...]):
    with pytest.raises(InputError, match="leave out one of them"):
        command("-o", tmp_path / "new", *words)
    assert not (tmp_path / "new").exists()


def test_fonts_are_split_by_family(tmp_path: Path):
    split = "--what", "lines", "-n", 40, "--preset", "none", "--held-out", 0.5
    for side in ("train", "test"):
        command("-o", tmp_path / side, *split, "--font-split", side)
    train, test = ({file.read_bytes() for file in (tmp_path / side).glob("*.png")} for side in ("train", "test"))
    assert not train & test


@pytest.mark.thorough
def test_an_interrupt_ends_all_processes_and_leaves_nothing(tmp_path: Path):
    words = ["synth", "-o", str(tmp_path / "new"), "-n", "100000", "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_crnn", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for _ in range(600):
        if list((tmp_path / "new").glob(".synth.*/*.png")):
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "edge-crnn synth: interrupted\n")
    assert list((tmp_path / "new").iterdir()) == []
