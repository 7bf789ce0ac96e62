"""`edge-crnn slim` on a real trained model, and what `convert`, `verify` and `info` make of its result."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import edge_crnn
from converters.slim import job
from converters.source import open_source
from edge_crnn.cli.main import main
from edge_crnn.errors import OutputError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import load, load_sidecar, sidecar
from edge_crnn.model.spec import Teacher
from tests.converters.cli.conftest import Run
from tests.converters.conftest import draw

LOOSE = ["--gate-agreement", "0", "--gate-accuracy", "100"]
"""A gate that any network meets: the tiny teacher was never trained, so its texts change easily."""
DECLARED = ["--alphabet", "0123456789", "--blank", "last", "--skip-steps", "2", "--pixels", "x/127.5-1"]
"""The facts in the spec of the tiny network that its file does not state."""
UNTRAINED = ["--epochs", "0"]
FILES = ["small.keras", "small.keras.json", "tiny.keras", "tiny.keras.json"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred images to slim with."""
    return draw(tmp_path_factory.mktemp("slim") / "pictures", 100, 3)


@pytest.fixture(scope="module", autouse=True)
def unsure() -> Iterator[None]:
    """Let readings of any confidence count, because the tiny network was never trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "CONFIDENT", 0.0)
        yield


@pytest.fixture(scope="module")
def slimmed(tiny_keras: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tiny.keras`, with `small.keras`, which was slimmed from it, and with their specs."""
    folder = tmp_path_factory.mktemp("slimmed")
    for path in (tiny_keras, sidecar(tiny_keras)):
        shutil.copy(path, folder)
    words = ["slim", folder / "tiny.keras", "--images", pictures, "-o", folder / "small.keras", "--to", "0.6"]
    assert main([str(word) for word in (*words, *UNTRAINED)]) == 0
    return folder


@pytest.fixture
def copied(slimmed: Path, tmp_path: Path) -> Path:
    """A copy of the folder that a test may change."""
    return Path(shutil.copytree(slimmed, tmp_path / "copied"))


def test_the_student_is_a_smaller_model_that_names_its_teacher(slimmed: Path) -> None:
    assert sorted(path.name for path in slimmed.iterdir()) == FILES
    teacher = open_source(slimmed / "tiny.keras")
    student = open_source(slimmed / "small.keras")
    facts = student.spec.teacher
    assert facts is not None
    assert (facts.file, facts.sha256) == ("tiny.keras", sha256((slimmed / "tiny.keras").read_bytes()))
    assert 0.3 < facts.share <= 0.6
    assert student.graph.parameters < teacher.graph.parameters
    assert replace(student.spec, teacher=None) == teacher.spec
    assert student.unwritten is None


def test_the_same_seed_gives_the_same_files(run: Run, copied: Path, pictures: Path) -> None:
    """It also replaces an earlier result, and says what it did."""
    before = {name: (copied / name).read_bytes() for name in FILES}
    (copied / "small.keras").write_bytes(b"")
    words = ["slim", copied / "tiny.keras", "--images", pictures, "-o", copied / "small.keras", "--to", "0.6"]
    status, out, _ = run(*words, *UNTRAINED)
    assert status == 0
    assert {name: (copied / name).read_bytes() for name in FILES} == before
    assert "slimmed from tiny.keras, " in out[-2]
    assert "% of the multiplications; same text on " in out[-2]
    assert f"edge-crnn convert {copied / 'small.keras'} --labelled" in out[-1]
    assert all(" of " in line for line in out[:-2])


def test_the_gate_compares_with_the_teacher(run: Run, copied: Path, labelled_folder: Path, tmp_path: Path) -> None:
    artifact, page = tmp_path / "x.tflite", tmp_path / "page.html"
    words = ["--labelled", labelled_folder, "--recipe", "float32", *LOOSE]
    status, out, _ = run("convert", copied / "small.keras", *words, "-o", artifact, "--page", page)
    assert status == 0
    spec = load(artifact).spec
    facts = load_sidecar(copied / "small.keras").teacher
    assert facts is not None
    assert spec.teacher == facts
    assert spec.parity is not None
    (counts,) = spec.parity.sets
    assert counts.reference_right == counts.images == 60  # the labels are what the teacher reads
    assert counts.same_text < 60
    assert any(facts.headline in line for line in out)
    assert facts.headline in page.read_text(encoding="utf-8")

    for trained in ("small.keras", "tiny.keras"):  # the teacher is the reference, whichever is named
        status, out, _ = run("verify", copied / trained, artifact, *words[:2], *LOOSE)
        assert status == 0
        assert any(f"same text {counts.same_text / 60:.2%}" in line for line in out)
        assert not any("was not converted from" in line for line in out)
    status, out, err = run("verify", copied / "tiny.keras", artifact, *words[:2], "--localise")
    assert (status, out, len(err)) == (1, [], 1)
    assert "name the slimmed model" in err[0]

    status, _, err = run("convert", copied / "small.keras", *words[:4], "-o", tmp_path / "z.tflite")
    assert (status, len(err)) == (3, 1)
    assert "edge-crnn slim --to SHARE" in err[0]
    assert not (tmp_path / "z.tflite").exists()

    by_python = edge_crnn.convert(
        copied / "small.keras", tmp_path / "y.tflite", labelled=labelled_folder, recipe="float32", gate_agreement=0,
        gate_accuracy=100,
    )  # fmt: skip
    assert by_python.parity == spec.parity
    again = edge_crnn.verify(copied / "small.keras", artifact, labelled=labelled_folder)
    assert again.parity.sets == spec.parity.sets


@pytest.mark.parametrize("damage", ["missing", "another file", "another alphabet"])
def test_a_teacher_that_cannot_be_the_one_is_an_error(
    damage: str, run: Run, copied: Path, labelled_folder: Path, tiny_h5: Path
) -> None:
    teacher = copied / "tiny.keras"
    match damage:
        case "missing":
            teacher.unlink()
        case "another file":
            shutil.copy(copied / "small.keras", teacher)
        case "another alphabet":
            spec = load_sidecar(teacher)
            sidecar(teacher).write_text(replace(spec, symbols=tuple("abcdefghij")).to_json(), encoding="utf-8")
    for words in (
        ["convert", copied / "small.keras"],
        ["verify", copied / "small.keras", edge_crnn.reader.DEFAULT_MODEL],
    ):
        status, out, err = run(*words, "--labelled", labelled_folder)
        assert (status, out, len(err)) == (1, [], 1)
        assert str(teacher) in err[0]
        assert ("alphabet" if damage == "another alphabet" else "--teacher FILE") in err[0]


def test_the_teacher_may_lie_elsewhere(run: Run, copied: Path, labelled_folder: Path, tmp_path: Path) -> None:
    """Its spec need not lie beside it."""
    teacher = tmp_path / "moved.keras"
    (copied / "tiny.keras").rename(teacher)
    words = ["--labelled", labelled_folder, "--recipe", "float32", "--dry-run", *LOOSE]
    assert run("convert", copied / "small.keras", "--teacher", teacher, *words)[0] == 0


def test_a_teacher_without_images_or_of_a_whole_model_is_an_error(
    run: Run, slimmed: Path, labelled_folder: Path
) -> None:
    status, _, err = run("convert", slimmed / "small.keras", "--teacher", slimmed / "tiny.keras", "--dry-run")
    assert (status, len(err)) == (1, 1)
    assert "--teacher needs images" in err[0]
    words = ["--teacher", slimmed / "small.keras", "--labelled", labelled_folder]
    status, _, err = run("convert", slimmed / "tiny.keras", *words)
    assert (status, len(err)) == (1, 1)
    assert "leave out --teacher" in err[0]


def test_without_images_the_student_itself_is_the_reference(run: Run, copied: Path, tmp_path: Path) -> None:
    (copied / "tiny.keras").unlink()
    status, out, err = run("convert", copied / "small.keras", "-o", tmp_path / "x.tflite")
    assert (status, err) == (0, [])
    assert any("unverified" in line for line in out)
    assert load(tmp_path / "x.tflite").spec.teacher is not None


def test_info_names_the_teacher(run: Run, slimmed: Path) -> None:
    _, out, _ = run("info", slimmed / "small.keras")
    facts = load_sidecar(slimmed / "small.keras").teacher
    assert facts is not None
    assert any(facts.headline in line for line in out)


def test_a_spec_that_is_written_anew_keeps_the_teacher(run: Run, copied: Path) -> None:
    path = copied / "small.keras"
    before = load_sidecar(path)
    status, _, err = run("spec", path, "--anew", *DECLARED)
    assert (status, err) == (0, [])
    assert load_sidecar(path) == replace(before, name="small")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "--images"),
        (["--images", "{pictures}", "--draw", "plates"], "--draw"),
        (["--images", "{pictures}", "--fonts", "{pictures}"], "--fonts"),
        (["--draw", "plates", "--recursive"], "--recursive"),
        (["--images", "{pictures}", "--count", "20"], "20 images, expected at least"),
        (["--draw", "plates"], "cannot write"),
        (["--images", "{pictures}", "-o", "{folder}/small.tflite"], ".keras"),
        (["--images", "{pictures}", "-o", "{folder}/tiny.keras"], "tiny.keras"),
        (["--images", "{pictures}", "-o", "{folder}/no/small.keras"], "small.keras"),
        (["--images", "{folder}"], "no image among 4 files"),
    ],
)
def test_bad_input_is_one_error_and_changes_nothing(
    words: list[str], expected: str, run: Run, copied: Path, pictures: Path
) -> None:
    before = {path.name: path.read_bytes() for path in copied.iterdir()}
    places = {"pictures": pictures, "folder": copied}
    status, out, err = run(
        "slim", copied / "tiny.keras", "-o", copied / "small.keras", *(word.format(**places) for word in words)
    )
    assert (status, out, len(err)) == (1, [], 1)
    assert expected in err[0]
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == before


def test_images_that_the_teacher_cannot_read_are_an_error(
    run: Run, copied: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "CONFIDENT", 0.5)
    words = ["slim", copied / "tiny.keras", "--images", pictures, "-o", copied / "x.keras"]
    status, out, err = run(*words)
    assert (status, out, len(err)) == (1, [], 1)
    assert re.search(r"reads nothing in \d+ of 100 images", err[0])
    assert sorted(path.name for path in copied.iterdir()) == FILES


def test_a_student_is_not_slimmed_again(run: Run, slimmed: Path, pictures: Path, tmp_path: Path) -> None:
    status, out, err = run("slim", slimmed / "small.keras", "--images", pictures, "-o", tmp_path / "x.keras")
    assert (status, out, len(err)) == (1, [], 1)
    assert "slim tiny.keras instead" in err[0]


@pytest.mark.parametrize("fails", ["model", "spec"])
def test_a_full_disk_leaves_the_earlier_files(
    fails: str, run: Run, copied: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in copied.iterdir()}

    def full(*_: object) -> None:
        raise OutputError(28, "no room")

    monkeypatch.setattr(job, "save_keras" if fails == "model" else "write_atomically", full)
    words = ["slim", copied / "tiny.keras", "--images", pictures, "-o", copied / "small.keras", "--to", "0.5"]
    status, out, err = run(*words, *UNTRAINED)
    assert (status, out) == (1, [])
    assert "no room" in err[-1]
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == before


def test_the_smallest_network_is_found(run: Run, copied: Path, pictures: Path) -> None:
    """A network of any size may lose all texts, and one that may lose none is hardly smaller than its teacher."""
    words = ["slim", copied / "tiny.keras", "--images", pictures, "-o", copied / "small.keras"]
    before = load_sidecar(copied / "small.keras").teacher
    status, out, _ = run(*words, "--lose", 100, *UNTRAINED)
    assert status == 0
    after = load_sidecar(copied / "small.keras").teacher
    assert before is not None
    assert after is not None
    assert after.share < before.share
    assert sum("tried" in line for line in out) >= 2


def test_a_spec_of_declared_facts_is_written_beside_the_teacher(
    run: Run, tiny_keras: Path, pictures: Path, tmp_path: Path
) -> None:
    teacher = tmp_path / "bare.keras"
    shutil.copy(tiny_keras, teacher)
    words = ["slim", teacher, "--images", pictures, "-o", tmp_path / "small.keras", "--to", "0.9", *UNTRAINED]
    status, _, err = run(*words)
    assert (status, len(err)) == (1, 1)
    assert "--alphabet" in err[0]
    status, out, _ = run(*words, *DECLARED)
    assert status == 0
    assert any(str(sidecar(teacher)) in line for line in out)
    assert load_sidecar(teacher) == replace(load_sidecar(tiny_keras), name="bare")
    assert isinstance(load_sidecar(tmp_path / "small.keras").teacher, Teacher)
