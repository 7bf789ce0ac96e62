from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edge_crnn.errors import OutputError
from edge_crnn.scale.job import Job, open_job
from edge_crnn.scale.tasks import Advanced, Begun, Event, Outcome, Task
from edge_crnn.scale.work import Workplace, read_part
from tests.edge_crnn.scale.stub import StubReader, rows, settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(80):
        (folder / f"{number:02d}.png").write_text(f"text {number}")
    return folder


def events(job: Job, task: Task, **options: Any) -> list[Event]:
    reader: Any = StubReader()
    return list(read_part(Workplace(job, lambda: reader, **options), task, reader))


def read_all(job: Job, **options: Any) -> list[Event]:
    return [events(job, Task(number, part), **options)[-1] for number, part in job.waiting()]


def test_a_part_gives_a_shard_with_a_row_for_every_image(folder: Path, tmp_path: Path) -> None:
    (folder / "05.png").write_text("broken")
    with open_job(str(tmp_path / "out"), settings(folder)) as job:
        assert read_all(job) == [Outcome(0, 40, 1), Outcome(1, 40, 0)]
    assert [row["text"] for row in rows(tmp_path / "out")] == [None if n == 5 else f"text {n}" for n in range(80)]


def test_shards_of_parquet_are_read_as_one_table(folder: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow comes with edge-crnn[scale]")
    with open_job(str(tmp_path / "out"), settings(folder, format="parquet")) as job:
        read_all(job)
    assert parquet.read_table(tmp_path / "out").column("text").to_pylist() == [f"text {n}" for n in range(80)]


def test_a_shard_is_the_same_when_images_are_read_alone(folder: Path, tmp_path: Path) -> None:
    with open_job(str(tmp_path / "out"), settings(folder)) as job:
        read_all(job)
        before = Path(job.shard(0)).read_bytes()
        (_, part) = next(job.waiting())
        alone = events(job, Task(0, part, alone=True))
        assert alone == [*(event for n in range(40) for event in (Begun(n), Advanced(1))), Outcome(0, 40, 0)]
        assert Path(job.shard(0)).read_bytes() == before
        events(job, Task(0, part, alone=True, deadly=frozenset({3})))
    assert [number for number, row in enumerate(rows(tmp_path / "out")) if row["error"]] == [3]


def test_an_image_that_has_changed_or_gone_is_a_row_with_an_error(folder: Path, tmp_path: Path) -> None:
    with open_job(str(tmp_path / "out"), settings(folder)) as job:
        (folder / "01.png").write_text("another text")
        (folder / "02.png").unlink()
        (folder / "03.png").unlink()
        (folder / "03.png").mkdir()
        read_all(job)
    errors = [row["error"] for row in rows(tmp_path / "out")]
    assert "has changed" in errors[1]
    assert "cannot be read" in errors[2]
    assert "has changed" in errors[3]
    assert errors.count(None) == 77


def test_a_part_with_an_image_that_is_not_available_now_is_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name == "01.png":
            raise PermissionError(13, os.strerror(13))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with open_job(str(tmp_path / "out"), settings(folder)) as job:
        left, done = read_all(job)
        assert isinstance(left, Outcome)
        assert left.open_because is not None
        assert "01.png" in left.open_because
        assert done == Outcome(1, 40, 0)
        assert not Path(job.shard(0)).exists()
        assert read_all(job, skip_unavailable=True)[0] == Outcome(0, 40, 1)


@pytest.mark.parametrize("left", ["an empty folder", "no folder", "a folder above that is empty"])
def test_images_on_a_disk_that_is_not_mounted_are_left(
    left: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kind of watchdog#882: all images after the loss of a disk became rows with an error, which stayed."""
    mount = tmp_path / "mount"
    mount.mkdir()
    images = mount / "images"
    folder.rename(images)
    with open_job(str(tmp_path / "out"), settings(images)) as job:
        images.rename(tmp_path / "elsewhere")
        if left == "an empty folder":
            images.mkdir()
        elif left == "no folder":
            mount.rmdir()
        for outcome in read_all(job):
            assert isinstance(outcome, Outcome)
            assert "mount its disk" in str(outcome.open_because)
        mount.mkdir(exist_ok=True)
        (tmp_path / "elsewhere").rename(images)
        assert read_all(job) == [Outcome(0, 40, 0), Outcome(1, 40, 0)]


def test_images_of_a_folder_that_is_gone_can_be_skipped(folder: Path, tmp_path: Path) -> None:
    with open_job(str(tmp_path / "out"), settings(folder)) as job:
        folder.rename(tmp_path / "elsewhere")
        assert read_all(job, skip_unavailable=True) == [Outcome(0, 40, 40), Outcome(1, 40, 40)]


def test_images_that_a_list_names_and_that_never_existed_are_rows_with_an_error(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text(f"{tmp_path}/missing/1.png\n")
    with open_job(str(tmp_path / "out"), settings(names)) as job:
        assert read_all(job) == [Outcome(0, 1, 1)]


def test_a_shard_that_cannot_be_written_is_an_error(folder: Path, tmp_path: Path) -> None:
    with open_job(str(tmp_path / "out"), settings(folder)) as job:
        Path(job.shard(0)).mkdir()
        with pytest.raises(OutputError, match="cannot write"):
            read_all(job)
