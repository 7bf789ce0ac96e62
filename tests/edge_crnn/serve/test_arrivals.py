from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_crnn.serve import arrivals as module
from edge_crnn.serve.arrivals import TRIES, Arrival, Arrivals, is_image_name


def put(folder: Path, name: str, data: bytes = b"an image", mtime_ns: int = 10**18) -> Arrival:
    (folder / name).write_bytes(data)
    os.utime(folder / name, ns=(mtime_ns, mtime_ns))
    return Arrival(mtime_ns, name, len(data))


@pytest.fixture
def known() -> set[Arrival]:
    return set()


@pytest.fixture
def arrivals(tmp_path: Path, known: set[Arrival]) -> Arrivals:
    return Arrivals(tmp_path, known.__contains__)


def test_an_image_is_given_when_two_looks_found_it_the_same(arrivals: Arrivals, known: set[Arrival]) -> None:
    image = put(arrivals.folder, "a.jpg")
    assert Arrival.of(arrivals.folder / "a.jpg") == image
    assert (arrivals.look(), arrivals.waiting) == ([], 1)
    assert arrivals.look() == [image]
    assert arrivals.look() == [image]  # nobody said that it is done
    arrivals.done(image)
    known.add(image)
    assert (arrivals.look(), arrivals.waiting) == ([], 0)


@pytest.mark.parametrize("changed", [(b"longer than it was", 10**18), (b"an image", 10**18 + 1)], ids=["size", "time"])
def test_one_that_is_written_waits(arrivals: Arrivals, changed: tuple[bytes, int]) -> None:
    put(arrivals.folder, "a.jpg")
    arrivals.look()
    image = put(arrivals.folder, "a.jpg", *changed)
    assert arrivals.look() == []
    assert arrivals.look() == [image]


def test_one_that_changes_is_another(arrivals: Arrivals, known: set[Arrival]) -> None:
    known.add(put(arrivals.folder, "latest.jpg"))
    assert (arrivals.look(), arrivals.waiting) == ([], 0)
    image = put(arrivals.folder, "latest.jpg", mtime_ns=10**18 + 1)
    arrivals.look()
    assert arrivals.look() == [image]


def test_oldest_first_and_no_more_than_the_memory_is_meant_for(
    arrivals: Arrivals, known: set[Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    images = [put(arrivals.folder, f"{7 * n % 10}.jpg", mtime_ns=10**18 + n // 2) for n in range(10)]
    expected = sorted(images, key=lambda image: (image.mtime_ns, image.name))
    batches = []
    for _ in range(8):
        batch = arrivals.look()
        assert arrivals.waiting <= 3
        batches += batch
        known.update(batch)
    assert batches == expected


def test_what_is_no_image_is_tried_again_ever_later(arrivals: Arrivals) -> None:
    image = put(arrivals.folder, "a.jpg")
    batches = []
    for look in range(30):
        if arrivals.look() == [image]:
            batches.append(look)
            if not arrivals.failed(image):
                break
    assert batches == [1, 3, 7]
    assert len(batches) == TRIES


def test_tries_begin_anew_when_it_changes(arrivals: Arrivals) -> None:
    put(arrivals.folder, "a.jpg")
    arrivals.look()
    (image,) = arrivals.look()
    assert arrivals.failed(image)
    image = put(arrivals.folder, "a.jpg", b"all of the image")
    assert arrivals.look() == []
    assert arrivals.look() == [image]
    assert arrivals.failed(image)


def test_what_is_gone_is_forgotten(arrivals: Arrivals) -> None:
    put(arrivals.folder, "a.jpg")
    arrivals.look()
    (arrivals.folder / "a.jpg").unlink()
    assert (arrivals.look(), arrivals.waiting) == ([], 0)
    assert Arrival.of(arrivals.folder / "a.jpg") is None


def test_folders_and_links_to_nowhere_are_left_alone(arrivals: Arrivals) -> None:
    (arrivals.folder / "folder.jpg").mkdir()
    (arrivals.folder / "nowhere.jpg").symlink_to("missing")
    (arrivals.folder / "circle.jpg").symlink_to("circle.jpg")
    image = put(arrivals.folder, "real.jpg")
    (arrivals.folder / "link.jpg").symlink_to("real.jpg")
    arrivals.look()
    assert {arrival.name for arrival in arrivals.look()} == {image.name, "link.jpg"}


def test_a_folder_that_is_gone_is_an_error_and_what_waited_waits_on(arrivals: Arrivals) -> None:
    image = put(arrivals.folder, "a.jpg")
    arrivals.look()
    away = arrivals.folder.rename(arrivals.folder.with_name("away"))
    with pytest.raises(FileNotFoundError):
        arrivals.look()
    away.rename(arrivals.folder)
    assert arrivals.look() == [image]


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "서울 12가 3456.png", "a.b.c.tif", "latest.1.webp", "-.bmp"])
def test_names_of_images(name: str) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("a.txt", "jpg", "a", "readings.jsonl", "a.jpg.part", "a.jpg.tmp", "a.jpg~", "a.jpg.x1Y2z3"),
        *(".a.jpg", "._a.jpg", ".a.jpg.x1Y2z3", "~a.jpg", "#a.jpg", "a.part.jpg", "a.TMP.png", "a.jpg.filepart"),
    ],
)
def test_names_that_are_hidden_temporary_or_no_image_s(name: str) -> None:
    assert not is_image_name(name)
