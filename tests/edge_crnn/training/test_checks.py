from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.alphabet import Alphabet
from edge_crnn.dataset import Dataset, load_labelled
from edge_crnn.errors import DatasetError, ImageError
from edge_crnn.images import read_image
from edge_crnn.training.batches import Folders
from edge_crnn.training.checks import require_apart, require_readable
from tests.edge_crnn.reader.test_damaged import damaged_plate

DIGITS = Alphabet(tuple("0123456789"), 10)


def dataset(folder: Path, *labels: str) -> Dataset:
    """A folder with an image of its own for every label."""
    folder.mkdir()
    for label in labels:
        image = np.random.default_rng(int(label)).integers(0, 256, (8, 20, 3), np.uint8)
        cv2.imwrite(str(folder / f"{label}.png"), image)
    return load_labelled(folder, DIGITS)


@pytest.mark.parametrize("damage", [b"", b"no image", b"\x89PNG\r\n\x1a\n", "half"])
def test_a_damaged_image_is_named_before_the_first_epoch(tmp_path: Path, damage: bytes | str) -> None:
    """PaddleOCR#17876: training ended in the middle of an epoch, or went on without the image."""
    images = dataset(tmp_path / "a", "1", "2", "3")
    require_readable([images])
    file = images.paths[1]
    file.write_bytes(damage if isinstance(damage, bytes) else file.read_bytes()[:200])
    with pytest.raises(ImageError, match=r"1 of 3 images cannot be decoded: .*2\.png"):
        require_readable([images])


def test_damaged_images_are_counted_and_the_first_ones_are_named(tmp_path: Path) -> None:
    images = dataset(tmp_path / "a", *map(str, range(10, 16)))
    others = dataset(tmp_path / "b", "1")
    for path in images.paths[1:]:
        path.write_bytes(b"none")
    with pytest.raises(ImageError, match=r"5 of 7 images .*11\.png.*12\.png.*13\.png.*…\. Replace") as caught:
        require_readable([others, images])
    assert "14.png" not in str(caught.value)


def test_images_that_are_damaged_but_decoded_are_counted_in_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = dataset(tmp_path / "a", "1", "2")
    require_readable([images])
    assert capsys.readouterr().err == ""
    images.paths[0].write_bytes(damaged_plate())
    assert read_image(images.paths[0]).damage
    require_readable([images])
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 of 2 images are damaged" in line
    assert "1.png" in line


def test_an_image_is_not_in_both_sets_under_any_name(tmp_path: Path) -> None:
    """PaddleOCR#17876: a copy of a training image among the validation images makes the model seem too good."""
    training = dataset(tmp_path / "a", "1", "2")
    validation = dataset(tmp_path / "b", "3")
    require_apart([training], [validation])
    require_apart([], [validation])
    shutil.copy(training.paths[0], tmp_path / "b" / "7.png")
    validation = load_labelled(tmp_path / "b", DIGITS)
    with pytest.raises(DatasetError, match=r"1 validation images are also training images, .*7\.png .*1\.png"):
        require_apart([training], [validation])
    with pytest.raises(DatasetError, match="2 validation images"):
        require_apart([training, validation], [training])


def test_all_labels_of_folders_are_compared_with_the_time_steps(tmp_path: Path) -> None:
    """PaddleOCR#17876: labels that do not fit had a loss of 0."""
    source = Folders((dataset(tmp_path / "a", "12", "34"), dataset(tmp_path / "b", "11", "1234")), seed=0)
    source.require_steps(DIGITS, 4)
    with pytest.raises(DatasetError, match=r"b: 1 of 2 labels .* '1234'"):
        source.require_steps(DIGITS, 3)
    with pytest.raises(DatasetError, match=r"a: 2 of 2 labels"):
        source.require_steps(DIGITS, 1)
