from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.cli.main import main
from edge_crnn.model.artifact import MEMBER, load, save
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess.function import load_function
from edge_crnn.reader import open_reader


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
    status, lines, errors = read(folder, "--workers", workers)
    assert (status, errors) == (0, "")
    for index, (line, label) in enumerate(zip(lines, tiny_labels, strict=True)):
        path, text, confidence = line.split("\t")
        assert (path, text) == (f"{folder}/{index}.png", label)
        assert 0 < float(confidence) <= 1


def test_json_lines_for_programs(
    folder: Path, tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str], read: Read
) -> None:
    status, lines, errors = read(folder, "--format", "jsonl", "--n-best", 3)
    assert (status, errors) == (0, "")
    readings = [json.loads(line) for line in lines]
    assert [reading["image"] for reading in readings] == [f"{folder}/{index}.png" for index in range(len(tiny_labels))]
    with open_reader(tiny_artifact, n_best=3) as reader:
        for record, expected in zip(readings, reader.read_batch(tiny_pictures), strict=True):
            assert (record["text"], record["label"]) == (expected.text, expected.label)
            assert record["confidence"] == expected.confidence
            assert record["accepted"] is expected.accepted
            assert [character["confidence"] for character in record["characters"]] == [
                character.confidence for character in expected.characters
            ]
            assert [alternative["label"] for alternative in record["alternatives"]] == [
                alternative.label for alternative in expected.alternatives
            ]


def test_files_and_folders_are_read_in_order(folder: Path, tiny_labels: list[str], read: Read) -> None:
    (folder / "notes.txt").write_text("no image")
    status, lines, _ = read(folder / "5.png", folder, folder / "5.png")
    assert status == 0
    assert [line.split("\t")[1] for line in lines] == [tiny_labels[5], *tiny_labels, tiny_labels[5]]


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_a_bad_file_among_good_ones(folder: Path, tiny_labels: list[str], read: Read, form: str) -> None:
    (folder / "3 bad.jpg").write_bytes(b"no picture\nat all")
    status, lines, errors = read(folder, "--format", form)
    assert status == 1
    if form == "jsonl":
        assert errors.startswith(f"edge-crnn read: 1 of 9 images could not be read; {folder}/3 bad.jpg: 17 bytes that")
        assert errors.count("\n") == 1
        assert len(lines) == 9
        bad = lines.pop(next(index for index, line in enumerate(lines) if "3 bad.jpg" in line))
        error = json.loads(bad)
        assert error.pop("error").startswith(f"{folder}/3 bad.jpg: ")
        assert error == {"image": f"{folder}/3 bad.jpg", "text": None, "label": None, "confidence": None}
        assert [json.loads(line)["label"] for line in lines] == tiny_labels
    else:
        first, second = errors.splitlines()
        assert first.startswith(f"edge-crnn read: {folder}/3 bad.jpg: 17 bytes that")
        assert second == "edge-crnn read: 1 of 9 images could not be read"
        assert [line.split("\t")[1] for line in lines] == tiny_labels


def test_a_missing_file_among_good_ones(folder: Path, tiny_labels: list[str], read: Read) -> None:
    long = folder / ("x" * 300 + ".png")
    status, lines, errors = read(folder / "0.png", folder / "none.png", long, folder / "1.png", Path("/dev/null"))
    assert status == 1
    assert [line.split("\t")[1] for line in lines] == [tiny_labels[0], tiny_labels[1]]
    missing, too_long, device, count = errors.splitlines()
    assert missing.startswith(f"edge-crnn read: {folder}/none.png: cannot be read (No such file or directory)")
    assert "File name too long" in too_long
    assert "/dev/null: found a folder or a device" in device
    assert count == "edge-crnn read: 3 of 5 images could not be read"


EXPECTED = {
    "no model": (lambda folder: [], "none.tflite", r"none.tflite: cannot be read (No such file or directory)"),
    "empty folder": (lambda folder: [folder.parent / "empty"], "", "/empty: no image among 0 files"),
    "an empty one among others": (
        lambda folder: [folder, folder.parent / "empty"],
        "",
        "/empty: no image among 0 files",
    ),
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
    (folder.parent / "empty").mkdir()
    (folder.parent / "bare.tflite").write_bytes(load(tiny_artifact).payload)
    status, lines, errors = read(*(words(folder) or [folder]), model=folder.parent / model if model else tiny_artifact)
    assert (status, lines) == (1, [])
    assert errors.startswith("edge-crnn read: ")
    assert message in errors
    assert errors.count("\n") == 1


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
            "(confidence below 1.0000); --min-confidence sets another threshold, and 0 turns it off",
        ),
        (["--grammar", "x?", "--decoder", "greedy"], "(no match with the grammar)"),
        (["--min-confidence", "0"], ""),
    ],
)
def test_rejected_readings_are_explained_on_a_terminal(
    folder: Path, read: Read, monkeypatch: pytest.MonkeyPatch, words: list[str], reason: str
) -> None:
    words = [word.replace("x", "0") for word in words]
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    (folder / "bad.jpg").write_bytes(b"no picture")
    assert read(folder, *words)[0] == 1
    lines = [line for line in terminal.getvalue().splitlines() if "marked as rejected" in line]
    assert lines == ([f"edge-crnn read: 8 of 8 readings are marked as rejected {reason}"] if reason else [])


def test_help_explains_rejection(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "the one in the model's spec" in text
    assert "To turn it off, add --min-confidence 0" in text


@pytest.mark.parametrize("name", ["plates", None])
def test_a_model_by_its_name(name: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    sample = Path(__file__).parents[3] / "samples" / "plates" / "J23dk4123.jpg"
    words = [] if name is None else ["--model", name]
    assert main(["read", *words, str(sample)]) == 0
    assert capsys.readouterr().out.startswith(f"{sample}\t대구 23 아 4123\t")
    assert main(["read", "--model", "digits", str(sample)]) == 1
    assert "'digits' is not part of this installation" in capsys.readouterr().err


def test_decoder_options_reach_the_decoder(
    folder: Path, read: Read, monkeypatch: pytest.MonkeyPatch, tiny_artifact: Path
) -> None:
    decoders = []

    def opened(artifact: object, **options: object) -> object:
        reader = open_reader(artifact, **options)  # type: ignore[arg-type]
        decoders.append(reader.spec.decoder)
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
    assert [(decoder.method, decoder.beam_width, decoder.reject_below, decoder.grammar) for decoder in decoders] == [
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
    reading = json.loads(lines[0])
    assert status == 0
    assert reading["label"][0] in others
    assert len(reading["label"]) == len(label)
    assert reading["accepted"] is True
    status, lines, _ = read(folder / "0.png", *words, "--decoder", "greedy")
    reading = json.loads(lines[0])
    assert (status, reading["label"], reading["accepted"]) == (0, label, False)
    status, lines, errors = read(folder / "0.png", "--grammar", "(?=a)b")
    assert (status, lines) == (1, [])
    assert "grammar '(?=a)b' has a look-ahead at position 0" in errors
    assert errors.count("\n") == 1


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
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)  # this file system keeps names as they are
    return folder


@pytest.mark.parametrize("inputs", ["folder", "files"])
def test_any_file_name_comes_back(names: Path, tiny_artifact: Path, tiny_labels: list[str], inputs: str) -> None:
    """The output goes through a real pipe, where names are bytes."""
    words = [names] if inputs == "folder" else [names / name for name in NAMES]
    program = [sys.executable, "-m", "edge_crnn", "read", "--model", tiny_artifact]
    ended = subprocess.run(
        [*program, "--format", "jsonl", *words], capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"}
    )
    assert ended.stderr == b""
    readings = [json.loads(line) for line in ended.stdout.decode().splitlines()]  # strict UTF-8
    assert {reading["image"] for reading in readings} == {f"{names}/{name}" for name in NAMES}
    assert {reading["label"] for reading in readings} == {tiny_labels[0]}
    assert [reading["image"] for reading in readings] == [f"{names}/{name}" for name in NAMES] or inputs == "folder"
    ended = subprocess.run([*program, *words], capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"})
    lines = ended.stdout.splitlines()
    assert len(lines) == len(NAMES)
    for name in NAMES:
        printed = name.replace("\t", r"\t").replace("\n", r"\n")
        assert any(line.startswith(os.fsencode(f"{names}/{printed}\t{tiny_labels[0]}\t")) for line in lines)


@pytest.mark.parametrize(
    "control", ["\x1b[2J", "\r", "\b", "\x9b31m", "\x7f", "\x85", "\u202e", "\u2028", os.fsdecode(b"\x9b31m")]
)
def test_control_characters_do_not_reach_the_terminal(
    folder: Path, tiny_pictures: list[np.ndarray], read: Read, control: str
) -> None:
    (folder / f"a{control}.png").write_bytes(png(tiny_pictures[0]))
    (folder / f"b{control}.png").write_bytes(b"no picture")
    (folder / f"c.{control}").write_bytes(b"no picture")
    status, lines, errors = read(folder)
    assert status == 1
    for text in (*lines, errors):
        assert control not in text
        assert control[0] not in text
    status, lines, _ = read(folder, "--format", "jsonl")
    assert not any(control in line or control[0] in line for line in lines)
    assert {f"{folder}/a{control}.png", f"{folder}/b{control}.png"} <= {json.loads(line)["image"] for line in lines}


@pytest.mark.parametrize("control", ["\x1b[31m", "\x9b31m", "\n", "\u202e", "\u2028"])
@pytest.mark.parametrize("field", ["symbols", "label_map"])
def test_a_model_with_control_characters_is_rejected(
    field: str, control: str, folder: Path, tiny_artifact: Path, read: Read, tmp_path: Path
) -> None:
    """Another program can write such a model; `read` printed its characters."""
    artifact = load(tiny_artifact)
    spec = json.loads(artifact.spec.to_json())
    spec[field] = {"symbols": [*"012345678", f"9{control}"], "label_map": {"0": control}}[field]
    evil = tmp_path / "evil.tflite"
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr(MEMBER, json.dumps(spec))
    evil.write_bytes(artifact.payload + evil.read_bytes())
    status, lines, errors = read(folder / "0.png", model=evil)
    assert (status, lines) == (1, [])
    assert f"control character U+{ord(control[0]):04X}" in errors
    assert control[0] not in errors.removesuffix("\n")


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
    artifact = load(tiny_artifacts("float32", takes_pixels=False))
    plain = artifact.spec.input
    image = InputSpec(plain.width, plain.height, plain.axes, 1.0, 0.0, function=load_function(f"{file}:own").named)
    artifact = save(tmp_path / "own.tflite", artifact.payload, replace(artifact.spec, input=image))
    status, lines, errors = read(folder, "--preprocess", f"{file}:own", model=artifact.path)
    assert (status, errors) == (0, "")
    assert [line.split("\t")[1] for line in lines] == tiny_labels
    status, lines, errors = read(folder, model=artifact.path)
    assert (status, lines) == (1, [])
    assert "go through the function 'own', which is not given; give --preprocess FILE:own" in errors
    file.write_text(OWN + "\n")
    status, lines, errors = read(folder, "--preprocess", f"{file}:own", model=artifact.path)
    assert (status, lines) == (1, [])
    assert "the file that defines 'own' has SHA-256" in errors


# --- subfolders and skipped files --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jfif", "b.jpe", "c.gif", "d.JPEG"])
def test_formats_by_any_suffix(tmp_path: Path, tiny_pictures: list[np.ndarray], read: Read, name: str) -> None:
    """jpegview#168, gallery-card#12: such files were skipped without a word."""
    (tmp_path / name).write_bytes(png(tiny_pictures[0]))
    status, lines, errors = read(tmp_path)
    assert (status, len(lines), errors) == (0, 1, "")


def test_skipped_files_are_counted(folder: Path, tiny_pictures: list[np.ndarray], read: Read) -> None:
    """frigate#11270: dated subfolders were skipped without a word."""
    for name in ("a.txt", "b.txt", "c.pdf", "d", ".hidden", "labels.csv"):
        (folder / name).write_text("no image")
    for name in ("2026-11-30", "2026-12-01", ".cache"):
        (folder / name).mkdir()
        (folder / name / "0.png").write_bytes(png(tiny_pictures[0]))
    status, lines, errors = read(folder)
    assert (status, len(lines)) == (0, len(tiny_pictures))
    assert "2 .txt, 1 .pdf, 1 without" in errors
    assert "2 subfolders, which --recursive" in errors
    assert errors.count("\n") == 1
    status, lines, errors = read(folder, "--recursive")
    assert (status, len(lines)) == (0, len(tiny_pictures) + 2)
    assert {line.split("\t")[0] for line in lines} >= {f"{folder}/2026-11-30/0.png", f"{folder}/2026-12-01/0.png"}
    assert "subfolder" not in errors


def test_a_folder_that_has_images_in_its_subfolders_only(
    tmp_path: Path, tiny_pictures: list[np.ndarray], read: Read
) -> None:
    (tmp_path / "30").mkdir()
    (tmp_path / "30" / "0.png").write_bytes(png(tiny_pictures[0]))
    status, lines, errors = read(tmp_path)
    assert (status, lines) == (1, [])
    assert "--recursive" in errors
    assert read(tmp_path, "--recursive")[0] == 0
