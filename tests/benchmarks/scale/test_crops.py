from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scale import crops
from edge_crnn.images import read_pixels

pytest.importorskip("pyarrow", reason="pyarrow comes with edge-crnn[scale]")
pytest.importorskip("matplotlib", reason="fonts come with edge-crnn[train]")


@pytest.mark.thorough
def test_every_turn_has_as_many_images_for_every_core(tmp_path: Path) -> None:
    warm, *turns = crops.write(tmp_path, 100, 10, "png", turns=3, cores=2)
    assert [crops.count(path) for path in warm] == [64, 64]
    assert [[crops.count(path) for path in turn] for turn in turns] == [[9] * 4] * 3  # 108 images


def test_images_are_repeated_under_other_names(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    _, files = crops.write(tmp_path, 40, 4, "jpg", turns=1, cores=1)
    table = parquet.read_table(files[0])
    images, names = table["image"].to_pylist(), table["name"].to_pylist()
    assert names == [f"{files[0]}#{row}" for row in range(20)]
    assert images == crops.contents(files[0], 100)
    assert images[:4] == images[4:8]
    assert len(set(images)) == 4
    assert read_pixels(images[0]).ndim == 3
