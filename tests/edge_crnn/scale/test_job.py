from __future__ import annotations

from pathlib import Path

import pytest

from edge_crnn.errors import DatasetError, InputError, OutputError
from edge_crnn.scale.job import Job, open_job
from tests.edge_crnn.scale.stub import settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number:02d}.png").touch()
    return folder


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "new" / "out")


def paths(job: Job) -> list[str]:
    return [file.path for _, part in job.waiting() for file in part.files]


def test_the_plan_stays_whatever_happens_to_the_inputs(folder: Path, output: str) -> None:
    with open_job(output, settings(folder)) as job:
        planned = paths(job)
        assert (job.parts, job.images, job.done) == (2, 100, frozenset())
        Path(job.shard(0)).touch()
    (folder / "aa.png").touch()
    (folder / "50.png").unlink()
    with open_job(output, settings(folder)) as job:
        assert job.done == {0}
        assert paths(job) == planned[50:]


def test_a_job_that_is_continued_with_other_readers_keeps_its_parts(folder: Path, output: str) -> None:
    for number in range(100, 1100):
        (folder / f"{number}.png").touch()
    with open_job(output, settings(folder), readers=1) as job:
        before = list(job.waiting())
    assert len(before) == 16
    with open_job(f"{output}-2", settings(folder), readers=8) as job:
        assert job.parts == 18
    with open_job(output, settings(folder), readers=8) as job:
        assert job.parts == 16
        assert list(job.waiting()) == before


def test_a_job_continues_in_another_folder(
    folder: Path, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_job(output, settings("in")) as job:
        assert paths(job)[0] == "in/00.png"
    monkeypatch.chdir(folder)
    for place in (folder, "../in/"):
        with open_job(output, settings(place)) as job:
            assert paths(job)[0] == "in/00.png"
            assert job.folder == str(tmp_path)


def test_a_job_that_was_killed_before_its_manifest_begins_again(folder: Path, output: str) -> None:
    Path(output).mkdir(parents=True)
    (Path(output) / "_parts.jsonl").write_text("[")
    with open_job(output, settings(folder)) as job:
        assert len(paths(job)) == 100


@pytest.mark.parametrize(
    ("now", "name"),
    [({"sample": 3}, "sample"), ({"format": "parquet"}, "format"), ({"recursive": True}, "recursive")],
)
def test_another_job_in_the_same_folder_is_refused(
    folder: Path, output: str, now: dict[str, object], name: str
) -> None:
    with open_job(output, settings(folder)):
        pass
    with pytest.raises(InputError, match=f"with {name} "), open_job(output, settings(folder, **now)):
        pass


def test_other_inputs_are_refused(folder: Path, output: str) -> None:
    with open_job(output, settings(folder)):
        pass
    with pytest.raises(InputError, match="inputs"), open_job(output, settings(folder / "00.png")):
        pass


def test_a_folder_with_other_files_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"100 other files, such as 00\.png"), open_job(str(folder), settings(folder)):
        pass


def test_a_folder_is_used_by_one_process_at_a_time(folder: Path, output: str) -> None:
    with (
        open_job(output, settings(folder)),
        pytest.raises(OutputError, match="another read-all"),
        open_job(output, settings(folder)),
    ):
        pass


def test_a_plan_that_was_changed_is_refused(folder: Path, output: str) -> None:
    with open_job(output, settings(folder)):
        pass
    with (Path(output) / "_parts.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match="was changed"), open_job(output, settings(folder)):
        pass


@pytest.mark.parametrize(
    "text", ["", "[]", '{"suite": "read-all", "version": 9}', '{"suite": "read-all", "version": 1}']
)
def test_a_damaged_manifest_is_refused(folder: Path, output: str, text: str) -> None:
    Path(output).mkdir(parents=True)
    (Path(output) / "_manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"_manifest\.json"), open_job(output, settings(folder)):
        pass


def test_inputs_without_images_leave_no_manifest(tmp_path: Path, output: str) -> None:
    with pytest.raises(DatasetError), open_job(output, settings(tmp_path / "missing")):
        pass
    assert not (Path(output) / "_manifest.json").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(folder: Path) -> None:
    with pytest.raises(OutputError, match="name a new folder"), open_job(str(folder / "00.png"), settings(folder)):
        pass
