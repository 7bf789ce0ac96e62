from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from edge_crnn.errors import DatasetError
from edge_crnn.labels.places import Places


def folder_of(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_names_are_found_in_both_forms_of_unicode(tmp_path: Path, on_disk: str, in_table: str) -> None:
    name = "각/é 1.png"
    stored = unicodedata.normalize(on_disk, name)
    assert Places(folder_of(tmp_path, stored)).find(unicodedata.normalize(in_table, name)) == tmp_path / stored


def test_exact_form_of_a_name_comes_first(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")]
    places = Places(folder_of(tmp_path, *names))
    assert [places.find(name) for name in names] == [tmp_path / name for name in names]


def test_names_with_slashes_and_backslashes(tmp_path: Path) -> None:
    places = Places(folder_of(tmp_path, "a/b/1.png", "a/2.png", r"c\3.png"))
    assert places.find("a/b/1.png") == places.find(r"a\b\1.png") == places.find("./a//b/1.png")
    assert places.find(r"c\3.png") == tmp_path / r"c\3.png"
    assert [places.find(name) for name in ("a", "a/1.png", "a/2.png/3", "", "A/2.png", "a/\0")] == [None] * 6


@pytest.mark.parametrize("name", ["../1.png", "a/../../1.png", "a/..", "/etc/1.png", r"..\1.png", r"\1.png"])
def test_names_that_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=r"is outside the folder .*; write the path relative to it"):
        Places(folder_of(tmp_path, "a/1.png")).find(name)


def test_images_beside_those_that_were_found(tmp_path: Path) -> None:
    places = Places(folder_of(tmp_path, "a/1.png", "a/2.png", "a/notes.txt", "a/.3.png", "b/4.png", "5.png"))
    assert places.images_beside({tmp_path / "a" / "1.png"}) == [tmp_path / "a" / "2.png"]
    both = {tmp_path / "a" / "1.png", tmp_path / "5.png"}
    assert places.images_beside(both) == [tmp_path / "a" / "2.png"]


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        Places(tmp_path / "none")
