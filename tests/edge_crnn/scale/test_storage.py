"""Places in the memory of fsspec, and what both kinds of places share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from edge_crnn.errors import BackendUnavailable, DatasetError, InputError
from edge_crnn.scale import storage
from edge_crnn.scale.inputs import list_files
from edge_crnn.scale.job import open_job
from edge_crnn.scale.storage import File
from edge_crnn.scale.tasks import Advanced, Outcome, Task
from edge_crnn.scale.work import Workplace, read_part
from tests.edge_crnn.scale.stub import StubReader, settings


@pytest.fixture
def memory() -> Iterator[Any]:
    fsspec = pytest.importorskip("fsspec", reason="fsspec comes with edge-crnn[scale]")
    memory = fsspec.filesystem("memory")
    memory.pipe(
        {f"/in/{name}": name.encode() for name in ("b.png", "a.jpg", "sub/c.png", ".h/d.png", ".e.png", "f.md")}
    )
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.mark.parametrize(
    ("place", "is_url"),
    [
        ("s3://bucket/a", True),
        ("memory://a", True),
        ("simplecache::https://x/a", True),
        ("a/b", False),
        ("/a:b", False),
        ("c:/a", False),
        ("file:///a/b", False),
    ],
)
def test_urls(place: str, is_url: bool) -> None:
    assert storage.is_url(storage.local_path(place)) == is_url


@pytest.mark.parametrize(
    ("before", "now", "has_changed"),
    [
        (File("a", 1, "x"), File("a", 1, "x"), False),
        (File("a", 1, "x"), File("a", 2, "x"), True),
        (File("a", 1, "x"), File("a", 1, "y"), True),
        (File("a"), File("a", 1, "y"), False),
        (File("a", 1, "x"), File("a", None, None), False),
    ],
)
def test_changes(before: File, now: File, has_changed: bool) -> None:
    assert before.has_changed(now) == has_changed


def test_folders_and_patterns_elsewhere(memory: Any) -> None:
    def listed(*inputs: str, recursive: bool = False) -> list[str]:
        return [file.path for file in list_files(inputs, recursive, lambda text: None)]

    assert listed("memory://in") == ["memory:///in/a.jpg", "memory:///in/b.png"]
    assert listed("memory://in/", recursive=True) == [*listed("memory://in"), "memory:///in/sub/c.png"]
    assert listed("memory://in/*.png") == ["memory:///in/b.png"]
    with pytest.raises(DatasetError, match="no file matches"):
        listed("memory://in/*.gif")
    with pytest.raises(DatasetError, match="cannot be read"):
        listed("memory://in/missing.png")


def test_a_job_elsewhere(memory: Any) -> None:
    reader: Any = StubReader()
    job_settings = settings("memory://in", "memory://in/sub/c.png")
    with open_job("memory://out", job_settings) as job:
        (waiting,) = job.waiting()
        memory.pipe("/in/b.png", b"another text")
        workplace = Workplace(job, lambda: reader)
        assert list(read_part(workplace, Task(*waiting), reader)) == [Advanced(3), Outcome(0, 3, 1)]
    with open_job("memory://out/", job_settings) as job:
        assert job.done == {0}
        lines = storage.read(job.shard(0)).decode().splitlines()
    assert '"text": "a.jpg"' in lines[0]
    assert "has changed" in lines[1]


def test_object_storage_has_no_empty_folders(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(memory), "makedirs", lambda *_, **__: None)
    assert storage.names_in("memory://new") == []
    storage.write("memory://new/a", b"x")
    assert storage.names_in("memory://new") == ["a"]


def test_kinds_of_storage_that_do_not_exist(memory: Any) -> None:
    with pytest.raises(InputError, match="nosuch"):
        list_files(["nosuch://a/b.png"])


def test_a_package_that_is_missing_is_named(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(BackendUnavailable, match=r"edge-crnn\[scale\]"):
        list_files(["s3://a/b.png"])
