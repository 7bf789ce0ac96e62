"""Folders of images for the tiny trained model, labelled by what it reads itself; files of older frameworks."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_crnn.cli.main import main
from edge_crnn.dataset import Entry, find_images, load_labelled
from edge_crnn.files import sha256
from edge_crnn.model.artifact import Artifact, load, load_sidecar
from tests.edge_crnn.backends.conftest import on_gpu, rtx

__all__ = ["on_gpu", "rtx"]

KEPT_FILES = Path(__file__).parents[2] / "build" / "test-files"
"""Files of older frameworks, which later runs of the tests use again."""


def draw(folder: Path, count: int, seed: int) -> Path:
    """Soft blobs, 40×20 pixels, in PNG files."""
    import cv2

    random = np.random.default_rng(seed)
    folder.mkdir()
    for index in range(count):
        grid = random.integers(0, 256, (5, 9), np.uint8)
        picture = np.repeat(np.repeat(grid, 5, axis=0), 5, axis=1)[2:22, 2:42]
        assert cv2.imwrite(str(folder / f"{index:03d}.png"), picture)
    return folder


def onnx_with(path: Path, weight: str, factor: float) -> Artifact:
    """Multiply a constant of an artifact by a factor."""
    import onnx

    artifact = load(path)
    model = onnx.load_model_from_string(artifact.payload)
    (tensor,) = (constant for constant in model.graph.initializer if constant.name == weight)
    value = onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array((value * factor).astype(value.dtype), weight))
    return Artifact(path, artifact.spec, model.SerializeToString())


@pytest.fixture(scope="session")
def calibration_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images to calibrate with."""
    return draw(tmp_path_factory.mktemp("pictures") / "calibration", 12, 1)


@pytest.fixture(scope="session")
def labelled_folder(tiny_keras: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty images with the readings of `tiny_keras` in a `labels.csv`."""
    from converters.reference.keras import KerasReference
    from converters.verify.gate import read_all

    folder = draw(tmp_path_factory.mktemp("pictures") / "labelled", 60, 2)
    names = [path.name for path in find_images(folder)]
    table = folder / "labels.csv"
    table.write_text("".join(["image,label\n", *(f"{name},0\n" for name in names)]))
    spec = load_sidecar(tiny_keras)
    reference = KerasReference(tiny_keras)
    labels = read_all(reference, spec, load_labelled(folder, spec.alphabet), "labelling").labels
    reference.close()
    assert len(set(labels)) > 30
    assert all(labels)
    table.write_text(
        "".join(["image,label\n", *(f"{name},{label}\n" for name, label in zip(names, labels, strict=True))])
    )
    return folder


@pytest.fixture(scope="session")
def entries(
    tiny_pictures: list[np.ndarray], tiny_labels: list[str], tmp_path_factory: pytest.TempPathFactory
) -> list[Entry]:
    """`tiny_pictures` in files."""
    cv2 = pytest.importorskip("cv2")
    folder = tmp_path_factory.mktemp("pictures")
    entries = [Entry(folder / f"{label}.png", label) for label in tiny_labels]
    for entry, picture in zip(entries, tiny_pictures, strict=True):
        assert cv2.imwrite(str(entry.path), picture)
    return entries


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `images.npy` (3, 100, 32, 1) and TensorFlow 1 checkpoints of the digits network for 10 digits.

    `fresh`: narrow, statistics and biases as they start; `trained`: narrow, all random; `full`: full width, without
    the optimiser's variables; each with the `logits.npy` (3, 24, 11) that TensorFlow gives. `odd`: no network.
    """
    return _written("tf1_network.py", tmp_path_factory.mktemp("checkpoints") / "files")


@pytest.fixture(scope="session")
def keras2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `keras2_files.py` writes."""
    return _written("keras2_files.py", tmp_path_factory.mktemp("keras2") / "files")


def _written(script: str, folder: Path) -> Path:
    """Fill a folder with the files of a script beside this module, which runs with the layers of Keras 2.

    TensorFlow takes ten seconds to write them, and always writes the same. They are kept in `KEPT_FILES`, and are
    copied from there until the script or an installed package changes.
    """
    tf_keras = importlib.util.find_spec("tf_keras")
    if tf_keras is None or tf_keras.origin is None:
        pytest.skip("tf-keras is not installed; it comes with edge-crnn[dev]")
    source = Path(__file__).with_name(script)
    packages = sorted(path.name for path in Path(tf_keras.origin).parents[1].glob("*.dist-info"))
    digest = sha256("\n".join([sys.version, *packages, source.read_text(encoding="utf-8")]).encode())
    kept = KEPT_FILES / source.stem / digest[:16]
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.parent.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # held by one worker, or one run, at a time
        if not kept.exists():
            _run_with_keras2(source, kept)
        shutil.copytree(kept, folder)
    return folder


def _run_with_keras2(script: Path, folder: Path) -> None:
    """Replace whatever lies beside the folder by the folder that the script writes."""
    shutil.rmtree(folder.parent)
    partial = folder.with_suffix(".partial")
    partial.mkdir(parents=True)
    command = [sys.executable, "-W", "ignore", str(script), str(partial)]
    old_layers = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    ended = subprocess.run(command, env=old_layers, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    partial.rename(folder)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str], list[str]]]:
    """Runs a command; gives its status and the lines of stdout and of stderr, without LiteRT's greeting."""

    def run(*words: object) -> tuple[int, list[str], list[str]]:
        status = main([str(word) for word in words])
        out, err = capfd.readouterr()
        return status, out.splitlines(), [line for line in err.splitlines() if not line.startswith("INFO: ")]

    return run
