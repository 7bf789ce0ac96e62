"""The images to slim with."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.slim.images import NEGATIVES, Artist, lessons_in, sampled
from edge_crnn.alphabet import PLATES
from edge_crnn.dataset import Dataset, Entry
from edge_crnn.errors import DatasetError, ImageError, InputError
from edge_crnn.training.batches import Folders
from edge_crnn.training.varied import Varied
from tests.conftest import TINY
from tests.converters.conftest import draw


def test_images_are_spread_over_all_folders(tmp_path: Path) -> None:
    folders = [draw(tmp_path / name, 10, seed) for seed, name in enumerate("ab")]
    chosen = sampled(folders, 5).paths
    assert [path.parent.name for path in chosen] == ["a", "a", "a", "b", "b"]
    assert len(set(chosen)) == 5
    assert sampled(folders, 30).paths == sorted(path for folder in folders for path in folder.iterdir())


def test_copies_are_refused(tmp_path: Path) -> None:
    folder = draw(tmp_path / "a", 3, 1)
    (folder / "copy.png").write_bytes((folder / "000.png").read_bytes())
    with pytest.raises(DatasetError, match="more than once"):
        sampled([folder], 4)


def test_lines_are_drawn_in_the_alphabet_and_by_the_seed() -> None:
    pytest.importorskip("PIL")
    first, again, other = ([entry.load() for entry in Artist("lines", TINY).draw(4, seed)] for seed in (0, 0, 1))
    assert all(picture.dtype == np.uint8 and picture.ndim == 3 for picture in first)
    assert [picture.tobytes() for picture in first] == [picture.tobytes() for picture in again]
    assert {picture.tobytes() for picture in first}.isdisjoint(picture.tobytes() for picture in other)


def test_a_network_that_cannot_write_what_is_drawn_is_an_error() -> None:
    pytest.importorskip("PIL")
    with pytest.raises(InputError, match="--images DIR"):
        Artist("plates", TINY).draw(4)


def held_back(folder: Path, *names: str) -> Dataset:
    return Dataset(folder, tuple(Entry(folder / name, "") for name in names), labelled=False)


def test_images_held_back_are_not_trained_on_under_any_name(tmp_path: Path) -> None:
    folders = [draw(tmp_path / name, 6, seed) for seed, name in enumerate("ab")]
    (folders[1] / "copy.png").write_bytes((folders[0] / "000.png").read_bytes())
    (folders[1] / "twice.png").write_bytes((folders[0] / "001.png").read_bytes())
    source = lessons_in(folders, held_back(folders[0], "000.png", "005.png"), seed=1)
    assert isinstance(source, Varied)
    assert isinstance(source.source, Folders)
    (images,) = source.source.datasets
    expected = [folders[0] / f"00{number}.png" for number in range(1, 5)]
    expected += [folders[1] / f"00{number}.png" for number in range(6)]
    assert sorted(images.paths) == expected
    pickle.loads(pickle.dumps(source)).sample(3)


def test_without_further_images_there_is_no_training(tmp_path: Path) -> None:
    folder = draw(tmp_path / "a", 2, 0)
    with pytest.raises(DatasetError, match="no images are left"):
        lessons_in([folder], held_back(folder, "000.png", "001.png"), seed=0)


def test_an_image_that_cannot_be_read_is_found_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = draw(tmp_path / "a", 3, 0)
    (folder / "damaged.png").write_bytes(b"no image")
    (folder / "notes.txt").touch()
    with pytest.raises(ImageError, match=r"1 of 3 .*damaged\.png"):
        lessons_in([folder], held_back(folder, "000.png"), seed=0)
    assert "notes.txt" not in capsys.readouterr().err


def test_lessons_have_other_images_than_the_comparison_and_some_have_no_plate() -> None:
    pytest.importorskip("PIL")
    output = replace(TINY.output, classes=PLATES.classes)
    spec = replace(TINY, symbols=PLATES.symbols, blank=PLATES.blank, label_map=PLATES.label_map, output=output)
    artist = Artist("plates", spec)
    compared = {entry.load().tobytes() for entry in artist.draw(4)}
    source = artist.lessons(0)
    samples = [source.sample(index) for index in range(20)]
    assert sum(not label for _, label in samples) == 20 * NEGATIVES
    assert len({image.tobytes() for image, _ in samples} - compared) == 20
    assert source.sample(7)[0].tobytes() == samples[7][0].tobytes()
    assert artist.lessons(1).sample(7)[0].tobytes() != samples[7][0].tobytes()


def test_all_lines_have_a_text() -> None:
    pytest.importorskip("PIL")
    source = Artist("lines", TINY).lessons(0)
    assert all(set(source.sample(index)[1]) <= set(TINY.symbols) for index in range(12))
    assert all(source.sample(index)[1] for index in range(12))
