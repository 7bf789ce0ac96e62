"""The committed samples are what samples/README.md says that they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.alphabet import Alphabet
from edge_crnn.dataset import load_labelled
from edge_crnn.training.folder import JPEG_QUALITY
from edge_crnn.training.kinds import GROUPS
from edge_crnn.training.layouts import label_at
from edge_crnn.training.lines import Line, generate_lines
from edge_crnn.training.synthetic import Plate, Renderer, generate

SAMPLES = Path(__file__).parents[3] / "samples"
FORMS = GROUPS["all-forms"]
RUNS = {"mild": 1, "heavy": 2}
"""Preset → seed of samples/plates."""


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(kinds=FORMS)


def as_saved(plate: Plate | Line) -> np.ndarray:
    _, data = cv2.imencode(".jpg", plate.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_plates_are_250_of_each_preset_all_forms_in_turn():
    forms = [FORMS[index % len(FORMS)] for index in range(250)]
    expected = {label_at(seed, index, form): form for seed in RUNS.values() for index, form in enumerate(forms)}
    assert {file.stem for file in (SAMPLES / "plates").iterdir()} == set(expected)
    assert {list(expected.values()).count(form) for form in FORMS} == {28, 30}


@pytest.mark.parametrize("preset", RUNS)
def test_plates_are_drawn_again_from_their_seed(preset: str, renderer: Renderer):
    for plate in generate(15, RUNS[preset], preset, start=100, renderer=renderer):
        saved = cv2.imread(str(SAMPLES / "plates" / f"{plate.label}.jpg"))
        assert saved is not None
        assert saved.shape == plate.image.shape
        # Other versions of FreeType, NumPy or OpenCV may round otherwise.
        assert np.abs(saved.astype(int) - as_saved(plate)).mean() < 2


@pytest.mark.parametrize(("preset", "seed", "start"), [("mild", 3, 0), ("heavy", 4, 64)])
def test_calibration_is_drawn_again_from_its_seed(preset: str, seed: int, start: int, renderer: Renderer):
    for index, plate in enumerate(generate(5, seed, preset, start=start, renderer=renderer), start):
        saved = cv2.imread(str(SAMPLES / "calibration" / f"{index:06d}.jpg"))
        assert saved is not None
        assert np.abs(saved.astype(int) - as_saved(plate)).mean() < 2


def test_calibration_has_128_images_none_of_them_among_the_plates():
    plates, calibration = (
        {hashlib.sha256(file.read_bytes()).hexdigest() for file in (SAMPLES / folder).iterdir()}
        for folder in ("plates", "calibration")
    )
    assert len(plates) == 500
    assert len(calibration) == 128
    assert not plates & calibration


@pytest.mark.parametrize(("preset", "seed", "start"), [("mild", 1, 0), ("heavy", 2, 150)])
def test_lines_are_drawn_again_from_their_seed(preset: str, seed: int, start: int):
    entries = load_labelled(SAMPLES / "lines", Alphabet(tuple("0123456789"), 10)).entries
    assert len(entries) == 300
    for entry, line in zip(entries[start:], generate_lines(8, seed, preset, start=start), strict=False):
        assert entry.label == line.label
        assert np.abs(entry.load().astype(int) - as_saved(line)).mean() < 2


@pytest.mark.parametrize(("preset", "seed", "start"), [("mild", 3, 0), ("heavy", 4, 64)])
def test_calibration_lines_are_drawn_again_from_their_seed(preset: str, seed: int, start: int):
    for index, line in enumerate(generate_lines(4, seed, preset, start=start), start):
        saved = cv2.imread(str(SAMPLES / "lines-calibration" / f"{index:06d}.jpg"))
        assert saved is not None
        assert np.abs(saved.astype(int) - as_saved(line)).mean() < 2


def test_they_are_small():
    assert sum(file.stat().st_size for file in SAMPLES.rglob("*.jpg")) < 5_500_000
