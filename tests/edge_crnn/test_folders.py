from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.folders import Skipped, Walk
from tests.budget import examples


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def refuse(name: str, error: OSError) -> None:
    raise AssertionError(name) from error


def names(folder: Path, recursive: bool = True) -> list[str]:
    return sorted(name for name, _ in Walk(folder, recursive, refuse))


def test_images_in_the_folder_and_below(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b/c.JPG", "b/d/e.jfif", "b/notes.txt", ".f/g.png", "b/.h.png")
    assert names(tmp_path) == ["a.png", "b/c.JPG", "b/d/e.jfif"]
    assert names(tmp_path, recursive=False) == ["a.png"]


@given(st.text(st.sampled_from("aZ0.é ~"), min_size=1, max_size=12).filter(lambda name: name[0] != "." != name[-1]))
def test_kinds_are_the_suffixes_of_pathlib(name: str) -> None:
    skipped = Skipped()
    skipped.add(name)
    suffix = Path(name).suffix.lower()
    is_usual = suffix[1:].isalnum() and not suffix[1:].isdecimal() and len(suffix) <= 8
    assert list(skipped.kinds) == [suffix if is_usual else "without a usual suffix"]


LOOPS = {
    "to itself": ("a/loop", "."),
    "to the folder": ("a/loop", ".."),
    "above the folder": ("a/loop", "../.."),
    "two that meet": ("a/loop", "../b"),
    "to the root of a sibling": ("b/loop", "../a"),
}


@pytest.mark.parametrize(("link", "target"), LOOPS.values(), ids=LOOPS)
def test_links_in_a_circle_end_and_every_image_comes_once(tmp_path: Path, link: str, target: str) -> None:
    folder = tmp_path / "in"
    put(folder, "0.png", "a/1.png", "b/2.png")
    (folder / "b" / "back").symlink_to("../a", target_is_directory=True)
    (folder / link).symlink_to(target, target_is_directory=True)
    assert names(folder) == ["0.png", "a/1.png", "b/2.png"]


def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/day/1.png", "in/2.png")
    (tmp_path / "in" / "first").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "in" / "second").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert names(tmp_path / "in") == ["2.png", "first/day/1.png"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_subfolder_that_cannot_be_listed_is_reported__by_a_fake_error(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a/1.png", "b/2.png")
    scandir = os.scandir

    def refused(path: Path) -> object:
        if path.name == "a":
            raise OSError(number, os.strerror(number))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    errors = []
    walk = Walk(tmp_path, True, lambda name, error: errors.append((name, error.errno)))
    assert [name for name, _ in walk] == ["b/2.png"]
    assert errors == [("a", number)]


def test_a_subfolder_that_has_gone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a/1.png", "2.png")
    scandir = os.scandir

    def gone(path: Path) -> object:
        if path.name == "a":
            raise FileNotFoundError(errno.ENOENT, "gone")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", gone)
    assert names(tmp_path) == ["2.png"]


def test_the_folder_itself_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        names(tmp_path / "none")


def test_what_is_no_file_is_counted(tmp_path: Path) -> None:
    (tmp_path / "circle.png").symlink_to("circle.png")
    (tmp_path / "nowhere.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    walk = Walk(tmp_path, True, refuse)
    assert list(walk) == []
    assert "3 devices or links to nothing" in str(walk.skipped)


def test_a_message_names_the_kinds(tmp_path: Path) -> None:
    put(tmp_path, "a.HEIC", "b.heic", "c.pdf", "d", "e.1790000000", "f/g.png")
    walk = Walk(tmp_path, False, refuse)
    assert list(walk) == []
    assert str(walk.skipped) == (
        "skipped files that are not images: 2 .heic, 2 without a usual suffix, 1 .pdf; skipped 1 subfolder,"
        " which --recursive reads"
    )
    assert str(Skipped()) == ""


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.text(max_size=12), max_size=300))
def test_no_name_is_lost_and_memory_is_limited(suffixes: list[str]) -> None:
    skipped = Skipped()
    for suffix in suffixes:
        skipped.add(f"name.{suffix}")
    assert skipped.kinds.total() == len(suffixes)
    assert len(skipped.kinds) <= 65
