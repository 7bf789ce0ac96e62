"""Whatever goes wrong: one clear line, the right exit status, and nothing that loads under the target's name.

The oracle stands in for Keras, which takes ten seconds to start; other tests hold it to Keras.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from converters.graph import oracle
from converters.reference import keras as keras_reference
from converters.trained.keras.model import Network, load_network
from converters.trained.keras.weights import Structure
from edge_crnn.backends import BackendFacts
from edge_crnn.cli.main import main
from edge_crnn.dataset import find_images
from edge_crnn.model.artifact import load, sidecar

WIDE = ["--gate-agreement", "90", "--gate-accuracy", "10"]


class Trained:
    """A trained model, run by the oracle."""

    def __init__(
        self, path: Path, structure: Structure | None = None, network: Network | None = None, **_: object
    ) -> None:
        self._graph = (network or load_network(path, structure)).graph.folded()
        self.facts = BackendFacts("oracle", "1", "float32", (32, 16, 1), "float32", None)

    def infer(self, batch: np.ndarray) -> np.ndarray:
        return oracle.run(self._graph, batch)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _quick_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_reference, "KerasReference", Trained)


@pytest.fixture
def model(tiny_keras: Path, tmp_path: Path) -> Path:
    """A trained model of one's own, to be damaged."""
    path = tmp_path / "source" / "model.keras"
    path.parent.mkdir()
    shutil.copy(tiny_keras, path)
    shutil.copy(sidecar(tiny_keras), sidecar(path))
    return path


@pytest.fixture
def folder(labelled_folder: Path, tmp_path: Path) -> Path:
    """Labelled images of one's own."""
    return Path(shutil.copytree(labelled_folder, tmp_path / "pictures"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "x.tflite"


Ends = Callable[..., str]


@pytest.fixture
def ends(model: Path, folder: Path, target: Path, capfd: pytest.CaptureFixture[str]) -> Ends:
    """Converts, expects an end in one line with the given status and nothing at the target; gives the line."""

    def ends(*words: object, status: int = 1) -> str:
        before = sorted(target.parent.iterdir()) if target.parent.is_dir() else []
        command = ["convert", model, "--recipe", "float32", "--labelled", folder, "-o", target, *WIDE, *words]
        assert main([str(word) for word in command]) == status
        err = capfd.readouterr().err.splitlines()
        (line,) = (line for line in err if not line.startswith("INFO: "))  # LiteRT's greeting
        assert line.startswith("edge-crnn convert: ")
        assert (sorted(target.parent.iterdir()) if target.parent.is_dir() else []) == before
        return line

    return ends


# --- the trained model -----------------------------------------------------------------------------------------------


def test_missing_file(ends: Ends, model: Path) -> None:
    model.unlink()
    assert "model.keras" in ends()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated(share: float, ends: Ends, model: Path) -> None:
    data = model.read_bytes()
    model.write_bytes(data[: int(share * len(data))])
    assert "model.keras" in ends()


def test_no_zip(ends: Ends, model: Path) -> None:
    model.write_bytes(b"no model at all, " * 100)
    assert "model.keras" in ends()


def changed(model: Path, change: Callable[[list[dict]], None]) -> None:  # type: ignore[type-arg]
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config["config"]["layers"])
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(model, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Mystery", "not supported; convert it by your own function, --layers FILE"),
        ("Lambda", "code in a model file is never run"),
    ],
)
def test_unknown_layer(kind: str, expected: str, ends: Ends, model: Path) -> None:
    def plant(layers: list[dict]) -> None:  # type: ignore[type-arg]
        next(layer for layer in layers if layer["class_name"] == "MaxPooling2D")["class_name"] = kind

    changed(model, plant)
    line = ends()
    assert f"({kind})" in line
    assert expected in line


def test_unusable_spec_is_refused(ends: Ends, model: Path) -> None:
    sidecar(model).write_text("{")
    assert "model.keras.json: no JSON" in ends()


# --- images --------------------------------------------------------------------------------------------------------


def test_symbol_outside_the_alphabet(ends: Ends, folder: Path) -> None:
    table = folder / "labels.csv"
    table.write_text(table.read_text() + "extra.png,12Q4\n")
    shutil.copy(folder / "000.png", folder / "extra.png")
    line = ends()
    assert "extra.png" in line
    assert "Q" in line


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "only its start"])
@pytest.mark.parametrize("where", ["verification", "calibration"])
def test_file_that_is_no_picture(data: bytes, where: str, ends: Ends, folder: Path, calibration_folder: Path) -> None:
    calibration = Path(shutil.copytree(calibration_folder, folder.parent / "calibration"))
    bad = (folder if where == "verification" else calibration) / "007.png"
    bad.write_bytes(data)
    assert f"{bad}: " in ends("--recipe", "int8", "--calibration", calibration)


def test_empty_folder(ends: Ends, tmp_path: Path, calibration_folder: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "empty: no image among 0 files" in ends("--labelled", empty)
    assert "empty: no image among 0 files" in ends("--recipe", "int8", "--calibration", empty)


def test_calibrating_with_the_images_that_verify_is_refused(ends: Ends, folder: Path, calibration_folder: Path) -> None:
    calibration = Path(shutil.copytree(calibration_folder, folder.parent / "calibration"))
    shutil.copy(find_images(folder)[0], calibration / "zzz.png")
    assert "1 images are in both sets" in ends("--recipe", "int8", "--calibration", calibration)


# --- where it goes ---------------------------------------------------------------------------------------------------


def test_target_under_a_file(ends: Ends, target: Path) -> None:
    target.parent.rmdir()
    target.parent.write_bytes(b"a file")
    assert str(target) in ends()


def test_target_is_a_folder(ends: Ends, target: Path) -> None:
    target.mkdir()
    (target / "kept").write_bytes(b"")
    assert str(target) in ends()
    assert (target / "kept").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB with 40 kB left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount") is not None
    mounted = (
        mounted
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("a small file system can be mounted by root only")
    try:
        (disk / "filler").write_bytes(bytes((1 << 20) - 40_960))
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_full_disk_for_the_artifact(ends: Ends, small_disk: Path) -> None:
    line = ends("-o", small_disk / "x.tflite")
    assert f"{small_disk / 'x.tflite'}: cannot write" in line
    assert "No space left on device" in line
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_full_disk_keeps_the_older_file(ends: Ends, small_disk: Path, tiny_artifact: Path) -> None:
    shutil.copy(tiny_artifact, small_disk / "x.tflite")
    before = load(small_disk / "x.tflite")
    ends("-o", small_disk / "x.tflite")
    assert load(small_disk / "x.tflite") == before


def test_full_disk_for_the_page(ends: Ends, small_disk: Path) -> None:
    (small_disk / "filler2").write_bytes(bytes(36_864))
    assert f"{small_disk / 'page.html'}: cannot write" in ends("--page", small_disk / "page.html")
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "filler2"]


# --- a sudden end ----------------------------------------------------------------------------------------------------

CHILD = """
import importlib.util, os, pathlib, sys, time

spec = importlib.util.spec_from_file_location("stand_in", sys.argv[1])
stand_in = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stand_in)
stand_in.keras_reference.KerasReference = stand_in.Trained


def stop(owner, name):
    real = getattr(owner, name)

    def stopped(*words, **more):
        if name != "replace" or str(words[0]).endswith(".partial"):
            print("here", flush=True)
            time.sleep(600)
        return real(*words, **more)

    setattr(owner, name, stopped)


if sys.argv[2] != "end":
    owner, name = {
        "calibrating": (stand_in.oracle, "run"),
        "reading": (stand_in.Trained, "infer"),
        "writing": (os, "fsync"),
        "renaming": (pathlib.Path, "replace"),
    }[sys.argv[2]]
    stop(owner, name)
sys.exit(stand_in.main(sys.argv[3:]))
"""


@pytest.fixture
def child(
    model: Path, folder: Path, target: Path, calibration_folder: Path, tmp_path: Path
) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """`child(moment)`: a process that converts, and stands still at that moment; "end": it does not."""
    started: list[subprocess.Popen[str]] = []

    def child(moment: str) -> subprocess.Popen[str]:
        words = [
            "convert", model, "--recipe", "int8", "--calibration", calibration_folder, "--labelled", folder,
            "-o", target, "--gate-agreement", "0", "--gate-accuracy", "100", "--no-cache",
        ]  # fmt: skip
        command = [sys.executable, "-c", CHILD, __file__, moment, *words]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        if moment != "end":
            out = started[-1].stdout
            assert out is not None
            assert any(line == "here\n" for line in out), started[-1].communicate()
        return started[-1]

    yield child
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("moment", ["reading", "writing", "renaming"])
def test_kill(
    moment: str, older: bool, child: Callable[[str], subprocess.Popen[str]], target: Path, tiny_artifact: Path
) -> None:
    """The target is missing or unchanged, and the next run deletes the files that the killed one left."""
    if older:
        shutil.copy(tiny_artifact, target)
    process = child(moment)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    left = [path for path in target.parent.iterdir() if path != target]
    assert len(left) == (moment != "reading")
    assert all(path.name.startswith(".x.tflite.") and path.suffix == ".partial" for path in left)
    assert target.exists() == older
    if older:
        assert load(target).payload == load(tiny_artifact).payload
    if moment == "renaming":
        assert child("end").wait() == 0
        assert [path.name for path in target.parent.iterdir()] == ["x.tflite"]
        assert load(target).spec.artifact.recipe == "int8"  # type: ignore[union-attr]


@pytest.mark.parametrize("moment", ["calibrating", "reading", "writing"])
def test_interrupted(moment: str, child: Callable[[str], subprocess.Popen[str]], target: Path) -> None:
    process = child(moment)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    lines = [line for line in err.splitlines() if not line.startswith("INFO: ")]
    assert (process.returncode, lines) == (130, ["edge-crnn convert: interrupted"])
    assert not list(target.parent.iterdir())
