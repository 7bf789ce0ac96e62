"""The model in the package is converted from the one in models/, and reads as well as its spec says."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_crnn import ModelSpec, open_reader
from edge_crnn.dataset import content_hash, load_labelled
from edge_crnn.model.artifact import load, load_sidecar
from edge_crnn.preprocess import resize_exact, to_grey
from edge_crnn.reader import DEFAULT_MODEL

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "samples" / "plates"
TRAINED = ROOT / "models" / "plates-slim.keras"


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return load(DEFAULT_MODEL).spec


def test_it_was_converted_from_the_trained_model_in_the_tree(spec: ModelSpec) -> None:
    assert spec.artifact is not None
    assert spec.artifact.source_sha256 == hashlib.sha256(TRAINED.read_bytes()).hexdigest()
    trained = load_sidecar(TRAINED)
    assert (spec.symbols, spec.blank, spec.label_map) == (trained.symbols, trained.blank, trained.label_map)
    assert replace(spec.input, axes=trained.input.axes, dtype=trained.input.dtype) == trained.input


@pytest.mark.parametrize("name", ["plates", "digits"])
def test_a_slimmed_model_names_its_teacher_in_the_tree(name: str) -> None:
    teacher = load_sidecar(ROOT / "models" / f"{name}-slim.keras").teacher
    assert teacher is not None
    assert teacher.file == f"{name}.keras"
    assert teacher.sha256 == hashlib.sha256((ROOT / "models" / teacher.file).read_bytes()).hexdigest()
    assert teacher.share < 0.3


def test_it_is_verified_on_enough_plates_to_pass(spec: ModelSpec) -> None:
    assert spec.artifact is not None
    assert spec.parity is not None
    assert spec.parity.verdict == "pass"
    assert spec.artifact.recipe == "int8"
    assert spec.artifact.calibration is not None
    assert spec.artifact.calibration.sha256 == content_hash((ROOT / "samples" / "calibration").glob("*.jpg"))


@pytest.mark.thorough
def test_it_reads_the_samples_as_well_as_its_spec_says(spec: ModelSpec) -> None:
    assert spec.parity is not None
    samples = load_labelled(SAMPLES, spec.alphabet)
    (stated,) = [image_set for image_set in spec.parity.sets if image_set.sha256 == content_hash(samples.paths)]
    with open_reader() as reader:
        right = sum(
            reading.label == entry.label
            for reading, entry in zip(reader.read_batch(samples.paths), samples, strict=True)
        )
    assert len(samples) == stated.images
    # The head's dynamic int8 rounds differently on other CPUs, which may change a plate on the edge.
    assert abs(right - stated.artifact_right) <= 1


@pytest.mark.thorough
@pytest.mark.parametrize("scale", [4, 6, 9])
def test_it_reads_a_plate_of_many_noisy_pixels(spec: ModelSpec, scale: int) -> None:
    """Large crops were sampled without averaging, and a quarter was rejected (PaddleOCR#6942, immich#23541)."""
    entries = list(load_labelled(SAMPLES, spec.alphabet))[::50]
    rng = np.random.default_rng(scale)
    large = []
    for entry in entries:
        image = entry.load().repeat(scale, axis=0).repeat(scale, axis=1)
        large.append(np.clip(image + rng.normal(0, 30, image.shape), 0, 255).astype(np.uint8))
    with open_reader() as reader:
        readings = reader.read_batch(large)
        sampled = reader.read_batch(
            [resize_exact(to_grey(image), spec.input.width, spec.input.height) for image in large]
        )
    assert sum(reading.accepted for reading in readings) >= 0.8 * len(entries)
    assert (
        sum(reading.label == entry.label for reading, entry in zip(readings, entries, strict=True)) >= len(entries) - 1
    )
    assert sum(reading.confidence for reading in readings) > sum(reading.confidence for reading in sampled)
