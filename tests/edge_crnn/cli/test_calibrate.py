from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn import open_reader
from edge_crnn.cli.main import main
from edge_crnn.model.artifact import load, save

Run = Callable[..., tuple[int, list[str], str]]

IMAGES = 160


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command and returns exit status, lines of stdout, and stderr."""

    def run(*words: object) -> tuple[int, list[str], str]:
        status = main([str(word) for word in words])
        streams = capsys.readouterr()
        return status, streams.out.splitlines(), streams.err

    return run


@pytest.fixture(scope="module")
def folder(tiny_pictures: list[np.ndarray], tiny_labels: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny images with increasing noise, so that some are read wrong."""
    folder = tmp_path_factory.mktemp("labelled")
    random = np.random.default_rng(5)
    lines = ["image,label"]
    for index in range(IMAGES):
        noise = random.normal(0, 40 * index / IMAGES, tiny_pictures[0].shape)
        picture = np.clip(tiny_pictures[index % 8] + noise, 0, 255).astype(np.uint8)
        (folder / f"{index:03d}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        lines.append(f"{index:03d}.png,{tiny_labels[index % 8]}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(params=["tflite", "onnx"])
def artifact(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of the tiny model."""
    artifact = request.getfixturevalue("tiny_artifact" if request.param == "tflite" else "tiny_onnx")
    return Path(shutil.copy(artifact if request.param == "tflite" else artifact(), tmp_path))


def test_from_a_folder_to_rejected_readings(artifact: Path, folder: Path, run: Run) -> None:
    before = load(artifact)
    status, lines, errors = run("read", "--model", artifact, "--target-precision", 0.9, folder)
    assert (status, lines) == (1, [])
    assert "not calibrated" in errors
    assert errors.count("\n") == 1

    status, lines, errors = run("calibrate", artifact, "--images", folder)
    assert (status, errors) == (0, "")
    after = load(artifact)
    confidence = after.spec.confidence
    assert confidence is not None
    assert lines[0] == f"{artifact.name}: {confidence.headline}; greedy, grammar none"
    assert f"on {IMAGES} images; expected calibration error {confidence.error:.4f}" in lines[0]
    assert 0 < confidence.right < IMAGES == confidence.images
    assert lines[1].endswith(f"({confidence.right} correct)")
    assert f"{confidence.right / IMAGES:.3%}" in lines[-2]  # all accepted
    assert (after.payload, after.spec.artifact) == (before.payload, before.spec.artifact)

    best = max(confidence.coverage, key=lambda point: point.shown)
    reachable = int(1000 * best.shown) / 1000
    words = ["read", "--model", artifact, folder, "--format", "jsonl"]
    status, lines, errors = run(*words, "--target-precision", reachable)
    assert (status, errors) == (0, "")
    readings = [json.loads(line) for line in lines]
    truths = dict(line.split(",") for line in (folder / "labels.csv").read_text().splitlines())
    accepted = [reading for reading in readings if reading["accepted"]]
    right = [reading["label"] == truths[Path(reading["image"]).name] for reading in accepted]
    assert 0 < len(accepted) < IMAGES
    assert np.mean(right) >= reachable
    assert min(reading["confidence"] for reading in accepted) > max(
        reading["confidence"] for reading in readings if not reading["accepted"]
    )
    assert sum(reading["label"] == truths[Path(reading["image"]).name] for reading in readings) == confidence.right

    status, lines, errors = run(*words, "--target-precision", 0.9999)
    assert (status, lines) == (1, [])
    assert f"calibrated with {IMAGES} images, and to show a precision of 0.9999, it needs 29,956 readings" in errors
    status, lines, errors = run(*words, "--target-precision", reachable, "--decoder", "beam")
    assert (status, lines) == (1, [])
    assert "calibrated for its own decoder, greedy, grammar none, found beam of width 10" in errors
    status, lines, _ = run("info", artifact)
    assert f"confidence   {confidence.headline}" in lines


def test_a_calibrated_artifact_reads_one_as_it_reads_many(
    tiny_artifact: Path, folder: Path, tiny_pictures: list[np.ndarray], tmp_path: Path, run: Run
) -> None:
    target = tmp_path / "calibrated.tflite"
    words = ["calibrate", tiny_artifact, "-o", target, "--images", folder, "--isotonic"]
    assert run(*words, "--target-precision", 0.5, "--decoder", "beam", "--grammar", "[0-9]{4,7}")[0] == 0
    assert load(tiny_artifact).spec.confidence is None
    spec = load(target).spec
    assert spec.confidence is not None
    assert spec.confidence.isotonic
    assert (spec.decoder.method, spec.decoder.grammar) == ("beam", "[0-9]{4,7}")
    assert spec.decoder.reject_below in [point.threshold for point in spec.confidence.coverage]
    with open_reader(target, workers=1) as reader, open_reader(tiny_artifact, decoder=spec.decoder) as raw:
        singles = [reader.read(picture) for picture in tiny_pictures]
        assert reader.read_batch(tiny_pictures) == singles
        assert [reading.confidence for reading in singles] != [
            reading.confidence for reading in raw.read_batch(tiny_pictures)
        ]


def test_negatives_count_as_wrong(tiny_artifact: Path, folder: Path, tmp_path: Path, run: Run) -> None:
    random = np.random.default_rng(7)
    (tmp_path / "signs" / "old").mkdir(parents=True)
    (tmp_path / "lamps").mkdir()
    for index, place in enumerate(["signs", "signs/old", "lamps"] * 10):
        picture = random.integers(0, 256, (32, 100, 3), np.uint8)
        (tmp_path / place / f"{index}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    target = tmp_path / "new.tflite"
    words = ["calibrate", tiny_artifact, "-o", target, "--images", folder]
    status, lines, errors = run(*words, "--negatives", tmp_path / "signs", "--negatives", tmp_path / "lamps")
    assert (status, errors) == (0, "")
    confidence = load(target).spec.confidence
    assert confidence is not None
    assert (confidence.images, confidence.negatives) == (IMAGES, 30)
    assert f"{IMAGES} images and 30 negatives" in lines[0]
    assert lines[1].split()[:5] == ["coverage", "threshold", "precision", "shown", "negatives"]
    assert int(lines[-2].split()[-1]) == confidence.coverage[-1].negatives
    assert run(*words, "--negatives", folder)[0] == 1  # every image is in both


@pytest.mark.thorough
def test_a_picture_of_the_curves(tiny_artifact: Path, folder: Path, tmp_path: Path, run: Run) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed; it comes with edge-crnn[train]")
    picture = tmp_path / "curve.png"
    words = ["calibrate", tiny_artifact, "-o", tmp_path / "new.tflite", "--images", folder, "--curve", picture]
    status, lines, errors = run(*words)
    assert (status, errors) == (0, "")
    assert f"{picture}: the reliability curve" in lines[-2]
    image = cv2.imread(str(picture))
    assert image is not None
    assert image.shape == (450, 1000, 3)
    assert (np.ptp(image.astype(int), axis=2) > 80).any()  # a curve in colour


def test_a_target_that_nothing_shows_writes_nothing(
    tiny_artifact: Path, folder: Path, tmp_path: Path, run: Run
) -> None:
    target = tmp_path / "new.tflite"
    words = ["calibrate", tiny_artifact, "-o", target, "--images", folder, "--target-precision", 0.999]
    status, _, errors = run(*words)
    assert status == 1
    assert (
        f"calibrated with {IMAGES} images, and to show a precision of 0.999, it needs 2,995 readings without an error"
        in errors
    )
    assert list(tmp_path.iterdir()) == []


EXPECTED: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "few": (lambda folder: ["--images", folder / "few"], "2 images to calibrate with, expected at least 100"),
    "twice": (lambda folder: ["--images", folder / "twice"], "1 images occur more than once"),
    "no label": (
        lambda folder: ["--images", folder / "strange"],
        "labels have characters that the alphabet does not have: 'x' 1; such as 'x4'",
    ),
    "another kind": (
        lambda folder: ["--images", folder / "few", "-o", folder / "new.onnx"],
        "the output must end in .tflite",
    ),
    "no image": (
        lambda folder: ["--images", folder / "few", "--curve", folder / "curve.jpg"],
        "the curve must end in .png",
    ),
    "no place": (lambda folder: ["--images", folder / "few", "-o", folder / "none" / "new.tflite"], "cannot write"),
}


@pytest.mark.parametrize(("words", "message"), EXPECTED.values(), ids=EXPECTED)
def test_expected_failures_are_one_line(
    tiny_artifact: Path, tmp_path: Path, run: Run, words: Callable[[Path], list[object]], message: str
) -> None:
    for name, labels in (("few", ("12", "34")), ("twice", ("12", "34")), ("strange", ("12", "x4"))):
        place = tmp_path / name
        place.mkdir()
        for index, label in enumerate(labels):
            picture = np.full((16, 32), 10 if name == "twice" else index, np.uint8)
            (place / f"{label}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    status, lines, errors = run("calibrate", tiny_artifact, *words(tmp_path))
    assert (status, lines) == (1, [])
    assert errors.startswith("edge-crnn calibrate: ")
    assert message in errors
    assert errors.count("\n") == 1
    assert load(tiny_artifact).spec.confidence is None


def test_the_options_choose_the_source_of_labels(tiny_artifact: Path, folder: Path, tmp_path: Path, run: Run) -> None:
    other = tmp_path / "images"
    shutil.copytree(folder, other)
    rows = [line.split(",") for line in (other / "labels.csv").read_text().splitlines()[1:]]
    (other / "labels.csv").unlink()
    (tmp_path / "list.txt").write_text("\n".join(f"{image}\t{label[:2]}-{label[2:]}" for image, label in rows))
    words = ["calibrate", tiny_artifact, "-o", tmp_path / "new.tflite", "--images", other]
    status, _, errors = run(*words, "--labels", tmp_path / "list.txt")
    assert status == 1
    assert f"'-' {IMAGES}; such as" in errors
    status, _, errors = run(*words, "--labels", tmp_path / "list.txt", "--drop-unknown")
    assert status == 0
    assert f"dropped {IMAGES} characters that the alphabet does not have: '-' {IMAGES}\n" in errors


def test_two_ways_to_reject_are_not_one(tiny_artifact: Path, folder: Path, run: Run) -> None:
    words = ["read", "--model", tiny_artifact, folder, "--min-confidence", 0.5, "--target-precision", 0.9]
    status, lines, errors = run(*words)
    assert (status, lines) == (2, [])
    assert "not allowed with argument" in errors


def test_labels_that_do_not_fit_into_the_time_steps_are_refused(tiny_artifact: Path, folder: Path, run: Run) -> None:
    """PaddleOCR#17876: the network can read no such label correctly, so its confidences would seem too high."""
    original = load(tiny_artifact)
    artifact = folder.parent / "short.tflite"
    save(artifact, original.payload, replace(original.spec, skip_steps=original.spec.output.steps - 1))
    status, lines, errors = run("calibrate", artifact, "--images", folder)
    assert (status, lines) == (1, [])
    assert "do not fit into the 1 time steps" in errors
