"""Folders of pictures for the tiny trained model, labelled by what it reads itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_crnn.artifact import load_sidecar
from edge_crnn.dataset import find_images, load_labelled


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


@pytest.fixture(scope="session")
def calibration_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures to calibrate with."""
    return draw(tmp_path_factory.mktemp("pictures") / "calibration", 12, 1)


@pytest.fixture(scope="session")
def labelled_folder(tiny_keras: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures with a `labels.csv` that tells what `tiny_keras` reads in them."""
    from converters.keras_reference import KerasReference
    from converters.verify import read_all

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
