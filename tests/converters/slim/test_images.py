"""The images to slim with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.slim.images import WHATS, drawn, sampled
from edge_crnn.errors import DatasetError, InputError
from tests.conftest import TINY
from tests.converters.conftest import draw


def test_what_can_be_drawn_is_what_synth_draws() -> None:
    folder = pytest.importorskip("edge_crnn.training.folder")
    assert WHATS == folder.WHATS


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
    first, again, other = ([entry.load() for entry in drawn("lines", TINY, 4, seed)] for seed in (0, 0, 1))
    assert all(picture.dtype == np.uint8 and picture.ndim == 3 for picture in first)
    assert [picture.tobytes() for picture in first] == [picture.tobytes() for picture in again]
    assert {picture.tobytes() for picture in first}.isdisjoint(picture.tobytes() for picture in other)


def test_a_network_that_cannot_write_what_is_drawn_is_an_error() -> None:
    pytest.importorskip("PIL")
    with pytest.raises(InputError, match="--images DIR"):
        drawn("plates", TINY, 4)
