"""A trained model with what its file and its owner say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from converters.source import open_source
from edge_crnn.errors import InputError, ModelFileError, ModelSpecError
from edge_crnn.model.artifact import load_sidecar, sidecar
from edge_crnn.model.spec import ModelSpec


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
