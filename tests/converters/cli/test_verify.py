"""`edge-crnn verify` on a real trained model, with real Keras as the reference."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_crnn.cli.main import main
from edge_crnn.dataset import find_images
from edge_crnn.model.artifact import sidecar
from edge_crnn.reader import DEFAULT_MODEL
from tests.converters.cli.conftest import WIDE, Run, another_file

pytestmark = pytest.mark.usefixtures("one_keras")


@pytest.fixture(scope="module")
def converted(tiny_keras: Path, labelled_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("converted") / "good.tflite"
    words = ["convert", tiny_keras, "--recipe", "float32", "--labelled", labelled_folder, "-o", path]
    assert main([str(word) for word in words]) == 0
    return path


def test_verify_reports_every_model(
    run: Run, converted: Path, tiny_artifact: Path, tiny_keras: Path, labelled_folder: Path, tmp_path: Path
) -> None:
    """The other one was made from another network: that is said, and it fails."""
    words = ["verify", tiny_keras, converted, tiny_artifact, "--labelled", labelled_folder, *WIDE]
    page, results = tmp_path / "page.html", tmp_path / "results.json"
    status, out, err = run(*words, "--page", page, "--results", results, "--images-are", "soft blobs")
    assert status == 3
    assert len(err) == 1
    assert f"{tiny_artifact.name}: does not meet the gate; --localise shows" in err[0]
    assert out[0].startswith("good.tflite: pass: ")
    foreign = out.index(f"{tiny_artifact}: was not converted from {tiny_keras}")
    assert out[foreign + 1].startswith(f"{tiny_artifact.name}: fail: ")
    assert sum(line.startswith(f"  {labelled_folder}/") for line in out) == 20
    assert any(line.endswith(" more") for line in out)
    assert [str(path) in line for path, line in zip((results, page), out[-2:], strict=True)] == [True, True]
    text = page.read_text(encoding="utf-8")
    assert f"{tiny_artifact.name} does not read what the trained model reads" in text
    assert "60 soft blobs" in text
    assert run("report", results, "-o", tmp_path / "again.html")[0] == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_verify_refuses_an_artifact_of_another_alphabet(run: Run, tiny_keras: Path, labelled_folder: Path) -> None:
    status, out, err = run("verify", tiny_keras, DEFAULT_MODEL, "--labelled", labelled_folder)
    assert (status, out, len(err)) == (1, [], 1)
    assert "its alphabet or its images are not those of" in err[0]
    assert "; classes 42, there 11; " in err[0]


def test_verify_refuses_the_images_that_calibrated(
    convert: Run, run: Run, tiny_keras: Path, labelled_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "calibration"
    folder.mkdir()
    table = (labelled_folder / "labels.csv").read_text().splitlines()[:9]
    (folder / "labels.csv").write_text("\n".join(table))
    for line in table[1:]:
        name = line.partition(",")[0]
        another_file(labelled_folder / name, folder / name)
    assert (
        convert("--recipe", "int8", "--calibration", folder, "--gate-agreement", "0", "--gate-accuracy", "100")[0] == 0
    )
    status, out, err = run("verify", tiny_keras, tmp_path / "x.tflite", "--labelled", folder)
    assert (status, out, len(err)) == (1, [], 1)
    assert "x.tflite was calibrated with these images; verify with others" in err[0]


def test_verify_changes_nothing(run: Run, converted: Path, tiny_keras: Path, labelled_folder: Path) -> None:
    before = converted.read_bytes()
    status, out, err = run("verify", tiny_keras, converted, "--labelled", labelled_folder, *WIDE)
    assert (status, err) == (0, [])
    assert out[0].startswith("good.tflite: pass: ")
    assert converted.read_bytes() == before
    assert [path.name for path in converted.parent.iterdir()] == ["good.tflite"]


def test_verify_underpowered_is_met_unless_strict(
    run: Run, converted: Path, tiny_keras: Path, labelled_folder: Path
) -> None:
    words = ["verify", tiny_keras, converted, "--labelled", labelled_folder]
    assert run(*words)[0] == 0
    status, _, err = run(*words, "--strict")
    assert (status, len(err)) == (3, 1)


def test_verify_refuses_damaged_models(run: Run, converted: Path, tiny_keras: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.tflite"
    data = bytearray(converted.read_bytes())
    data[5000:9000] = np.random.default_rng(0).bytes(4000)
    bad.write_bytes(data)
    status, out, err = run("verify", tiny_keras, bad, "--labelled", tmp_path)
    assert (status, out, len(err)) == (1, [], 1)
    assert "the file is damaged or was changed" in err[0]


def test_verify_tells_a_model_that_reads_nothing_right(
    run: Run, converted: Path, tiny_keras: Path, labelled_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "wrong"
    folder.mkdir()
    for index, path in enumerate(find_images(labelled_folder)[:3]):
        shutil.copy(path, folder / f"{77777 + index}.png")
    status, out, err = run("verify", tiny_keras, converted, "--labelled", folder)
    assert (status, out, len(err)) == (3, [], 1)
    assert "the trained model reads none of the 3 images correctly; check the labels" in err[0]
    assert sidecar(converted).exists() is False
