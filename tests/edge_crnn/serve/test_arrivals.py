from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_crnn.serve import arrivals as module
from edge_crnn.serve.arrivals import LONGEST_WAIT, TRIES, Arrival, Arrivals


def put(folder: Path, name: str, data: bytes = b"an image", mtime_ns: int = 10**18) -> Arrival:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    os.utime(folder / name, ns=(mtime_ns, mtime_ns))
    return Arrival(mtime_ns, name, len(data))


@pytest.fixture
def recorded() -> set[Arrival]:
    return set()


@pytest.fixture
def arrivals(tmp_path: Path, recorded: set[Arrival]) -> Arrivals:
    return Arrivals(tmp_path, recorded.__contains__)


def test_image_arrives_when_two_looks_see_it_unchanged(arrivals: Arrivals, recorded: set[Arrival]) -> None:
    image = put(arrivals.folder, "a.jpg")
    assert Arrival.of(arrivals.folder, "a.jpg") == image
    assert (arrivals.look(), arrivals.waiting) == ([], 1)
    assert arrivals.look() == [image]
    assert arrivals.look() == [image]  # it is not marked as done
    arrivals.done(image)
    recorded.add(image)
    assert (arrivals.look(), arrivals.waiting) == ([], 0)


@pytest.mark.parametrize("changed", [(b"longer than it was", 10**18), (b"an image", 10**18 + 1)], ids=["size", "time"])
def test_image_that_is_being_written_waits(arrivals: Arrivals, changed: tuple[bytes, int]) -> None:
    put(arrivals.folder, "a.jpg")
    arrivals.look()
    image = put(arrivals.folder, "a.jpg", *changed)
    assert arrivals.look() == []
    assert arrivals.look() == [image]


def test_changed_image_arrives_again(arrivals: Arrivals, recorded: set[Arrival]) -> None:
    recorded.add(put(arrivals.folder, "latest.jpg"))
    assert (arrivals.look(), arrivals.waiting) == ([], 0)
    image = put(arrivals.folder, "latest.jpg", mtime_ns=10**18 + 1)
    arrivals.look()
    assert arrivals.look() == [image]


def test_oldest_first_and_no_more_than_the_memory_is_meant_for(
    arrivals: Arrivals, recorded: set[Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    images = [put(arrivals.folder, f"{7 * n % 10}.jpg", mtime_ns=10**18 + n // 2) for n in range(10)]
    expected = sorted(images, key=lambda image: (image.mtime_ns, image.name))
    batches = []
    for _ in range(8):
        batch = arrivals.look()
        assert arrivals.waiting <= 3
        batches += batch
        recorded.update(batch)
    assert batches == expected


def test_file_that_is_no_image_is_retried_ever_more_rarely(arrivals: Arrivals) -> None:
    image = put(arrivals.folder, "a.jpg")
    batches = []
    for look in range(30):
        if arrivals.look() == [image]:
            batches.append(look)
            if not arrivals.failed(image):
                break
    assert batches == [1, 3, 7]
    assert len(batches) == TRIES


def test_tries_start_again_after_a_change(arrivals: Arrivals) -> None:
    put(arrivals.folder, "a.jpg")
    arrivals.look()
    (image,) = arrivals.look()
    assert arrivals.failed(image)
    image = put(arrivals.folder, "a.jpg", b"all of the image")
    assert arrivals.look() == []
    assert arrivals.look() == [image]
    assert arrivals.failed(image)


def test_removed_file_is_forgotten(arrivals: Arrivals) -> None:
    put(arrivals.folder, "a.jpg")
    arrivals.look()
    (arrivals.folder / "a.jpg").unlink()
    assert (arrivals.look(), arrivals.waiting) == ([], 0)
    assert Arrival.of(arrivals.folder, "a.jpg") is None


def test_folders_and_links_to_nowhere_are_left_alone(arrivals: Arrivals) -> None:
    (arrivals.folder / "folder.jpg").mkdir()
    (arrivals.folder / "nowhere.jpg").symlink_to("missing")
    (arrivals.folder / "circle.jpg").symlink_to("circle.jpg")
    image = put(arrivals.folder, "real.jpg")
    (arrivals.folder / "link.jpg").symlink_to("real.jpg")
    arrivals.look()
    assert {arrival.name for arrival in arrivals.look()} == {image.name, "link.jpg"}


def test_missing_folder_is_an_error_and_files_keep_waiting(arrivals: Arrivals) -> None:
    image = put(arrivals.folder, "a.jpg")
    arrivals.look()
    away = arrivals.folder.rename(arrivals.folder.with_name("away"))
    with pytest.raises(FileNotFoundError):
        arrivals.look()
    away.rename(arrivals.folder)
    assert arrivals.look() == [image]


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "서울 12가 3456.png", "a.b.c.tif", "latest.1.webp", "-.bmp"])
def test_names_of_images(arrivals: Arrivals, name: str) -> None:
    image = put(arrivals.folder, name)
    arrivals.look()
    assert arrivals.look() == [image]


@pytest.mark.parametrize("name", ["a.jfif", "b.JPE", "c.avif", "d.gif", "e.jp2"])
def test_formats_that_cameras_and_sites_deliver(arrivals: Arrivals, name: str) -> None:
    """jpegview#168, gallery-card#12: other suffixes of the same formats were never read."""
    image = put(arrivals.folder, name)
    arrivals.look()
    assert arrivals.look() == [image]


@pytest.mark.parametrize("name", ["a.txt", "jpg", "a", "readings.jsonl", "a.jpg.x1Y2z3", "a.jpg~"])
def test_other_files_are_counted(arrivals: Arrivals, name: str) -> None:
    put(arrivals.folder, name)
    assert (arrivals.look(), arrivals.waiting) == ([], 0)
    assert arrivals.skipped.kinds.total() == 1


@pytest.mark.parametrize(
    "name",
    [
        *("a.jpg.part", "a.jpg.tmp", "a.jpg.filepart", "a.part.jpg", "a.TMP.png"),
        *(".a.jpg", "._a.jpg", ".a.jpg.x1Y2z3", "~a.jpg", "#a.jpg", ".hidden/a.jpg", "day.part/a.jpg"),
    ],
)
def test_hidden_and_temporary_names(tmp_path: Path, name: str) -> None:
    arrivals = Arrivals(tmp_path, set().__contains__, recursive=True)
    put(tmp_path, name)
    arrivals.look()
    assert (arrivals.look(), arrivals.waiting, str(arrivals.skipped)) == ([], 0, "")


# --- not available yet ---------------------------------------------------------------------------------------------


def test_unavailable_file_waits_ever_longer(arrivals: Arrivals) -> None:
    """watchdog#882, sarracenia#289: it is not given up, and --once does not wait for it for ever."""
    image = put(arrivals.folder, "a.jpg")
    attempts = []
    for look in range(150):
        if arrivals.look() == [image]:
            attempts.append(look)
            arrivals.postpone(image, "Permission denied")
            assert arrivals.unavailable == {"a.jpg": "Permission denied"}
            assert arrivals.waiting == (len(attempts) < TRIES)
    assert attempts == [1, 3, 7, 15, 31, 31 + LONGEST_WAIT, 31 + 2 * LONGEST_WAIT, 31 + 3 * LONGEST_WAIT]


def test_a_change_of_its_permissions_alone_makes_it_return_at_once(arrivals: Arrivals) -> None:
    image = put(arrivals.folder, "a.jpg")
    for _ in range(40):
        if arrivals.look():
            arrivals.postpone(image, "Permission denied")
    (arrivals.folder / "a.jpg").chmod(0o640)
    assert arrivals.look() == []
    assert arrivals.unavailable == {}
    assert arrivals.look() == [image]


def test_files_that_are_not_available_do_not_block_others(
    arrivals: Arrivals, recorded: set[Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    locked = {put(arrivals.folder, f"{n}.jpg", mtime_ns=n) for n in range(5)}
    readable = {put(arrivals.folder, f"{n}.jpg", mtime_ns=n) for n in range(5, 10)}
    for _ in range(20):
        for arrival in arrivals.look():
            if arrival in locked:
                arrivals.postpone(arrival, "Input/output error")
            else:
                recorded.add(arrival)
                arrivals.done(arrival)
    assert recorded == readable
    assert arrivals.unavailable.keys() == {arrival.name for arrival in locked}


@pytest.mark.parametrize("is_available", [True, False])
def test_files_that_wait_for_another_try_do_not_hold_up_new_ones(
    arrivals: Arrivals, recorded: set[Arrival], monkeypatch: pytest.MonkeyPatch, is_available: bool
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 4)
    bad = {put(arrivals.folder, f"{n}.jpg", mtime_ns=n) for n in range(4)}
    good = {put(arrivals.folder, f"{n}.jpg", mtime_ns=n) for n in range(4, 7)}
    polls: dict[str, list[int]] = {}
    for poll in range(12):
        for arrival in arrivals.look():
            polls.setdefault(arrival.name, []).append(poll)
            if arrival in good or (is_available and not arrivals.failed(arrival)):
                recorded.add(arrival)
                arrivals.done(arrival)
            elif not is_available:
                arrivals.postpone(arrival, "Input/output error")
    assert [polls[arrival.name] for arrival in bad] == [[1, 3, 7]] * 4
    assert [polls[arrival.name] for arrival in good] == [[3]] * 3  # two polls after the bad ones gave up their places


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT])
def test_a_file_that_cannot_be_looked_at_is_not_forgotten__by_a_fake_error(
    arrivals: Arrivals, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = put(arrivals.folder, "a.jpg")

    class Entry:
        name = "a.jpg"

        def is_dir(self) -> bool:
            return False

        def is_file(self) -> bool:
            raise OSError(number, os.strerror(number))

    @contextlib.contextmanager
    def scandir(_: object) -> Iterator[list[Entry]]:
        yield [Entry()]

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        assert arrivals.look() == []
        assert arrivals.unavailable == {"a.jpg": os.strerror(number)}
    arrivals.look()
    assert arrivals.look() == [image]
    assert arrivals.unavailable == {}


# --- subfolders ----------------------------------------------------------------------------------------------------


def test_subfolders_are_counted(arrivals: Arrivals) -> None:
    """frigate#11270: dated subfolders were skipped without a word."""
    put(arrivals.folder, "2026-11-30/a.jpg")
    put(arrivals.folder, "2026-12-01/a.jpg")
    arrivals.look()
    assert arrivals.look() == []
    assert "2 subfolders, which --recursive" in str(arrivals.skipped)


def test_subfolders_are_read_also_those_that_come_later(tmp_path: Path, recorded: set[Arrival]) -> None:
    arrivals = Arrivals(tmp_path, recorded.__contains__, recursive=True)
    first = put(tmp_path, "a.jpg", mtime_ns=1)
    second = put(tmp_path, "2026/11/30/a.jpg", mtime_ns=2)
    arrivals.look()
    assert arrivals.look() == [first, second]
    recorded |= {first, second}
    third = put(tmp_path, "2026/12/01/a.jpg", mtime_ns=3)
    arrivals.look()
    assert arrivals.look() == [third]
    assert third.name == "2026/12/01/a.jpg"
    assert Arrival.of(tmp_path, third.name) == third
    assert str(arrivals.skipped) == ""
