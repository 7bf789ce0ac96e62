from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.cli.main import main
from edge_crnn.model.artifact import load, save
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess.function import load_function
from edge_crnn.reader import DEFAULT_MODEL, open_reader


@pytest.fixture
def read(tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str], str]]:
    """Runs `edge-crnn read` with the tiny model: exit status, lines of stdout, stderr."""

    def run(*words: object, model: Path = tiny_artifact) -> tuple[int, list[str], str]:
        status = main(["read", "--model", str(model), *map(str, words)])
        streams = capsys.readouterr()
        return status, streams.out.splitlines(), streams.err

    return run


Read = Callable[..., tuple[int, list[str], str]]


def png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


@pytest.fixture
def folder(tiny_pictures: list[np.ndarray], tmp_path: Path) -> Path:
    folder = tmp_path / "plates"
    folder.mkdir()
    for index, picture in enumerate(tiny_pictures):
        (folder / f"{index}.png").write_bytes(png(picture))
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_text_for_people(folder: Path, tiny_labels: list[str], read: Read, workers: int) -> None:
    status, lines, said = read(folder, "--workers", workers)
    assert (status, said) == (0, "")
    for index, (line, label) in enumerate(zip(lines, tiny_labels, strict=True)):
        path, text, confidence = line.split("\t")
        assert (path, text) == (f"{folder}/{index}.png", label)
        assert 0 < float(confidence) <= 1


def test_json_lines_for_programs(
    folder: Path, tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str], read: Read
) -> None:
    status, lines, said = read(folder, "--format", "jsonl", "--n-best", 3)
    assert (status, said) == (0, "")
    readings = [json.loads(line) for line in lines]
    assert [each["image"] for each in readings] == [f"{folder}/{index}.png" for index in range(len(tiny_labels))]
    with open_reader(tiny_artifact, n_best=3) as reader:
        for found, expected in zip(readings, reader.read_batch(tiny_pictures), strict=True):
            assert (found["text"], found["label"]) == (expected.text, expected.label)
            assert found["confidence"] == expected.confidence
            assert found["accepted"] is expected.accepted
            assert [each["confidence"] for each in found["characters"]] == [
                each.confidence for each in expected.characters
            ]
            assert [each["label"] for each in found["alternatives"]] == [each.label for each in expected.alternatives]


def test_files_and_folders_in_the_order_given(folder: Path, tiny_labels: list[str], read: Read) -> None:
    (folder / "notes.txt").write_text("no image")
    status, lines, _ = read(folder / "5.png", folder, folder / "5.png")
    assert status == 0
    assert [line.split("\t")[1] for line in lines] == [tiny_labels[5], *tiny_labels, tiny_labels[5]]


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_a_bad_file_among_good_ones(folder: Path, tiny_labels: list[str], read: Read, form: str) -> None:
    (folder / "3 bad.jpg").write_bytes(b"no picture\nat all")
    status, lines, said = read(folder, "--format", form)
    assert status == 1
    if form == "jsonl":
        assert said.startswith(f"edge-crnn read: 1 of 9 images could not be read; {folder}/3 bad.jpg: 17 bytes that")
        assert said.count("\n") == 1
        assert len(lines) == 9
        bad = lines.pop(next(index for index, line in enumerate(lines) if "3 bad.jpg" in line))
        error = json.loads(bad)
        assert error.pop("error").startswith(f"{folder}/3 bad.jpg: ")
        assert error == {"image": f"{folder}/3 bad.jpg", "text": None, "label": None, "confidence": None}
        assert [json.loads(line)["label"] for line in lines] == tiny_labels
    else:
        first, second = said.splitlines()
        assert first.startswith(f"edge-crnn read: {folder}/3 bad.jpg: 17 bytes that")
        assert second == "edge-crnn read: 1 of 9 images could not be read"
        assert [line.split("\t")[1] for line in lines] == tiny_labels


def test_a_missing_file_among_good_ones(folder: Path, tiny_labels: list[str], read: Read) -> None:
    long = folder / ("x" * 300 + ".png")
    status, lines, said = read(folder / "0.png", folder / "none.png", long, folder / "1.png", Path("/dev/null"))
    assert status == 1
    assert [line.split("\t")[1] for line in lines] == [tiny_labels[0], tiny_labels[1]]
    missing, too_long, device, count = said.splitlines()
    assert missing.startswith(f"edge-crnn read: {folder}/none.png: cannot be read (No such file or directory)")
    assert "File name too long" in too_long
    assert "/dev/null: found a folder or a device" in device
    assert count == "edge-crnn read: 3 of 5 images could not be read"


EXPECTED = {
    "no model": (lambda folder: [], "none.tflite", r"none.tflite: cannot be read (No such file or directory)"),
    "empty folder": (lambda folder: [folder / "empty"], "", "/empty: no image among 0 files"),
    "an empty one among others": (lambda folder: [folder, folder / "empty"], "", "/empty: no image among 0 files"),
    "a model without a spec": (lambda folder: [], "bare.tflite", "convert the trained model with `edge-crnn convert`"),
    "an image for a model": (
        lambda folder: [],
        "plates/0.png",
        "found '.png', expected .tflite, .onnx, .engine; name a converted model",
    ),
}


@pytest.mark.parametrize(("words", "model", "message"), EXPECTED.values(), ids=EXPECTED)
def test_expected_failures_are_one_line(
    folder: Path, tiny_artifact: Path, read: Read, words: Callable[[Path], list[object]], model: str, message: str
) -> None:
    (folder / "empty").mkdir()
    (folder.parent / "bare.tflite").write_bytes(load(tiny_artifact).payload)
    status, lines, said = read(*(words(folder) or [folder]), model=folder.parent / model if model else tiny_artifact)
    assert (status, lines) == (1, [])
    assert said.startswith("edge-crnn read: ")
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "rejected"), [([], 0), (["--min-confidence", "0"], 0), (["--min-confidence", "1"], 8)]
)
def test_rejected_readings_are_marked(folder: Path, read: Read, words: list[str], rejected: int) -> None:
    status, lines, _ = read(folder, *words)
    assert status == 0
    assert sum(line.endswith("\trejected") for line in lines) == rejected


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["--min-confidence", "1"],
            "(confidence below 1.0000); --min-confidence sets another threshold, and 0 accepts all",
        ),
        (["--grammar", "x?", "--decoder", "greedy"], "(no match with the grammar)"),
        (["--min-confidence", "0"], ""),
    ],
)
def test_a_terminal_is_told_of_rejected_readings(
    folder: Path, read: Read, monkeypatch: pytest.MonkeyPatch, words: list[str], reason: str
) -> None:
    words = [word.replace("x", "0") for word in words]
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    (folder / "bad.jpg").write_bytes(b"no picture")
    assert read(folder, *words)[0] == 1
    told = [line for line in terminal.getvalue().splitlines() if "rejected" in line]
    assert told == ([f"edge-crnn read: 8 of 8 readings are marked as rejected {reason}"] if reason else [])


def test_the_help_tells_of_rejection(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    limit = load(DEFAULT_MODEL).spec.decoder.reject_below
    rejected = re.search(r"rejects below (\S+), which marks (\d+) of the 500 sample plates", said)
    assert rejected is not None
    assert float(rejected[1]) == pytest.approx(limit, abs=5e-5)
    with open_reader() as reader:
        readings = reader.read_batch(sorted((Path(__file__).parents[3] / "samples" / "plates").glob("*.jpg")))
    assert (sum(not reading.accepted for reading in readings), len(readings)) == (int(rejected[2]), 500)
    assert "To accept all readings, add --min-confidence 0" in said


@pytest.mark.parametrize("name", ["plates", None])
def test_a_model_by_its_name(name: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    sample = Path(__file__).parents[3] / "samples" / "plates" / "A04ak8687.jpg"
    words = [] if name is None else ["--model", name]
    assert main(["read", *words, str(sample)]) == 0
    assert capsys.readouterr().out.startswith(f"{sample}\t서울 04 마 8687\t")
    assert main(["read", "--model", "digits", str(sample)]) == 1
    assert "'digits' is not part of this installation" in capsys.readouterr().err


def test_what_the_user_says_of_the_decoder_reaches_it(
    folder: Path, read: Read, monkeypatch: pytest.MonkeyPatch, tiny_artifact: Path
) -> None:
    made = []

    def opened(artifact: object, **options: object) -> object:
        reader = open_reader(artifact, **options)  # type: ignore[arg-type]
        made.append(reader.spec.decoder)
        return reader

    monkeypatch.setattr("edge_crnn.cli.reader.open_reader", opened)
    for words in (
        ["--decoder", "beam", "--beam-width", "3"],
        ["--n-best", "20"],
        ["--min-confidence", "0.5"],
        [],
        ["--grammar", ".*"],
    ):
        assert read(folder / "0.png", *words)[0] == 0
    own = load(tiny_artifact).spec.decoder
    assert [(each.method, each.beam_width, each.reject_below, each.grammar) for each in made] == [
        ("beam", 3, own.reject_below, None),
        ("beam", 20, own.reject_below, None),
        ("greedy", own.beam_width, 0.5, None),
        ("greedy", own.beam_width, own.reject_below, None),
        ("beam", own.beam_width, own.reject_below, ".*"),
    ]


def test_a_grammar_on_the_command_line_is_searched(folder: Path, tiny_labels: list[str], read: Read) -> None:
    label = tiny_labels[0]
    others = "".join(sorted(set("".join(tiny_labels)) - {label[0]}))
    words = ["--format", "jsonl", "--grammar", f"[{others}].{{{len(label) - 1}}}"]
    status, lines, _ = read(folder / "0.png", *words)
    found = json.loads(lines[0])
    assert status == 0
    assert found["label"][0] in others
    assert len(found["label"]) == len(label)
    assert found["accepted"] is True
    status, lines, _ = read(folder / "0.png", *words, "--decoder", "greedy")
    found = json.loads(lines[0])
    assert (status, found["label"], found["accepted"]) == (0, label, False)
    status, lines, said = read(folder / "0.png", "--grammar", "(?=a)b")
    assert (status, lines) == (1, [])
    assert "grammar '(?=a)b' has a look-ahead at position 0" in said
    assert said.count("\n") == 1


NAMES = [
    "서울 12가 3456.png",
    unicodedata.normalize("NFD", "부산 34나 5678.png"),
    " leading and  double.png",
    "a\ttab.png",
    "a\nline.png",
    "-dash.png",
    "\N{PILE OF POO}.png",
    os.fsdecode(b"caf\xe9 \xff.png"),
]


@pytest.fixture
def names(tiny_pictures: list[np.ndarray], tmp_path: Path) -> Path:
    folder = tmp_path / "이름"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(png(tiny_pictures[0]))
    assert sorted(each.name for each in folder.iterdir()) == sorted(NAMES)  # this file system keeps names as they are
    return folder


@pytest.mark.parametrize("given", ["the folder", "each file"])
def test_any_file_name_comes_back(names: Path, tiny_artifact: Path, tiny_labels: list[str], given: str) -> None:
    """Through a real pipe, where names are bytes."""
    words = [names] if given == "the folder" else [names / name for name in NAMES]
    program = [sys.executable, "-m", "edge_crnn", "read", "--model", tiny_artifact]
    ended = subprocess.run(
        [*program, "--format", "jsonl", *words], capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"}
    )
    assert ended.stderr == b""
    readings = [json.loads(line) for line in ended.stdout.decode().splitlines()]  # strict UTF-8
    assert {each["image"] for each in readings} == {f"{names}/{name}" for name in NAMES}
    assert {each["label"] for each in readings} == {tiny_labels[0]}
    assert [each["image"] for each in readings] == [f"{names}/{name}" for name in NAMES] or given == "the folder"
    ended = subprocess.run([*program, *words], capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"})
    for name in NAMES:
        assert os.fsencode(f"{names}/{name}\t{tiny_labels[0]}\t") in ended.stdout


def test_names_in_messages_stay_as_they_are(tmp_path: Path, tiny_artifact: Path) -> None:
    name = os.fsdecode(b"two  blanks \xff.png")
    ended = subprocess.run(
        [sys.executable, "-m", "edge_crnn", "read", "--model", tmp_path / name, "x.png"],
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 1
    assert os.fsencode(name) in ended.stderr


def test_a_labelled_folder_copied_from_a_mac_is_read(names: Path, read: Read) -> None:
    shutil.rmtree(names)
    names.mkdir()
    (names / "._12가3456.png").write_bytes(b"a resource fork")
    (names / unicodedata.normalize("NFD", "12가3456.png")).write_bytes(png(np.zeros((16, 32), np.uint8)))
    status, lines, _ = read(names)
    assert (status, len(lines)) == (0, 1)


# --- a function of the user's own ------------------------------------------------------------------------------------

OWN = """
import numpy as np

def own(pixels):
    return pixels[:, :, :1].swapaxes(0, 1) / 127.5 - 1
"""


def test_images_go_through_the_user_s_function(
    folder: Path, tiny_artifacts: Callable[..., Path], tiny_labels: list[str], read: Read, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    made = load(tiny_artifacts("float32", takes_pixels=False))
    plain = made.spec.input
    image = InputSpec(plain.width, plain.height, plain.axes, 1.0, 0.0, function=load_function(f"{file}:own").named)
    artifact = save(tmp_path / "own.tflite", made.payload, replace(made.spec, input=image))
    status, lines, said = read(folder, "--preprocess", f"{file}:own", model=artifact.path)
    assert (status, said) == (0, "")
    assert [line.split("\t")[1] for line in lines] == tiny_labels
    status, lines, said = read(folder, model=artifact.path)
    assert (status, lines) == (1, [])
    assert "go through the function 'own', which is not given; give --preprocess FILE:own" in said
    file.write_text(OWN + "\n")
    status, lines, said = read(folder, "--preprocess", f"{file}:own", model=artifact.path)
    assert (status, lines) == (1, [])
    assert "the file that defines 'own' has SHA-256" in said
