from __future__ import annotations

from pathlib import Path

import pytest

from edge_crnn.errors import InputError, SourceError
from edge_crnn.watch.sources.folder import FolderSource
from tests.edge_crnn.watch.sources.videos import frame, jpeg, number_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(10):
        (tmp_path / f"{number:03}.jpg").write_bytes(jpeg(frame(number)))
    return tmp_path


def read(source: FolderSource) -> list[tuple[int, float | None]]:
    source.open()
    frames = []
    while (content := source.read()) is not None:
        frames.append((number_of(content[0]), content[1]))
    return frames


def test_images_come_in_order_with_their_times(folder: Path) -> None:
    source = FolderSource(str(folder), recorded_rate=5)
    assert read(source) == read(source) == [(number, number / 5) for number in range(10)]
    source.close()
    with pytest.raises(SourceError, match="open"):
        source.read()


def test_a_rate_selects_images(folder: Path) -> None:
    assert [number for number, _ in read(FolderSource(str(folder), recorded_rate=10, rate=2))] == [0, 5]


def test_an_image_that_cannot_be_read_is_noted(folder: Path) -> None:
    (folder / "004.jpg").write_bytes(b"no image")
    notes: list[str] = []
    numbers = [number for number, _ in read(FolderSource(str(folder), note=notes.append))]
    assert numbers == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert len(notes) == 1
    assert "004.jpg" in notes[0]


def test_a_damaged_image_is_noted_although_it_can_be_decoded(folder: Path) -> None:
    whole = (folder / "004.jpg").read_bytes()
    (folder / "004.jpg").write_bytes(whole[:-40])
    notes: list[str] = []
    numbers = [number for number, _ in read(FolderSource(str(folder), note=notes.append))]
    assert numbers == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert "004.jpg" in notes[0]


@pytest.mark.parametrize("content", [b"", b"no image", jpeg(frame(1))[:-40]])
def test_a_folder_of_which_no_image_can_be_read_is_an_error(content: bytes, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    with pytest.raises(SourceError, match="no image can be read"):
        read(FolderSource(str(tmp_path), note=[].append))


def test_large_images_are_refused(folder: Path) -> None:
    with pytest.raises(SourceError, match="64 x 48"):
        read(FolderSource(str(folder), most_pixels=1000))


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(SourceError, match=str(path)):
            FolderSource(str(path)).open()


def test_rates_are_checked() -> None:
    with pytest.raises(InputError, match="rate"):
        FolderSource(".", recorded_rate=0)
