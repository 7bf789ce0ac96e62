"""A trained model with what its file and its owner say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.source import differences, open_source, with_teacher
from edge_crnn.errors import InputError, ModelFileError, ModelSpecError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import load_sidecar, sidecar
from edge_crnn.model.spec import ModelSpec, Teacher


@pytest.fixture
def bare(tiny_keras: Path, tmp_path: Path) -> Path:
    """The tiny network without a spec."""
    path = tmp_path / "tiny.keras"
    path.write_bytes(tiny_keras.read_bytes())
    return path


DECLARED = {"symbols": list("0123456789"), "blank": "last", "skip_steps": 2, "input": {"pixels": "x/127.5-1"}}


def test_declared_parts_and_the_file_make_a_whole_spec(bare: Path, tiny_keras: Path) -> None:
    source = open_source(bare, declared=DECLARED)
    assert source.spec == load_sidecar(tiny_keras)
    assert source.unwritten is not None
    assert ModelSpec.from_json(source.unwritten) == source.spec


def test_a_spec_that_says_everything_need_not_be_written(tiny_keras: Path) -> None:
    assert open_source(tiny_keras).unwritten is None
    assert open_source(tiny_keras, load_sidecar(tiny_keras)).unwritten is None


def test_without_a_spec_everything_that_is_missing_is_named(bare: Path) -> None:
    with pytest.raises(ModelSpecError, match=r"--pixels.*--blank.*--alphabet.*edge-crnn spec"):
        open_source(bare)


def test_a_spec_in_parts_is_completed(bare: Path, tiny_keras: Path) -> None:
    sidecar(bare).write_text(json.dumps({"symbols": "0123456789", "skip_steps": 2, "input": {"scale": 1 / 127.5}}))
    source = open_source(bare, declared={"blank": 10, "input": {"offset": -1}})
    assert source.spec == load_sidecar(tiny_keras)


def test_an_option_must_not_contradict_the_spec(tiny_keras: Path) -> None:
    with pytest.raises(InputError, match=r"blank 10, --blank says 'first'"):
        open_source(tiny_keras, declared={"blank": "first"})


def test_obstacles_are_reported_before_missing_facts(bare: Path) -> None:
    bare.write_bytes(b"")
    with pytest.raises(ModelFileError):
        open_source(bare)


def test_a_spec_of_another_network_is_an_error(tiny_keras: Path) -> None:
    spec = load_sidecar(tiny_keras)
    with pytest.raises(ModelSpecError, match="64"):
        open_source(tiny_keras, replace(spec, input=replace(spec.input, width=64)))


def student_of(teacher: Path, tiny_keras: Path, folder: Path) -> Path:
    """Copy the tiny network to a file whose spec names a teacher."""
    path = folder / "student.keras"
    path.write_bytes(tiny_keras.read_bytes())
    facts = Teacher(teacher.name, sha256(teacher.read_bytes()), 0.5)
    sidecar(path).write_text(replace(load_sidecar(tiny_keras), teacher=facts).to_json(), encoding="utf-8")
    return path


def test_a_model_without_a_teacher_is_its_own_reference(tiny_keras: Path) -> None:
    source = open_source(tiny_keras)
    assert with_teacher(source) is source
    assert source.reference is source
    with pytest.raises(InputError, match="--teacher"):
        with_teacher(source, tiny_keras)


def test_the_teacher_is_the_reference(tiny_keras: Path, tiny_h5: Path, tmp_path: Path) -> None:
    student = open_source(student_of(tiny_h5, tiny_keras, tmp_path))
    teacher = with_teacher(student, tiny_h5).reference
    assert (teacher.path, teacher.spec.teacher) == (tiny_h5, None)
    with pytest.raises(ModelFileError, match=r"tiny\.h5: cannot be read .* --teacher FILE"):
        with_teacher(student)
    beside = tmp_path / tiny_h5.name
    beside.write_bytes(tiny_h5.read_bytes())
    assert with_teacher(student).reference.path == beside
    beside.write_bytes(tiny_keras.read_bytes())
    with pytest.raises(ModelFileError, match=r"tiny\.h5: found SHA-256 .* --teacher FILE"):
        with_teacher(student)


@pytest.mark.parametrize("file", [".", "..", "\0", "x" * 5000, "student.keras"])
def test_a_hostile_name_of_a_teacher_is_one_error(file: str, tiny_keras: Path, tmp_path: Path) -> None:
    source = open_source(student_of(tiny_keras, tiny_keras, tmp_path))
    source = replace(source, spec=replace(source.spec, teacher=Teacher(file, "0" * 64, 0.5)))
    with pytest.raises(ModelFileError, match="--teacher FILE"):
        with_teacher(source)


def test_options_about_the_structure_are_for_the_teacher(keras: Any, tiny_keras: Path, tmp_path: Path) -> None:
    model = keras.models.load_model(tiny_keras)
    weights, structure = tmp_path / "teacher.weights.h5", tmp_path / "teacher.json"
    model.save_weights(weights)
    structure.write_text(model.to_json(), encoding="utf-8")
    path = student_of(weights, tiny_keras, tmp_path)
    student = open_source(path, architecture=str(structure))
    assert with_teacher(student, architecture=str(structure)).reference.structure is not None
    with pytest.raises(ModelFileError):
        with_teacher(student)


def test_options_about_the_structure_are_for_a_model_without_a_teacher(tiny_keras: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(b"")
    for spec in ("{}", '{"teacher": null}'):
        sidecar(path).write_text(spec, encoding="utf-8")
        with pytest.raises(ModelFileError, match="no such file"):
            open_source(path, architecture=str(tmp_path / "none.json"))


def test_differences_are_named(tiny_keras: Path) -> None:
    spec = load_sidecar(tiny_keras)
    assert differences(spec, replace(spec, name="other", lambdas={"a": "squeeze 1"})) == ""
    assert differences(spec, replace(spec, skip_steps=1)) == "skip_steps 2, there 1"
