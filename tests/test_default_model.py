"""The model inside the package is the one in models/, and reads what its spec says it reads."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edge_crnn import ModelSpec, open_reader
from edge_crnn.dataset import content_hash, load_labelled
from edge_crnn.model.artifact import load, load_sidecar
from edge_crnn.reader import DEFAULT_MODEL

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "samples" / "plates"
TRAINED = ROOT / "models" / "plates.keras"


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return load(DEFAULT_MODEL).spec


def test_it_was_converted_from_the_trained_model_in_the_tree(spec: ModelSpec) -> None:
    assert spec.artifact is not None
    assert spec.artifact.source_sha256 == hashlib.sha256(TRAINED.read_bytes()).hexdigest()
    trained = load_sidecar(TRAINED)
    assert (spec.symbols, spec.blank, spec.label_map) == (trained.symbols, trained.blank, trained.label_map)


def test_it_is_verified_on_enough_plates_to_pass(spec: ModelSpec) -> None:
    assert spec.artifact is not None
    assert spec.parity is not None
    assert spec.parity.verdict == "pass"
    assert spec.artifact.recipe == "int8"
    assert spec.artifact.calibration is not None
    assert spec.artifact.calibration.sha256 == content_hash((ROOT / "samples" / "calibration").glob("*.jpg"))


def test_it_reads_the_samples_as_well_as_its_spec_says(spec: ModelSpec) -> None:
    assert spec.parity is not None
    samples = load_labelled(SAMPLES, spec.alphabet)
    (stated,) = [each for each in spec.parity.sets if each.sha256 == content_hash(samples.paths)]
    with open_reader() as reader:
        right = sum(
            reading.label == entry.label
            for reading, entry in zip(reader.read_batch(samples.paths), samples, strict=True)
        )
    assert len(samples) == stated.images
    # The head's dynamic int8 rounds differently from one kind of CPU to the next: a plate on the edge may fall over.
    assert abs(right - stated.artifact_right) <= 1
