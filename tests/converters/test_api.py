"""Conversion and verification from Python: as the command line, with a verdict in place of an exit status."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge_crnn
from converters.api import declared_in
from converters.conventions.declared import add_declarations, declared_by
from edge_crnn import DatasetError, InputError, InputTypeError, OutputError
from edge_crnn.model.artifact import load

Run = Callable[..., tuple[int, list[str], list[str]]]


def test_convert_reads_writes_and_returns_the_verdict(
    tiny_keras: Path, labelled_folder: Path, tmp_path: Path, run: Run
) -> None:
    target, by_command = tmp_path / "m.tflite", tmp_path / "c.tflite"
    result = edge_crnn.convert(tiny_keras, target, labelled=labelled_folder, gate_agreement=0.5, gate_accuracy=100)
    words = ["--labelled", labelled_folder, "--gate-agreement", 50, "--gate-accuracy", 100, "-o", by_command]
    assert run("convert", tiny_keras, *words)[0] == 0
    ours = load(target)
    theirs = load(by_command)
    assert (ours.payload, ours.spec.parity) == (theirs.payload, theirs.spec.parity)
    assert result.written
    assert (result.path, result.parity) == (target, ours.spec.parity)
    assert result
    assert result.verdict == "pass"
    assert any("of the images calibrated the model" in note for note in result.notes)

    again = edge_crnn.verify(str(tiny_keras), target, labelled=[labelled_folder], gate_agreement=0.5, gate_accuracy=100)
    assert (again.parity, again.changes) == (result.parity, result.changes)
    assert not again.written
    strict = edge_crnn.verify(tiny_keras, load(target), labelled=labelled_folder)
    assert strict.verdict in ("fail", "underpowered")  # by the usual gate
    assert {change.path.parent for change in strict.changes} <= {labelled_folder}
    assert all(change.trained != change.converted for change in strict.changes)


def test_images_in_subfolders(tiny_keras: Path, labelled_folder: Path, tmp_path: Path) -> None:
    """The command line has --recursive."""
    for name in ("images", "calibration"):
        (tmp_path / name / "day").mkdir(parents=True)
    for number, path in enumerate(sorted(labelled_folder.glob("*.png"))):
        shutil.copy(path, tmp_path / ("calibration" if number % 2 else "images") / "day" / path.name)
    target = tmp_path / "m.tflite"
    folders = {"images": tmp_path / "images", "calibration": tmp_path / "calibration"}
    with pytest.raises(DatasetError):
        edge_crnn.convert(tiny_keras, target, **folders)
    converted = edge_crnn.convert(tiny_keras, target, **folders, recursive=True, gate_agreement=0)
    verified = edge_crnn.verify(tiny_keras, target, images=folders["images"], recursive=True, gate_agreement=0)
    assert converted.parity == verified.parity
    assert converted.parity.images == len(list((tmp_path / "images" / "day").iterdir()))


def test_a_gate_that_is_not_met_writes_nothing(tiny_keras: Path, labelled_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.tflite"
    result = edge_crnn.convert(tiny_keras, target, labelled=labelled_folder, recipe="float32", strict=True)
    assert (result.verdict, result.written, target.exists()) == ("underpowered", False, False)


def test_without_images_nothing_is_claimed(tiny_keras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = edge_crnn.convert(tiny_keras)
    assert (result.path, result.verdict, bool(result)) == (Path(f"{tiny_keras.stem}.tflite"), "unverified", False)
    assert result.written
    assert result.artifact.spec.artifact is not None
    assert result.artifact.spec.artifact.recipe == "dynamic"
    assert any(note.startswith("no images: recipe dynamic instead of int8") for note in result.notes)
    onnx = edge_crnn.convert(tiny_keras, "m.onnx", grammar="[0-9]*")
    assert load(Path("m.onnx")).spec.decoder == onnx.artifact.spec.decoder
    assert onnx.artifact.spec.decoder.grammar == "[0-9]*"


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "suffix": (
        {"output": "m.engine"},
        OutputError,
        r"found \.engine, expected an output that ends in \.tflite or \.onnx",
    ),
    "no path": ({"output": 7}, InputTypeError, r"output is 7 \(int\), expected a path"),
    "images": ({"images": 7}, InputTypeError, "images is 7 .*expected a folder, or a list of folders"),
    "recipe": ({"recipe": "int4"}, InputError, "recipe 'int4' does not apply to tflite; choose from float32"),
    "calibration": ({"recipe": "int8"}, DatasetError, "recipe int8 needs images to calibrate with; give images=FOLDER"),
    "gate": ({"gate_agreement": 99.5}, InputError, "expected a share from 0 to 1"),
    "name": ({"blnk": "last"}, TypeError, "'blnk', which is not known; did you mean 'blank'"),
    "value": ({"blank": "middle"}, InputError, "blank is 'middle': found 'middle', expected first, last"),
    "no batch": ({"batch": 0}, InputError, "batch is 0, expected a whole number from 1 to 65,536"),
    "huge batch": ({"batch": 10**18}, InputError, "batch is 1000000000000000000, expected a whole number"),
    "part of a batch": ({"batch": 2.5}, InputError, "batch is 2.5, expected a whole number"),
    "choice": ({"resize": "squash"}, InputError, "resize is 'squash', expected 'stretch'"),
    "layer": ({"keep_float": ["conv99"]}, InputError, "conv99: no layer that can stay float32"),
}


@pytest.mark.parametrize(("options", "error", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_one_error(
    tiny_keras: Path, tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        edge_crnn.convert(tiny_keras, **{"output": tmp_path / "m.tflite", **options})
    assert not list(tmp_path.iterdir())


def test_there_must_be_images_to_verify_with(tiny_keras: Path, tiny_artifact: Path) -> None:
    with pytest.raises(InputError, match="no images to verify with; give images=FOLDER, or labelled=FOLDER"):
        edge_crnn.verify(tiny_keras, tiny_artifact)


OPTIONS: dict[str, tuple[Any, list[str]]] = {
    "name": ("mine", ["--name", "mine"]),
    "alphabet": ("0123", ["--alphabet", "0123"]),
    "blank": ("last", ["--blank", "last"]),
    "unused": (3, ["--unused", "3"]),
    "skip_steps": (2, ["--skip-steps", "2"]),
    "resize": ("fit", ["--resize", "fit"]),
    "scale": ("1/255", ["--scale", "1/255"]),
    "offset": ((-1.0, 0.0, 1.0), ["--offset=-1,0,1"]),
    "standardise": (True, ["--standardise"]),
    "invert": (False, ["--no-invert"]),
    "rotate": (90, ["--rotate", "90"]),
    "filter": (["otsu", "clahe 2 8"], ["--filter", "otsu", "--filter", "clahe 2 8"]),
    "lambdas": ({"a": "squeeze 1"}, ["--lambda", "a=squeeze 1"]),
}


@given(st.sets(st.sampled_from(sorted(OPTIONS))))
def test_declarations_equal_those_of_the_options(names: set[str]) -> None:
    parser = argparse.ArgumentParser()
    add_declarations(parser)
    arguments = parser.parse_args([word for name in names for word in OPTIONS[name][1]])
    assert declared_in({name: OPTIONS[name][0] for name in names}) == declared_by(arguments)
