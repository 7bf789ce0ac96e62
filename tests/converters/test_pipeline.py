"""The pipeline of the commands, called from Python."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import pipeline
from converters.graph import oracle
from converters.graph.graph import Ranges
from converters.pipeline import calibrated, calibrated_for, convert, load_sets, open_source, reference_readings
from converters.recipe import AUTO, RECIPES, RECIPES_FOR, Target, recipes_to_try
from converters.verify.choice import latencies_ms
from converters.verify.gate import Gate
from edge_crnn.dataset import content_hash, find_images
from edge_crnn.errors import DatasetError, ImageError, ModelSpecError
from edge_crnn.files import sha256
from edge_crnn.images import load_image
from edge_crnn.labels.rules import LabelRules
from edge_crnn.model.artifact import Artifact, load_sidecar
from edge_crnn.preprocess import preprocess

NO_AUTO = ("tensorrt", AUTO)
"""TensorRT has no recipe `auto`."""


@pytest.fixture(scope="module")
def source(tiny_keras: Path) -> pipeline.Source:
    return open_source(tiny_keras)


def test_a_source_is_file_spec_and_folded_graph(source: pipeline.Source, tiny_keras: Path) -> None:
    assert (source.path, source.spec) == (tiny_keras, load_sidecar(tiny_keras))
    assert source.sha256 == sha256(tiny_keras.read_bytes())
    assert source.graph.parameters == source.graph.folded().parameters
    assert source.graph.output_shape == (16, 11)


def test_a_spec_given_wins_over_the_one_beside(tiny_keras: Path) -> None:
    other = replace(load_sidecar(tiny_keras), name="other")
    assert open_source(tiny_keras, other).spec.name == "other"
    with pytest.raises(ModelSpecError, match="the spec says"):
        open_source(tiny_keras, replace(other, input=replace(other.input, axes="HWC")))


# --- calibration -----------------------------------------------------------------------------------------------------


def test_every_picture_of_the_folder_counts(source: pipeline.Source, calibration_folder: Path) -> None:
    paths = find_images(calibration_folder)
    ranges, facts = calibrated(source, calibration_folder, [])
    assert (facts.images, facts.sha256) == (12, content_hash(paths))
    everything = preprocess([load_image(path) for path in paths], source.spec.input)
    values: dict[str, np.ndarray] = {}
    oracle.run(source.graph, everything, values.__setitem__)
    for name, value in values.items():
        assert ranges[name] == pytest.approx((value.min(), value.max()), abs=1e-4)


def test_copies_among_the_pictures_are_counted(
    source: pipeline.Source, calibration_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "calibration"
    shutil.copytree(calibration_folder, folder)
    calibrated(source, folder, [])
    assert capsys.readouterr().err == ""
    for number in range(3):
        shutil.copy(find_images(folder)[0], folder / f"copy{number}.png")
    assert calibrated(source, folder, [])[1].images == 15
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"edge-crnn: {folder}: found 15 calibration images, of which only 12 differ")


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("tflite", AUTO),
        ("onnx", AUTO),
        *((target, name) for target, recipes in RECIPES_FOR.items() for name in recipes),
    ],
)
def test_a_folder_that_the_recipe_does_not_use_is_named(
    target: Target,
    name: str,
    source: pipeline.Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipes, _ = recipes_to_try(target, name, has_images=True, remedy="")
    monkeypatch.setattr(pipeline, "calibrated", lambda *_: "ranges")
    needed = any(recipe.needs_calibration for recipe in recipes)
    assert calibrated_for(source, recipes, [], tmp_path) == ([], "ranges" if needed else None)
    err = capsys.readouterr().err
    if needed:
        assert err == ""
        return
    assert f"not used: {tmp_path}" in err
    assert all(recipe.name in err for recipe in recipes)
    assert calibrated_for(source, recipes, [], None) == ([], None)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("taken", [0, 1])
def test_calibration_that_leaves_pictures_out_is_caught(
    taken: int, source: pipeline.Source, calibration_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A converter may never use its generator of images, or use it once."""

    def lazy(_: object, batches: object) -> Ranges:
        for _, _batch in zip(range(taken), batches, strict=False):  # type: ignore[call-overload]
            pass
        return {"input": (-1.0, 1.0)}

    monkeypatch.setattr(pipeline, "calibrate", lazy)
    with pytest.raises(DatasetError, match="of 12 images were used; this is a defect"):
        calibrated(source, calibration_folder, [])


def test_a_picture_in_both_sets_is_refused_whatever_its_name(
    source: pipeline.Source, calibration_folder: Path, labelled_folder: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both"
    shutil.copytree(calibration_folder, both)
    shutil.copy(find_images(labelled_folder)[3], both / "another_name.png")
    datasets = load_sets([labelled_folder], source.spec)
    assert calibrated(source, calibration_folder, datasets)[1].images == 12
    with pytest.raises(DatasetError, match=r"1 images are in both sets, such as .*003\.png .*another_name\.png"):
        calibrated(source, both, datasets)


def test_images_in_subfolders(
    source: pipeline.Source, calibration_folder: Path, labelled_folder: Path, tmp_path: Path
) -> None:
    """frigate#11270: dated subfolders were skipped without a word."""
    shutil.copytree(calibration_folder, tmp_path / "calibration" / "2026-11-30")
    shutil.copytree(labelled_folder, tmp_path / "images" / "30" / "am")
    (unlabelled,) = load_sets([], source.spec, LabelRules(recursive=True), [tmp_path / "images"])
    assert len(unlabelled) == len(find_images(labelled_folder))
    assert calibrated(source, tmp_path / "calibration", [unlabelled], recursive=True)[1].images == 12
    with pytest.raises(DatasetError, match="--recursive"):
        calibrated(source, tmp_path / "calibration", [])


def test_an_empty_folder_and_a_file_that_is_no_picture_are_refused(source: pipeline.Source, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no image among 0 files"):
        calibrated(source, tmp_path, [])
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"a\.png: 10 bytes"):
        calibrated(source, tmp_path, [])


# --- conversion ------------------------------------------------------------------------------------------------------


def test_from_trained_model_to_verdict(
    source: pipeline.Source, labelled_folder: Path, calibration_folder: Path, tmp_path: Path
) -> None:
    datasets = load_sets([labelled_folder], source.spec)
    calibration = calibrated(source, calibration_folder, datasets)
    reference = reference_readings(source, datasets)
    assert reference[0].labels == tuple(entry.label for entry in datasets[0])  # Keras in another batch: the same
    candidates = {
        name: convert(source, tmp_path / "x.tflite", RECIPES[name], datasets, reference, Gate(0.9, 10.0), calibration)
        for name in ("float32", "int8-full")
    }
    assert {name: candidate.verification.parity.verdict for name, candidate in candidates.items()} == {
        "float32": "pass",
        "int8-full": "fail",
    }
    for candidate in candidates.values():
        assert candidate.artifact.spec.parity is None
        assert candidate.verified.spec.parity == candidate.verification.parity
        assert candidate.verified.payload == candidate.artifact.payload
    assert not list(tmp_path.iterdir())  # nothing is written
    assert all(ms > 0 for ms in latencies_ms(list(candidates.values()), datasets[0]))


@pytest.mark.parametrize(
    "changes",
    [{"reduce": "area"}, {"interpolation": "area"}, {"rotate": 180}, {"invert": True}, {"filters": ("otsu",)}],
    ids=lambda changes: next(iter(changes)),
)
def test_an_artifact_that_sees_otherwise_is_not_compared(
    source: pipeline.Source, tiny_artifact: Path, changes: dict[str, Any]
) -> None:
    """The reference and the artifact are read by the same rules: every step of preprocessing counts."""
    spec = replace(source.spec, input=replace(source.spec.input, axes="HWC", dtype="uint8"))
    same = Artifact(tiny_artifact, spec, b"")
    pipeline.check_same_network(same, source)
    other = replace(same, spec=replace(spec, input=replace(spec.input, **changes)))
    with pytest.raises(ModelSpecError, match=next(iter(changes))):
        pipeline.check_same_network(other, source)


def test_labels_that_do_not_fit_into_the_time_steps_are_refused(tiny_keras: Path, labelled_folder: Path) -> None:
    """PaddleOCR#17876: the network can read no such label correctly, so that the verdict would say nothing."""
    spec = open_source(tiny_keras).spec
    with pytest.raises(DatasetError, match="do not fit into the 1 time steps"):
        load_sets([labelled_folder], replace(spec, skip_steps=spec.output.steps - 1))
