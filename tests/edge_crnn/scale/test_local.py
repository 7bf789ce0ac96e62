"""Processes that read parts: order does not matter, deaths are survived, and errors reach the caller."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from edge_crnn.errors import ArtifactError, BackendError, InputError
from edge_crnn.scale.job import open_job
from edge_crnn.scale.local import read_parts
from edge_crnn.scale.work import Workplace
from tests.edge_crnn.scale.stub import StubReader, refuse, rows, settings

pytestmark = pytest.mark.thorough


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(70):
        (folder / f"{number:02d}.png").write_text(f"text {number}")
    return folder


def die() -> StubReader:
    os._exit(3)


def test_an_image_that_ends_its_process_is_a_row_with_an_error(folder: Path, tmp_path: Path) -> None:
    (folder / "40.png").write_text("deadly")
    (folder / "50.png").write_text("broken")
    counts: list[int] = []
    with open_job(str(tmp_path / "out"), settings(folder)) as job:
        workplace = Workplace(job, StubReader)  # type: ignore[arg-type]
        outcomes = list(read_parts(workplace, job.waiting(), 2, counts.append))
    assert sorted((outcome.number, outcome.images, outcome.errors) for outcome in outcomes) == [
        (0, 35, 0),
        (1, 35, 2),
    ]
    assert sum(counts) == 70
    found = rows(tmp_path / "out")
    assert [row["text"] for row in found] == [None if n in (40, 50) else f"text {n}" for n in range(70)]
    assert "3 processes died" in found[40]["error"]


def test_processes_that_never_start_end_the_job(folder: Path, tmp_path: Path) -> None:
    with open_job(str(tmp_path / "out"), settings(folder)) as job, pytest.raises(BackendError, match="exit code 3"):
        list(read_parts(Workplace(job, die), job.waiting(), 1, print))  # type: ignore[arg-type]


def test_errors_of_opening_reach_the_caller(folder: Path, tmp_path: Path) -> None:
    with open_job(str(tmp_path / "out"), settings(folder)) as job:
        with pytest.raises(InputError, match="no such lexicon"):
            list(read_parts(Workplace(job, refuse), job.waiting(), 1, print))  # type: ignore[arg-type]
        other = Workplace(job, partial(StubReader, name="other"))  # type: ignore[arg-type]
        with pytest.raises(ArtifactError, match="has changed"):
            list(read_parts(other, job.waiting(), 1, print))
    assert rows(tmp_path / "out") == []
