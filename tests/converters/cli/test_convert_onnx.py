"""`edge-crnn convert --to onnx` on a real trained model, through the same gate as any other artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import pipeline
from converters.cli import arguments
from converters.cli import convert as command
from converters.graph.graph import Graph
from converters.pipeline import load_sets, open_source
from converters.recipe import ONNX_RECIPES
from converters.verify.gate import Gate, Readings
from edge_crnn import open_reader
from edge_crnn.backends.tensorrt.build import BuildOptions
from edge_crnn.dataset import find_images
from edge_crnn.errors import ConversionError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import Artifact, load, save

onnx = pytest.importorskip("onnx", reason="onnx is not installed; it comes with edge-crnn[onnx]")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; it comes with edge-crnn[onnx]")

WIDE = ["--gate-agreement", "90", "--gate-accuracy", "10"]
"""What sixty images can show of a perfect artifact."""

Run = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def convert(run: Run, tiny_keras: Path, labelled_folder: Path, tmp_path: Path) -> Run:
    """Converts `tiny_keras` to x.onnx."""
    where = ["--labelled", labelled_folder, "-o", tmp_path / "x.onnx"]
    return lambda *words: run("convert", tiny_keras, "--to", "onnx", *where, *words)


@pytest.mark.parametrize("values", [[], ["--float-input"]])
@pytest.mark.parametrize("recipe", ONNX_RECIPES)
def test_passing_model_is_written_with_its_verdict(
    convert: Run, tiny_keras: Path, labelled_folder: Path, tmp_path: Path, recipe: str, values: list[str]
) -> None:
    status, out, err = convert("--recipe", recipe, *values, *WIDE)
    assert (status, err) == (0, [])
    assert out[0].startswith("x.onnx: pass: same text on ")
    assert any("this CPU computes most of float16 in float32" in line for line in out) == (recipe != "float32")
    artifact = load(tmp_path / "x.onnx")
    assert artifact.spec.parity is not None
    assert artifact.spec.parity.verdict == "pass"
    assert artifact.spec.artifact is not None
    assert artifact.spec.artifact.source_sha256 == sha256(tiny_keras.read_bytes())
    assert artifact.spec.input.dtype == ("float32" if values else "uint8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.onnx"]
    onnx.checker.check_model(onnx.load(artifact.path), full_check=True)
    with open_reader(artifact.path) as reader:
        readings = reader.read_batch(find_images(labelled_folder))
    table = (labelled_folder / "labels.csv").read_text().splitlines()[1:]
    same = sum(reading.label == line.partition(",")[2] for reading, line in zip(readings, table, strict=True))
    assert same == artifact.spec.parity.sets[0].same_text >= (60 if recipe == "float32" else 57)


def test_the_default_is_float32_and_the_same_conversion_gives_the_same_bytes(convert: Run, tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        assert convert(*WIDE)[0] == 0
        written.append((tmp_path / "x.onnx").read_bytes())
    assert written[0] == written[1]
    facts = load(tmp_path / "x.onnx").spec.artifact
    assert facts is not None
    assert facts.recipe == "float32"


def test_verify_and_info_take_it(
    convert: Run, run: Run, tiny_keras: Path, labelled_folder: Path, tmp_path: Path
) -> None:
    assert convert("--recipe", "float16", *WIDE)[0] == 0
    status, out, err = run("verify", tiny_keras, tmp_path / "x.onnx", "--labelled", labelled_folder, *WIDE)
    assert (status, err) == (0, [])
    assert out[0].startswith("x.onnx: pass: ")
    status, out, err = run("info", tmp_path / "x.onnx")
    assert (status, err) == (0, [])
    facts = {line[:12].strip(): line[13:] for line in out}
    assert facts["recipe"] == "float16, onnx, batch 1"
    assert facts["engine"].startswith("onnxrt, onnxruntime ")


def test_auto_tries_what_onnx_has(convert: Run) -> None:
    status, out, _ = convert("--recipe", "auto", *WIDE)
    assert status == 0
    assert [line.split()[0] for line in out[1:4]] == list(ONNX_RECIPES)


def test_failing_model_is_not_written(convert: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pipeline.make_onnx

    def blind(path: Path, graph: Graph, *rest: Any, **more: Any) -> Any:
        head = graph.nodes[-2]
        changed = replace(head, kernel=-head.kernel)  # type: ignore[call-arg, union-attr]
        return real(path, Graph(graph.input_shape, (*graph.nodes[:-2], changed, graph.nodes[-1])), *rest, **more)

    monkeypatch.setattr(pipeline, "make_onnx", blind)
    status, _, err = convert(*WIDE)
    assert (status, len(err)) == (3, 1)
    assert not list(tmp_path.iterdir())


def test_without_tensorrt_the_onnx_and_the_command_for_the_engine_remain(
    convert: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "is_there", lambda: False)
    engine = tmp_path / "x.engine"
    status, out, err = convert("--to", "tensorrt", "-o", engine, "--batch", "4", *WIDE)
    assert (status, err) == (0, [])
    assert f"{tmp_path / 'x.onnx'}: " in out[-4]
    assert out[-3:] == [
        f"TensorRT is not installed here, so {engine} was not built",
        f"Copy {tmp_path / 'x.onnx'} to the device and build the engine there, for its own GPU:",
        "    edge-crnn build-engine x.onnx -o x.engine --batches 1 4 4",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]
    facts = load(tmp_path / "x.onnx").spec.artifact
    assert facts is not None
    assert facts.recipe == "float16"


def test_with_tensorrt_the_engine_is_built(convert: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def to_engine(onnx: Path, engine: Path, options: BuildOptions) -> Artifact:
        artifact = load(onnx)
        return save(engine, f"for {options.batches[2]} images".encode(), artifact.spec)

    monkeypatch.setattr(command, "is_there", lambda: True)
    monkeypatch.setattr(command, "to_engine", to_engine)
    status, out, _ = convert("--to", "tensorrt", "-o", tmp_path / "x.engine", *WIDE)
    assert status == 0
    assert f"{tmp_path / 'x.engine'}: 13 bytes, for up to 32 images" in out[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.engine", "x.engine.json", "x.onnx"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--recipe", "int8"], "recipe 'int8' does not apply to onnx; choose from float32, float16, float16-mixed"),
        (
            ["--to", "tflite", "--recipe", "float16-mixed", "-o", "x.tflite"],
            "recipe 'float16-mixed' does not apply to tflite",
        ),
        (["--batch", "4"], "--batch does not apply to --to onnx"),
        (["--to", "tensorrt", "-o", "x.onnx"], "x.onnx: the output must end in .engine with --to tensorrt"),
        (["--to", "tensorrt", "-o", "x.engine", "--recipe", "auto"], "recipe auto does not apply to tensorrt"),
        (["--to", "tensorrt", "-o", "x.engine", "--recipe", "int8"], "recipe 'int8' does not apply to tensorrt"),
        (["-o", "x.tflite"], "x.tflite: the output must end in .onnx with --to onnx"),
    ],
)
def test_options_that_cannot_work_are_refused_before_the_work(
    words: list[str], expected: str, convert: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(arguments, "open_source", None)  # nothing is opened before
    status, out, err = convert(*words)
    assert (status, out, len(err)) == (1, [], 1)
    assert expected in err[0]


def test_values_that_a_gpu_would_lose_are_refused(tiny_keras: Path, labelled_folder: Path, tmp_path: Path) -> None:
    """ONNX Runtime on a CPU reads on: it has no infinity there."""
    source = open_source(tiny_keras)
    first = source.graph.nodes[0]
    assert first.activation == "relu"  # type: ignore[union-attr]
    large = replace(first, kernel=first.kernel * 1e3, bias=first.bias * 1e6)  # type: ignore[call-arg, union-attr]
    source = replace(source, graph=Graph(source.graph.input_shape, (large, *source.graph.nodes[1:])))
    datasets = load_sets([labelled_folder], source.spec)
    steps = np.zeros((60, 16, 11), np.float32)
    reference = [Readings(tuple(entry.label for entry in datasets[0]), (1.0,) * len(datasets[0]), steps)]
    with pytest.raises(ConversionError, match=r"value '.*' goes from .*, float16 ends at 65,504"):
        pipeline.convert(source, tmp_path / "x.onnx", ONNX_RECIPES["float16"], datasets, reference, Gate(), None)
    pipeline.convert(source, tmp_path / "x.onnx", ONNX_RECIPES["float32"], datasets, reference, Gate(), None)
