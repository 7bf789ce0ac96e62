from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.accuracy import Trial, load_groups
from benchmarks.artifacts import NAMES, make_all
from converters.artifact import make_tflite
from converters.graph import nodes as g
from converters.graph.graph import Graph
from converters.graph.ranges import calibrate
from converters.pipeline import Source, artifact_readings
from converters.recipe import RECIPES
from converters.report.accuracy import judged
from converters.trained.keras.model import Network
from edge_crnn.errors import DatasetError
from edge_crnn.model.artifact import Artifact, load
from edge_crnn.model.spec import Calibration
from edge_crnn.preprocess import preprocess
from edge_crnn.records.accuracy import Accuracy
from edge_crnn.records.record import load_record
from tests.conftest import TINY


@pytest.fixture
def source(tiny_graph: Graph, tmp_path: Path) -> Source:
    return Source(tmp_path / "tiny.keras", TINY, tiny_graph, "0" * 64, Network(tiny_graph))


@pytest.fixture
def drawn(tiny_pictures: list[np.ndarray], tiny_labels: list[str], tmp_path: Path) -> Path:
    """Eight images of two kinds."""
    import cv2

    for number, (picture, label) in enumerate(zip(tiny_pictures, tiny_labels, strict=True)):
        folder = tmp_path / "drawn" / ("even", "odd")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{label}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return tmp_path / "drawn"


@pytest.fixture
def held(source: Source, drawn: Path, tiny_artifacts: Callable[..., Path]) -> Trial:
    """A float32 artifact stands in for Keras."""
    groups = load_groups([drawn], source)
    readings = artifact_readings(load(tiny_artifacts("float32")), groups[str(drawn)])
    return Trial(source, groups, {str(drawn): readings})


def test_each_kind_is_a_set_of_its_group(held: Trial, drawn: Path, tiny_artifacts: Callable[..., Path]) -> None:
    outcomes, overall = held.of(load(tiny_artifacts("int8")))
    assert [image_set.name for image_set in outcomes[str(drawn)].parity.sets] == ["drawn/even", "drawn/odd"]
    assert overall == outcomes[str(drawn)].parity
    assert overall.verdict == "underpowered"
    assert outcomes[str(drawn)].detail.confusions == ()
    assert outcomes[str(drawn)].detail.mean_probability_change > 0


def test_an_artifact_that_reads_otherwise_fails(held: Trial, drawn: Path, tmp_path: Path) -> None:
    graph = held.source.graph
    dense = next(node for node in graph.nodes if node.name == "head")
    assert isinstance(dense, g.Dense)
    other = replace(dense, bias=np.roll(dense.bias, 3) + np.linspace(0, 20, len(dense.bias), dtype=np.float32))
    garbage = replace(graph, nodes=tuple(other if node is dense else node for node in graph.nodes))
    artifact = make_tflite(tmp_path / "x.tflite", garbage, TINY, RECIPES["dynamic"], "0" * 64)
    outcomes, overall = held.of(artifact)
    assert overall.verdict == "fail"
    assert sum(count.artifact for count in outcomes[str(drawn)].detail.errors) >= len(held.groups[str(drawn)])
    assert outcomes[str(drawn)].detail.confusions


def test_an_artifact_is_not_held_to_its_calibration_images(
    held: Trial, drawn: Path, tiny_artifacts: Callable[..., Path]
) -> None:
    artifact = load(tiny_artifacts("int8"))
    facts = artifact.spec.artifact
    assert facts is not None
    used = Calibration(4, held.groups[str(drawn)][0].sha256)
    calibrated = replace(artifact, spec=replace(artifact.spec, artifact=replace(facts, calibration=used)))
    with pytest.raises(DatasetError, match="was calibrated with these images"):
        held.of(calibrated)


def test_an_image_that_is_there_twice_is_refused(source: Source, drawn: Path) -> None:
    with pytest.raises(DatasetError, match="more than once"):
        load_groups([drawn, drawn / "even"], source)


def test_every_artifact_is_made_or_named_with_the_reason(
    source: Source, tiny_pictures: list[np.ndarray], tmp_path: Path
) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed; it comes with edge-crnn[onnx]")
    ranges = calibrate(source.graph, [preprocess(tiny_pictures, TINY.input)])
    artifacts, absent = make_all(source, (ranges, Calibration(8, "1" * 64)), tmp_path)
    assert {*artifacts, *absent} == set(NAMES)
    assert all(
        isinstance(artifact, Artifact) and artifact.path.name.startswith("tiny-") for artifact in artifacts.values()
    )
    if "tensorrt float16" in absent:
        assert "TensorRT engines do not run on this machine" in absent["tensorrt float16"]


def test_what_is_found_is_a_result_that_a_report_reads(
    held: Trial, drawn: Path, tiny_artifacts: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accuracy, "open_source", lambda path: held.source)
    monkeypatch.setattr(accuracy, "opened", lambda *_: (held.source, None))
    monkeypatch.setattr(accuracy, "trial", lambda *_: held)
    absent = {"tensorrt float16": "no GPU"}
    monkeypatch.setattr(accuracy, "make_all", lambda *_: ({"int8": load(tiny_artifacts("int8"))}, absent))
    output = tmp_path / "accuracy.json"
    assert accuracy.main([str(drawn), "--images-are", "soft blobs", "-o", str(output)]) == 0
    assert json.loads(output.read_text())["command"].startswith(f"python -m benchmarks.accuracy {drawn}")
    record = load_record(output)
    assert isinstance(record.figures, Accuracy)
    assert record.figures.absent == absent
    (judgement,) = judged(record)
    assert (judgement.name, len(judgement.sets), judgement.counts, len(judgement.details)) == ("int8", 2, (8, 8), 1)
