from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.cli import synth
from edge_crnn.errors import DatasetError, OutputError
from edge_crnn.training.synthetic import generate


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
    assert streams.out == f"{folder}: 6 plates, preset heavy, seed 3\n"
    assert streams.err == ""


def test_one_kind_as_jpeg_numbered_from_start(tmp_path: Path):
    command("-o", tmp_path, "-n", 2, "--start", 8, "--kind", "green", "--format", "jpg", "--unlabelled")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["000008.jpg", "000009.jpg"]


def test_a_folder_with_files_is_refused_unless_added_to(tmp_path: Path):
    command("-o", tmp_path, "-n", 2, "--seed", 1)
    with pytest.raises(OutputError, match="has files already: choose an empty folder, or add to it with --add"):
        command("-o", tmp_path, "-n", 2, "--seed", 2)
    command("-o", tmp_path, "-n", 2, "--seed", 2, "--add")
    assert len(list(tmp_path.iterdir())) == 4


def test_adding_replaces_nothing(tmp_path: Path):
    command("-o", tmp_path, "-n", 2, "--seed", 1)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="is there already: choose another --seed or --start"):
        command("-o", tmp_path, "-n", 3, "--seed", 1, "--preset", "heavy", "--add")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        command("-o", tmp_path / "file" / "plates", "-n", 1)


def test_bad_fonts_leave_no_folder_behind(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"has no \.ttf"):
        command("-o", tmp_path / "plates", "--fonts", tmp_path)
    assert not (tmp_path / "plates").exists()


@pytest.mark.parametrize(
    "words", [("-n", "0"), ("--seed", "-1"), ("--kind", "blue"), ("--fonts", "a", "--glyphs", "b")]
)
def test_bad_usage_exits_with_2(tmp_path: Path, words: tuple[str, ...]):
    with pytest.raises(SystemExit) as exit_:
        command("-o", tmp_path, *words)
    assert exit_.value.code == 2


def test_importing_the_command_loads_no_image_library():
    code = "import sys, edge_crnn.cli.synth; assert not {'PIL', 'cv2', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
