"""`edge-crnn convert` and `verify` on files of Keras 2: models saved with their loss, and weights alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters.reference.keras import KerasReference
from converters.verify.gate import read_all
from edge_crnn.dataset import find_images, load_labelled
from edge_crnn.model.artifact import load, sidecar
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec

SPEC = ModelSpec(
    name="old plates",
    symbols=tuple("0123456789"),
    blank=10,
    input=InputSpec(width=32, height=16, axes="WHC", scale=1 / 127.5, offset=-1.0),
    output=OutputSpec(steps=8, classes=11),
)
SAID = ("--architecture", "plates", "--recurrent-activation", "hard_sigmoid")

Run = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture(scope="module")
def models(keras: Any, keras2_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one's own with a whole model and weights, and their specs."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("plates-hard_sigmoid.h5", "weights-hard_sigmoid.h5"):
        shutil.copy(keras2_folder / name, folder)
        sidecar(folder / name).write_text(SPEC.to_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def pictures(models: Path, calibration_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, labelled by what the model reads."""
    folder = tmp_path_factory.mktemp("pictures") / "old"
    shutil.copytree(calibration_folder, folder)
    names = [path.name for path in find_images(folder)]
    table = folder / "labels.csv"
    table.write_text("".join(["image,label\n", *(f"{name},0\n" for name in names)]))
    reference = KerasReference(models / "plates-hard_sigmoid.h5")
    labels = read_all(reference, SPEC, load_labelled(folder, SPEC.alphabet), "labelling").labels
    reference.close()
    assert len(set(labels)) > 3
    table.write_text(
        "".join(["image,label\n", *(f"{name},{label}\n" for name, label in zip(names, labels, strict=True))])
    )
    return folder


def test_a_model_saved_as_it_was_trained(run: Run, models: Path, pictures: Path, tmp_path: Path) -> None:
    model, target = models / "plates-hard_sigmoid.h5", tmp_path / "x.tflite"
    status, out, err = run("convert", model, "--recipe", "float32", "--labelled", pictures, "-o", target)
    assert (status, err) == (0, [])
    assert out[0] == f"{model}: the training head 'ctc' is left out"
    assert any("same text on 100.00%" in line for line in out)
    # The same weights without the graph are another file of the same network.
    status, out, err = run("verify", models / "weights-hard_sigmoid.h5", target, "--labelled", pictures, *SAID)
    assert (status, err) == (0, [])
    assert "was not converted from" in out[0]
    assert any("same text on 100.00%" in line for line in out)


def test_weights_alone(run: Run, models: Path, pictures: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.tflite"
    words = ("convert", models / "weights-hard_sigmoid.h5", "--recipe", "float32", "--labelled", pictures, "-o", target)
    status, out, err = run(*words, *SAID)
    assert (status, err) == (0, [])
    assert "same text on 100.00%" in out[0]
    assert load(target).spec.name == "old plates"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "this .h5 has no model_config: it holds weights only"),
        (("--architecture", "plates"), "Keras before 2.3 trained with hard_sigmoid unless told otherwise"),
        (("--recurrent-activation", "sigmoid"), "a whole model says its own gates' function"),
        (("--architecture", "digits", "--recurrent-activation", "sigmoid"), "network 'digits' for 32×16 pixels"),
    ],
    ids=str,
)
def test_missing_fact_is_requested(
    words: tuple[str, ...], message: str, run: Run, models: Path, pictures: Path, tmp_path: Path
) -> None:
    model, target = models / "weights-hard_sigmoid.h5", tmp_path / "x.tflite"
    status, out, err = run("convert", model, "--recipe", "float32", "--labelled", pictures, "-o", target, *words)
    assert (status, out) == (1, [])
    (line,) = err
    assert line.startswith("edge-crnn convert: ")
    assert message in line
    assert not target.exists()


def test_the_wrong_gates_misread_labelled_images(run: Run, models: Path, pictures: Path, tmp_path: Path) -> None:
    """A user who does not know the gates sees that the trained model itself reads badly."""
    words = ("convert", models / "weights-hard_sigmoid.h5", "--recipe", "float32", "--labelled", pictures)
    _, out, _ = run(
        *words, "-o", tmp_path / "x.tflite", "--architecture", "plates", "--recurrent-activation", "sigmoid"
    )
    assert not any("trained model 100.00%" in line for line in out)
