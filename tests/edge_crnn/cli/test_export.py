from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.cli.main import main
from edge_crnn.model.artifact import load
from edge_crnn.reader import open_reader
from tests.edge_crnn.scale.triton.fake_server import FakeServer


@pytest.fixture
def folder(tiny_pictures: list[np.ndarray], tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, image in enumerate(tiny_pictures):
        cv2.imwrite(str(folder / f"{index}.png"), image)
    return folder


@pytest.fixture
def server(tiny_artifact: Path) -> Iterator[FakeServer]:
    with open_reader(tiny_artifact, workers=1) as reader, FakeServer(reader) as running:
        facts = reader.spec.artifact
        assert facts is not None
        running.parameters["sha256"] = facts.payload_sha256
        yield running


def test_export_prints_the_models(
    tiny_onnx: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = tmp_path / "models"
    words = ["export", str(tiny_onnx()), "--to", "triton", str(repository), "--name", "plates", "--instances", "1"]
    assert main(words) == 0
    output, notes = capsys.readouterr()
    assert output.splitlines() == [f"{repository}/plates", f"{repository}/plates_network"]
    assert f"tritonserver --model-repository {repository}" in notes
    assert main(words) == 1
    assert "exists" in capsys.readouterr().err


def test_wrong_options_are_reported_now_and_not_on_the_server(
    tiny_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(tiny_artifact), "--to", "triton", str(tmp_path / "models"), "--grammar", "["]
    assert main(words) == 1
    assert not (tmp_path / "models").exists()


def test_other_servers_are_unknown(tiny_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tiny_artifact), "--to", "torchserve", str(tmp_path)]) == 1
    assert "expected --to triton REPOSITORY" in capsys.readouterr().err


@pytest.mark.thorough
def test_a_trained_model_is_converted(tiny_keras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed; it comes with edge-crnn[onnx]")
    repository = tmp_path / "models"
    assert main(["export", str(tiny_keras), "--to", "triton", str(repository), "--instances", "1"]) == 0
    assert load(repository / "tiny/1/tiny.onnx").spec.artifact is not None
    assert (repository / "tiny_network/1/model.onnx").exists()


def test_verify_compares_every_image(
    server: FakeServer, tiny_artifact: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(tiny_artifact), "--name", "plates", "--verify", server.url, "--images", str(folder)]
    assert main(words) == 0
    assert "same text for 8 of 8 images" in capsys.readouterr().err
    assert main([*words, "--grammar", "2838"]) == 3  # the server has no grammar
    output, notes = capsys.readouterr()
    assert "same text for 1 of 8 images" in notes
    assert len(output.splitlines()) == 7
    assert output.splitlines()[0].split("\t")[:2] == [f"{folder}/1.png", "284748"]


def test_verify_refuses_another_artifact(
    server: FakeServer, tiny_artifact: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.parameters["sha256"] = "0" * 64
    words = ["export", str(tiny_artifact), "--name", "plates", "--verify", server.url, "--images", str(folder)]
    assert main(words) == 3
    assert "export it again" in capsys.readouterr().err
    assert main(words[:-2]) == 1
    assert "add --images" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_read_with_a_server_prints_what_read_prints(
    form: str,
    server: FakeServer,
    tiny_artifact: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "zz.png").write_bytes(b"garbage")
    words = ["read", str(folder), str(folder / "missing.png"), "--format", form]
    assert main([*words, "--model", str(tiny_artifact)]) == 1
    here = capsys.readouterr()
    assert main([*words, "--server", server.url]) == 1
    assert capsys.readouterr() == here


def test_read_refuses_options_that_the_server_decides(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "a.png", "--server", server.url, "--min-confidence", "0.5"]) == 1
    assert "--min-confidence with --server" in capsys.readouterr().err


def test_read_says_that_the_server_is_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(b"garbage")
    words = ["read", str(tmp_path / "a.png"), "--server", "http://127.0.0.1:1", "--timeout", "1"]
    assert main(words) == 1
    output, notes = capsys.readouterr()
    away, failure = notes.splitlines()
    assert output == ""
    assert "is away" in away
    assert "no answer for 1 s" in failure
