from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.verify.gate import Readings
from converters.verify.sets import seems_labelled, set_aside, suspicions
from edge_crnn.dataset import Dataset, Entry, load_unlabelled
from edge_crnn.errors import DatasetError
from tests.conftest import TINY


def dataset(name: str, count: int, labelled: bool = False) -> Dataset:
    return Dataset(Path(name), tuple(Entry(Path(f"{name}{index}"), "") for index in range(count)), labelled)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=4).filter(lambda counts: sum(counts) > 1))
def test_some_calibrate_and_all_others_verify(counts: list[int]) -> None:
    datasets = [dataset(f"set{number}-", count) for number, count in enumerate(counts)]
    kept, aside = set_aside(datasets)
    paths = [path for dataset in kept for path in dataset.paths]
    assert sorted([*paths, *aside]) == sorted(path for dataset in datasets for path in dataset.paths)
    assert 1 <= len(aside) <= 100
    assert paths
    assert len(aside) >= min(100, sum(counts) // 4) - 30
    assert all(len(dataset) for dataset in kept)
    assert set_aside(datasets) == (kept, aside)


def test_every_fourth_of_few_and_a_hundred_of_many() -> None:
    assert [path.name for path in set_aside([dataset("a", 9)])[1]] == ["a0", "a4", "a8"]
    assert len(set_aside([dataset("a", 1000)])[1]) == 100


def test_one_image_is_too_few() -> None:
    with pytest.raises(DatasetError, match="1 image cannot both calibrate and verify; add images"):
        set_aside([dataset("a", 1)])


def read(*labels: str) -> Readings:
    return Readings(labels, (1.0,) * len(labels), np.zeros((len(labels), 1, 2), np.float32))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["", "", "", "1"], "reads nothing in 3 of 4 images"),
        (["7"] * 5, "reads '7' in all 5 images"),
        ([""] * 5, "reads nothing in 5 of 5 images"),
        (["7", "7", "7", "8"], "such as folder0 '7', folder1 '7', folder2 '7'; compare"),
        (["", "", "1", "2"], "such as folder0 '', folder1 '', folder2 '1'; compare"),
        (["7"] * 3, "compare them with the images"),
    ],
)
def test_readings_that_prove_nothing(labels: list[str], expected: str) -> None:
    (line,) = suspicions([dataset("folder", len(labels))], [read(*labels)])
    assert expected in line
    assert ("warning" in line) == ("such as" not in line)


@pytest.mark.parametrize(("right", "lines"), [(10, 0), (9, 0), (8, 1), (0, 0)])
def test_a_trained_model_that_reads_little_is_mentioned(right: int, lines: int) -> None:
    labelled = dataset("folder", 10, labelled=True)
    texts = [entry.label if place < right else "x" for place, entry in enumerate(labelled)]
    warnings = list(suspicions([labelled], [read(*texts)]))
    assert len(warnings) == lines
    assert all("80.00%" in line and "edge-crnn spec" in line for line in warnings)


def test_labels_where_they_usually_are(tmp_path: Path) -> None:
    (tmp_path / "21.png").write_bytes(b"")
    (tmp_path / "22.png").write_bytes(b"")
    assert not seems_labelled(load_unlabelled(tmp_path), TINY)  # they only count
    (tmp_path / "9.png").write_bytes(b"")
    assert seems_labelled(load_unlabelled(tmp_path), TINY)
    (tmp_path / "frame.png").write_bytes(b"")
    assert not seems_labelled(load_unlabelled(tmp_path), TINY)
