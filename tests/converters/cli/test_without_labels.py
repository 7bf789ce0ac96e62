"""`edge-crnn convert` and `verify` with images that have no labels, and without any images."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from converters import pipeline
from converters.reference import cache
from edge_crnn.dataset import find_images
from edge_crnn.model.artifact import load, sidecar
from tests.converters.cli.conftest import WIDE, Run

pytestmark = pytest.mark.usefixtures("one_keras")


@pytest.fixture(scope="session")
def unlabelled(labelled_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of `labelled_folder`, by names that are no labels."""
    folder = tmp_path_factory.mktemp("unlabelled") / "frames"
    folder.mkdir()
    for path in find_images(labelled_folder):
        shutil.copy(path, folder / f"frame-{path.name}")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def has(out: list[str], *parts: str) -> bool:
    """Return whether a line has all of these parts."""
    return any(all(part in line for part in parts) for line in out)


# --- images without labels -------------------------------------------------------------------------------------------


def test_agreement_without_labels(run: Run, tiny_keras: Path, unlabelled: Path, here: Path) -> None:
    status, out, err = run("convert", tiny_keras, "--recipe", "float32", "--images", unlabelled, *WIDE)
    assert (status, err) == (0, [])
    assert has(out, "without labels nothing shows", "compare them with the images")
    assert has(out, "pass: same text on 100.00%", "accuracy was not measured; 60 images")
    assert has(out, "60 images; no labels; same text 100.00%")
    parity = load(here / "tiny.tflite").spec.parity
    assert parity is not None
    assert (parity.verdict, parity.accuracy_change, parity.mcnemar_p) == ("pass", None, None)
    assert [image_set.labelled for image_set in parity.sets] == [False]
    assert run("info", "tiny.tflite")[0] == 0
    status, out, err = run("verify", tiny_keras, "tiny.tflite", "--images", unlabelled, *WIDE)
    assert (status, err) == (0, [])
    assert has(out, "accuracy was not measured")


def test_accuracy_is_that_of_labelled_images_alone(
    run: Run, tiny_keras: Path, labelled_folder: Path, calibration_folder: Path, here: Path
) -> None:
    words = ["convert", tiny_keras, "--recipe", "float32", "--images", calibration_folder, *WIDE]
    status, out, _ = run(*words, "--labelled", labelled_folder)
    assert status == 0
    assert has(out, "accuracy +0.00 points", "72 images")
    parity = load(here / "tiny.tflite").spec.parity
    assert parity is not None
    assert [(image_set.images, image_set.labelled) for image_set in parity.sets] == [(60, True), (12, False)]


def test_a_page_without_labels(
    run: Run, tiny_keras: Path, unlabelled: Path, calibration_folder: Path, here: Path
) -> None:
    words = ["convert", tiny_keras, "--recipe", "int8", "--calibration", calibration_folder, "--images", unlabelled]
    status, _, err = run(*words, "--page", "page.html", "--results", "results.json")
    assert status == 3
    assert "does not meet the gate" in err[0]
    page = (here / "page.html").read_text(encoding="utf-8")
    assert "accuracy was not measured" in page
    assert run("report", "results.json", "-o", "again.html", "--markdown", "again.md")[0] == 0
    assert (here / "again.html").read_text(encoding="utf-8") == page


def test_some_of_the_images_calibrate(run: Run, tiny_keras: Path, unlabelled: Path, here: Path) -> None:
    low = ["--gate-agreement", "10"]
    status, out, _ = run("convert", tiny_keras, "--images", unlabelled, *low)
    assert status == 0
    assert "calibrated with 15 of the images" in out[0]
    spec = load(here / "tiny.tflite").spec
    assert spec.artifact is not None
    assert spec.artifact.calibration is not None
    assert spec.parity is not None
    assert (spec.artifact.recipe, spec.artifact.calibration.images, spec.parity.images) == ("int8", 15, 45)
    status, out, _ = run("verify", tiny_keras, "tiny.tflite", "--images", unlabelled, *low)
    assert status == 0
    assert out[0].startswith("15 of the images calibrated")
    assert has(out, "45 images")


def test_unused_labels_are_mentioned(run: Run, tiny_keras: Path, labelled_folder: Path, here: Path) -> None:
    status, out, _ = run("convert", tiny_keras, "--recipe", "float32", "--images", labelled_folder, "--dry-run")
    assert status == 0
    assert out[0].endswith(f"--labelled {labelled_folder} shows accuracy, too")


def test_an_older_name_of_labelled(run: Run, tiny_keras: Path, labelled_folder: Path, here: Path) -> None:
    status, out, err = run("convert", tiny_keras, "--recipe", "float32", "--verify", labelled_folder, *WIDE)
    assert (status, err) == (0, ["edge-crnn convert: --verify is now --labelled"])
    assert has(out, "accuracy +0.00 points")


def test_options_for_labels_are_about_labelled_images(run: Run, tiny_keras: Path, unlabelled: Path, here: Path) -> None:
    status, _, err = run("convert", tiny_keras, "--images", unlabelled, "--label-pattern", "{index}_{label}")
    assert status == 1
    assert "--labelled DIR" in err[0]


# --- no images -------------------------------------------------------------------------------------------------------


def test_no_images_give_an_unverified_artifact(run: Run, tiny_keras: Path, here: Path) -> None:
    status, out, err = run("convert", tiny_keras)
    assert (status, err) == (0, [])
    assert "recipe dynamic instead of int8" in out[0]
    assert "unverified: no image with text was read" in out[1]
    assert f"edge-crnn verify {tiny_keras} tiny.tflite --labelled DIR" in out[-1]
    spec = load(here / "tiny.tflite").spec
    assert spec.artifact is not None
    assert spec.parity is not None
    assert (spec.artifact.recipe, spec.parity.verdict, spec.parity.sets) == ("dynamic", "unverified", ())
    status, out, _ = run("info", "tiny.tflite")
    assert status == 0
    assert any("unverified" in line for line in out)


def test_strict_wants_images(run: Run, tiny_keras: Path, here: Path) -> None:
    status, _, err = run("convert", tiny_keras, "--recipe", "float32", "--strict")
    assert status == 3
    assert len(err) == 1
    assert not names(here)


@pytest.mark.parametrize(("target", "suffix"), [("onnx", ".onnx"), ("tflite", ".tflite")])
def test_auto_without_images(target: str, suffix: str, run: Run, tiny_keras: Path, here: Path) -> None:
    pytest.importorskip("onnx")
    status, out, _ = run("convert", tiny_keras, "--to", target, "--recipe", "auto")
    assert status == 0
    assert any(line.startswith("float32 ") and "unverified" in line for line in out)
    assert names(here) == [f"tiny{suffix}"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--recipe", "int8"], "recipe int8 needs images to calibrate with; add --labelled DIR"),
        (["--page", "x.html"], "--page and --results need images"),
        (["--results", "x.json"], "--page and --results need images"),
    ],
)
def test_options_that_need_images(words: list[str], expected: str, run: Run, tiny_keras: Path, here: Path) -> None:
    status, out, err = run("convert", tiny_keras, *words)
    assert (status, out, len(err)) == (1, [], 1)
    assert expected in err[0]
    assert not names(here)


def test_verify_wants_images(run: Run, tiny_keras: Path, tiny_artifact: Path) -> None:
    status, out, err = run("verify", tiny_keras, tiny_artifact)
    assert (status, out, len(err)) == (1, [], 1)
    assert "no images to verify with; add --labelled DIR" in err[0]


# --- a dry run -------------------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(run: Run, tiny_keras: Path, labelled_folder: Path, here: Path) -> None:
    words = ["convert", tiny_keras, "--labelled", labelled_folder, "--recipe", "float32", "--dry-run", *WIDE]
    status, out, err = run(*words, "--page", "x.html", "--results", "x.json")
    assert (status, err) == (0, [])
    assert has(out, "pass: same text on 100.00%")
    assert out[-1].startswith("dry run: tiny.tflite was not written")
    assert not names(here)
    assert names(tiny_keras.parent) == [tiny_keras.name, sidecar(tiny_keras).name]
    status, _, err = run("convert", tiny_keras, "--dry-run", "--images", labelled_folder)
    assert status == 3
    assert not names(here)


# --- the cache -------------------------------------------------------------------------------------------------------


def test_a_second_run_does_not_start_tensorflow(
    run: Run, tiny_keras: Path, unlabelled: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_CRNN_CACHE", str(here / "cache"))
    words = ["convert", tiny_keras, "--images", unlabelled, "--gate-agreement", 1, "-o", "x.tflite"]
    cache._code.cache_clear()  # the code may have been edited since the tests began
    started: list[int] = []
    read = pipeline._read_by_reference
    monkeypatch.setattr(pipeline, "_read_by_reference", lambda *args: (started.append(1), read(*args))[1])
    assert run(*words, "--recipe", "float32")[0] == 0
    assert len(started) == 1
    code = "import sys; from edge_crnn.cli.main import main; sys.exit(main() or 'tensorflow' in sys.modules)"
    command = [sys.executable, "-c", code, *map(str, words), "--recipe", "dynamic"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert run(*words, "--recipe", "dynamic", "--no-cache")[0] == 0
    assert len(started) == 2


def test_a_spec_from_options_is_written_with_the_artifact(
    run: Run, tiny_keras: Path, labelled_folder: Path, here: Path
) -> None:
    bare = here / "bare.keras"
    shutil.copy(tiny_keras, bare)
    spec = json.loads(sidecar(tiny_keras).read_text())
    declared = [
        "--alphabet", spec["symbols"], "--blank", "last", "--scale", "1/127.5", "--offset", "-1", "--skip-steps", "2",
        "--rotate", "0", "--width", "32", "--height", "16",
    ]  # fmt: skip
    words = ["convert", bare, *declared, "--recipe", "float32", "--labelled", labelled_folder, *WIDE]
    status, _, err = run(*words, "--dry-run")
    assert (status, err) == (0, [])
    assert names(here) == ["bare.keras"]
    status, out, _ = run(*words)
    assert status == 0
    assert any(line.startswith(f"wrote {sidecar(bare)}: the spec") for line in out)
    assert names(here) == ["bare.keras", "bare.keras.json", "bare.tflite"]
