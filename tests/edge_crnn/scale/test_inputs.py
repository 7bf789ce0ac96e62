from __future__ import annotations

from pathlib import Path

import pytest

from edge_crnn.errors import DatasetError
from edge_crnn.scale.inputs import list_files


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a/2.png", "a/1.jpg", "a/deep/3.png", "a/.hidden.png", "a/notes.md", "b[1].png", "c.parquet", "d.tar"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    return tmp_path


def listed(*inputs: str, recursive: bool = False) -> list[str]:
    return [file.path for file in list_files(inputs, recursive, lambda text: None)]


def test_folders() -> None:
    assert listed("a") == ["a/1.jpg", "a/2.png"]
    assert listed("a", recursive=True) == ["a/1.jpg", "a/2.png", "a/deep/3.png"]


def test_patterns() -> None:
    assert listed("a/*") == ["a/1.jpg", "a/2.png"]
    assert listed("**/*.png") == ["a/2.png", "a/deep/3.png", "b[1].png"]
    assert listed("*.[pt]a*") == ["c.parquet", "d.tar"]


def test_a_name_with_brackets_is_no_pattern() -> None:
    assert listed("b[1].png") == ["b[1].png"]


def test_a_list_names_files_that_need_not_exist(folder: Path) -> None:
    (folder / "list.txt").write_bytes(b"a/1.jpg\r\n\nmissing.png\nc.parquet\nfile:///tmp/x.png")
    assert listed("list.txt") == ["a/1.jpg", "missing.png", "c.parquet", "/tmp/x.png"]


def test_a_file_that_is_named_twice_is_read_once() -> None:
    notes: list[str] = []
    files = list_files(["a/2.png", "a", "c.parquet"], note=notes.append)
    assert [file.path for file in files] == ["a/2.png", "a/1.jpg", "c.parquet"]
    assert "1 of 4" in notes[-1]


def test_files_have_their_size_and_version(folder: Path) -> None:
    (file,) = list_files(["a/2.png"])
    assert (file.size, file.version) == (7, str((folder / "a/2.png").stat().st_mtime_ns))


def test_skipped_files_are_noted() -> None:
    notes: list[str] = []
    list_files(["a/*"], note=notes.append)
    assert ".md" in notes[0]


@pytest.mark.parametrize("place", ["missing.png", "missing/*.png", "a/*.md", "empty.txt", "missing.parquet", "a\0b"])
def test_inputs_that_name_nothing_are_refused(folder: Path, place: str) -> None:
    (folder / "empty.txt").write_text("\n\n")
    with pytest.raises(DatasetError, match=r"a.?b" if "\0" in place else place.replace("*", r"\*")):
        listed(place)
