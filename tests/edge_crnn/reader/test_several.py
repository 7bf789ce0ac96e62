"""Arguments that are not several images, and readers that cannot travel: the error says what to do."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from edge_crnn import ImageError, ImageTypeError, InputTypeError, Reader, Reading, open_reader
from edge_crnn.reader.several import several

COLOUR = np.zeros((30, 60, 3), np.uint8)
PNG = cv2.imencode(".png", COLOUR)[1].tobytes()


class Camera:
    """A camera with OpenCV's interface."""

    def read(self) -> tuple[bool, np.ndarray]:
        return True, COLOUR


@pytest.fixture(scope="module")
def reader(tiny_artifact: Path) -> Iterator[Reader]:
    with open_reader(tiny_artifact, workers=2) as reader:
        yield reader


@pytest.mark.parametrize("use", [Reader.read_batch, Reader.read_each, Reader.fuse])
@pytest.mark.parametrize(
    ("single", "kind", "advice"),
    [
        ("plate.png", r"'plate\.png'", r"\[image\]"),
        (Path("plate.png"), r"'plate\.png'", r"\[image\]"),
        ("x" * 5_000, "xxx", r"\[image\]"),
        (PNG, "bytes", r"\[image\]"),
        (bytearray(PNG), "bytearray", r"\[image\]"),
        (io.BytesIO(PNG), "BytesIO", r"\[image\]"),
        (PIL.Image.fromarray(COLOUR), "Image", r"\[image\]"),
        (COLOUR, r"\(30, 60, 3\)", r"\[image\]"),
        (COLOUR[..., 0], r"\(30, 60\)", r"\[image\]"),
        (COLOUR[..., :1], r"\(30, 60, 1\)", r"\[image\]"),
        (np.array("plate.png"), r"\(\)", r"\[image\]"),
        ({"plate.png": COLOUR}, "dict", "values"),
        (Camera(), "Camera", "generator"),
        (None, "NoneType", "list"),
        (7, "int", "list"),
    ],
)
def test_a_single_picture_is_not_taken_apart(
    reader: Reader, use: Callable[..., Any], single: Any, kind: str, advice: str
) -> None:
    """A path was read as one image per letter, and the advice was about each letter."""
    with pytest.raises(InputTypeError, match=f"images is .*{kind}.*{advice}"):
        use(reader, single)


def test_a_folder_is_not_its_images(reader: Reader, tmp_path: Path) -> None:
    for folder in (tmp_path, str(tmp_path)):
        with pytest.raises(InputTypeError, match="find_images"):
            reader.read_batch(folder)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "images",
    [
        [COLOUR, COLOUR],
        (COLOUR, COLOUR),
        np.stack([COLOUR, COLOUR]),
        np.zeros((2, 30, 60), np.uint8),
        {"a": COLOUR, "b": COLOUR}.values(),
        [PNG, PIL.Image.fromarray(COLOUR)],
        [io.BytesIO(PNG), io.BytesIO(PNG)],
    ],
    ids=["list", "tuple", "array", "grey array", "values", "mixed", "files"],
)
def test_several_images_in_any_container_are_read(reader: Reader, images: Any) -> None:
    assert [type(reading) for reading in reader.read_batch(images)] == [Reading, Reading]


def test_generators_are_read(reader: Reader, tiny_pictures: list[np.ndarray], tiny_labels: list[str]) -> None:
    assert [reading.label for reading in reader.read_batch(picture for picture in tiny_pictures)] == tiny_labels
    assert [reading.label for reading in map(reader.read, tiny_pictures)] == tiny_labels
    fused = reader.fuse(picture for picture in tiny_pictures[:1] * 3)
    assert (fused.label, fused.images) == (tiny_labels[0], 3)


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_several_images_for_read_are_sent_to_read_batch(reader: Reader, kind: Callable[[Any], Any]) -> None:
    with pytest.raises(ImageTypeError, match="read_batch"):
        reader.read(kind([COLOUR, COLOUR]))


def test_arrays_of_paths_are_several() -> None:
    for paths in (np.array(["a.png", "b.png"]), np.array([Path("a.png")], object)):
        assert several(paths) is paths


@pytest.mark.parametrize("kind", [list, iter])
@pytest.mark.parametrize(
    ("wrong", "error"), [(None, ImageTypeError), (7, ImageTypeError), (b"", ImageError), (COLOUR / 255, ImageError)]
)
def test_the_error_of_an_image_says_which(
    reader: Reader, kind: Callable[[Any], Any], wrong: Any, error: type[ImageError]
) -> None:
    images = [COLOUR, COLOUR, wrong, COLOUR]
    with pytest.raises(error, match=r"^images\[2\]: "):
        reader.read_batch(kind(images))
    with pytest.raises(error, match=r"^images\[2\]: "):
        reader.fuse(kind(images))
    assert [type(result) for result in reader.read_each(kind(images))] == [Reading, Reading, error, Reading]


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy, lambda reader: pickle.dumps([reader.read])])
def test_a_reader_cannot_be_pickled_and_says_what_to_do(reader: Reader, carry: Callable[[Any], Any]) -> None:
    with pytest.raises(InputTypeError, match="open a reader in each process"):
        carry(reader)


def test_a_process_pool_reports_that(reader: Reader) -> None:
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        pytest.raises(InputTypeError, match="open a reader in each process"),
    ):
        pool.submit(reader.read, COLOUR).result()
