"""Images in Parquet and tar files, on a disk and in the memory of fsspec."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_crnn.errors import DatasetError, ImageError, InputError
from edge_crnn.scale import contents, parquet, tar
from edge_crnn.scale.parts import Part
from edge_crnn.scale.storage import File, status

NAMES = [f"{number:04d}" for number in range(300)]


def texts(part: Part, column: str = "image", folder: str = "/") -> list[tuple[str, str | None]]:
    return [
        (name, None if isinstance(image, ImageError) else image.read().decode())  # type: ignore[union-attr]
        for name, image in contents.images(part, folder, column)
    ]


@pytest.fixture
def pa() -> Any:
    return pytest.importorskip("pyarrow", reason="pyarrow comes with edge-crnn[scale]")


@pytest.fixture
def table(pa: Any, tmp_path: Path) -> Callable[..., str]:
    """`table(values, rows)` writes a column with row groups of that many rows."""
    from pyarrow import parquet as pq

    def write(values: Any, rows: int = 100, name: str = "image") -> str:
        path = str(tmp_path / "shard.parquet")
        pq.write_table(pa.table({"other": [1] * len(values), name: values}), path, row_group_size=rows)
        return path

    return write


@pytest.fixture
def archive(tmp_path: Path) -> str:
    path = tmp_path / "shard.tar"
    with tarfile.open(path, "w") as file:
        for name in NAMES:
            for suffix, content in (("jpg", name), ("json", "{}"), ("cls", "1")):
                member = tarfile.TarInfo(f"{name}.{suffix}")
                member.size = len(content)
                file.addfile(member, io.BytesIO(content.encode()))
        file.addfile(tarfile.TarInfo("empty.png"))
    return str(path)


@pytest.mark.parametrize(("start", "stop"), [(0, 300), (100, 200), (50, 51), (199, 300), (0, 1)])
def test_any_rows_of_a_table_are_read(table: Callable[..., str], start: int, stop: int) -> None:
    path = table([name.encode() for name in NAMES])
    assert parquet.row_counts(File(path), "/", "image") == (100, 100, 100)
    expected = [(f"{path}#{row}", NAMES[row]) for row in range(start, stop)]
    assert texts(Part("parquet", (status(path),), start, stop)) == expected


def test_picked_rows(table: Callable[..., str]) -> None:
    path = table([name.encode() for name in NAMES])
    part = Part("parquet", (status(path),), 90, 250, picked=(91, 100, 249))
    assert [text for _, text in texts(part)] == ["0091", "0100", "0249"]


def test_a_row_without_bytes_has_an_error(table: Callable[..., str]) -> None:
    path = table([b"a", None, b""])
    assert [text for _, text in texts(Part("parquet", (File(path),), 0, 3))] == ["a", None, None]


def test_the_images_of_hugging_face(table: Callable[..., str]) -> None:
    path = table([{"bytes": b"a", "path": "a.png"}, None, {"bytes": None, "path": "c.png"}], name="img.v1")
    assert [text for _, text in texts(Part("parquet", (File(path),), 0, 3), "img.v1")] == ["a", None, None]


def test_other_columns_are_refused(table: Callable[..., str]) -> None:
    part = Part("parquet", (File(table(["text"])),), 0, 1)
    with pytest.raises(InputError, match="string"):
        texts(part)
    with pytest.raises(InputError, match="string"):
        parquet.row_counts(part.files[0], "/", "image")
    with pytest.raises(InputError, match="'img', found other, image"):
        texts(part, "img")


def test_a_table_that_is_damaged_or_has_changed_is_refused(table: Callable[..., str]) -> None:
    path = table([b"a"])
    before = status(path)
    Path(path).write_bytes(Path(path).read_bytes()[:-9])
    with pytest.raises(DatasetError, match="has changed"):
        texts(Part("parquet", (before,), 0, 1))
    with pytest.raises(DatasetError, match="damaged"):
        parquet.row_counts(File(path), "/", "image")
    with pytest.raises(DatasetError, match="cannot be read"):
        parquet.row_counts(File("missing.parquet"), "/missing", "image")


def test_the_images_of_an_archive(archive: str) -> None:
    part = Part("tar", (status(archive),))
    expected = [(f"{archive}/{name}.jpg", name) for name in NAMES]
    assert texts(part) == [*expected, (f"{archive}/empty.png", None)]
    assert tar.count(File(archive), "/") == 301
    picked = Part("tar", (status(archive),), picked=(0, 299))
    assert texts(picked) == [expected[0], expected[299]]


@pytest.mark.parametrize("content", [b"", b"no tar" * 1000])
def test_an_archive_that_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.tar"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"damaged\.tar"):
        texts(Part("tar", (File(str(path)),)))


def test_an_archive_that_is_cut_short_is_refused(archive: str) -> None:
    data = Path(archive).read_bytes()
    Path(archive).write_bytes(data[: 512 * 601 + 100])
    with pytest.raises(DatasetError, match="damaged"):
        texts(Part("tar", (File(archive),)))


def test_shards_elsewhere(table: Callable[..., str], archive: str) -> None:
    fsspec = pytest.importorskip("fsspec", reason="fsspec comes with edge-crnn[scale]")
    memory = fsspec.filesystem("memory")
    path = table([name.encode() for name in NAMES])
    memory.pipe({"/shards/a.parquet": Path(path).read_bytes(), "/shards/b.tar": Path(archive).read_bytes()})
    try:
        url = "memory://shards/a.parquet"
        assert texts(Part("parquet", (status(url),), 150, 152)) == [(f"{url}#150", "0150"), (f"{url}#151", "0151")]
        assert texts(Part("tar", (status("memory://shards/b.tar"),)))[0] == ("memory://shards/b.tar/0000.jpg", "0000")
        before = status(url)
        memory.pipe("/shards/a.parquet", b"PAR1")
        with pytest.raises(DatasetError, match="has changed"):
            texts(Part("parquet", (before,), 0, 1))
    finally:
        memory.rm("/shards", recursive=True)
