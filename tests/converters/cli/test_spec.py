"""`edge-crnn spec`: what it prints and writes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from converters.source import open_source
from edge_crnn import ctc
from edge_crnn.cli.main import main
from edge_crnn.model.artifact import load_sidecar, sidecar
from edge_crnn.preprocess import preprocess


@pytest.fixture
def bare(tiny_keras: Path, tmp_path: Path) -> Path:
    """The tiny network without a spec."""
    path = tmp_path / "tiny.keras"
    path.write_bytes(tiny_keras.read_bytes())
    return path


@pytest.fixture(scope="module")
def folder(tiny_keras: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, labelled with what the tiny network reads in them."""
    place = tmp_path_factory.mktemp("labelled")
    source = open_source(tiny_keras)
    random = np.random.default_rng(3)
    pictures = [random.integers(0, 256, (5, 9)).astype(np.uint8) for _ in range(200)]
    pictures = [cv2.resize(picture, (90, 30), interpolation=cv2.INTER_NEAREST) for picture in pictures]
    read = ctc.greedy(_table(source, pictures), source.spec.blank, source.spec.skip_steps)
    surest = sorted(range(200), key=lambda index: (len(read[index].indices) < 2, -read[index].confidence))[:16]
    lines = ["image,label"]
    for index in surest:
        cv2.imwrite(str(place / f"{index:03}.png"), pictures[index])
        lines.append(f"{index:03}.png,{source.spec.alphabet.spell(read[index].indices)}")
    (place / "labels.csv").write_text("\n".join(lines))
    return place


def _table(source, pictures):  # type: ignore[no-untyped-def]
    from converters.graph import oracle

    return oracle.run(source.graph, preprocess(pictures, source.spec.input))


def test_a_measured_spec_converts(bare: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", str(bare), "--labelled", str(folder), "--alphabet", "0123456789"]) == 0
    out = capsys.readouterr().out
    assert "16 labelled images" in out
    assert "orientation    transposed" in out
    spec = load_sidecar(bare)
    assert (spec.input.axes, spec.blank, spec.output.steps) == ("WHC", 10, 16)
    assert open_source(bare).spec == spec


def test_without_images_it_says_what_is_missing(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", str(bare)]) == 1
    assert "--labelled DIR" in capsys.readouterr().err
    assert not sidecar(bare).exists()


def test_without_images_options_make_a_spec(bare: Path, tiny_keras: Path) -> None:
    words = ["--alphabet", "0123456789", "--blank", "last", "--skip-steps", "2", "--pixels", "x/127.5-1"]
    assert main(["spec", str(bare), "--name", "tiny", *words]) == 0
    assert load_sidecar(bare) == load_sidecar(tiny_keras)
    assert main(["convert", str(bare), "--invert", "--dry-run"]) == 1  # which the spec has as False


def test_facts_in_the_spec_are_measured_again_only_on_request(
    bare: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["spec", str(bare), "--labelled", str(folder), "--alphabet", "0123456789"]
    sidecar(bare).write_text(json.dumps({"blank": 10, "input": {"axes": "WHC", "interpolation": "area"}}))
    assert main(words) == 0
    assert "\ninterpolation" not in capsys.readouterr().out
    assert main([*words, "--anew"]) == 0
    assert "\ninterpolation" in capsys.readouterr().out


def test_without_labels_it_says_that_this_is_weaker(
    bare: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spec", str(bare), "--images", str(folder), "--unlabelled", "--alphabet", "0123456789"]) == 0
    assert "Without labels nothing shows" in capsys.readouterr().out


def test_images_without_unlabelled_are_still_labelled(
    bare: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spec", str(bare), "--images", str(folder), "--alphabet", "0123456789"]) == 0
    streams = capsys.readouterr()
    assert streams.err == ""
    assert "16 labelled images" in streams.out


def test_the_model_is_not_overwritten(bare: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = bare.read_bytes()
    assert main(["spec", str(bare), "--labelled", str(folder), "-o", str(bare)]) == 1
    assert bare.read_bytes() == before


def test_a_spec_elsewhere_is_the_one_to_begin_with(
    bare: Path, tiny_keras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spec", str(bare), "--spec", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err
    other = tmp_path / "other.json"
    other.write_text(sidecar(tiny_keras).read_text())
    assert main(["spec", str(bare), "--spec", str(other)]) == 0
    assert load_sidecar(bare) == load_sidecar(tiny_keras)
    assert main(["convert", str(bare), "--spec", str(other), "--blank", "first", "--dry-run"]) == 1
    assert "the spec of 'tiny' says" in capsys.readouterr().err
