"""The probe into an engine: on a GPU in NumPy, where ONNX Runtime computes what TensorRT would; and on a real one."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.graph.graph import Graph
from converters.verify.localise import Drift, localise
from converters.verify.probes import _marked
from edge_crnn.backends.tensorrt import cuda
from edge_crnn.backends.tensorrt import engine as trt
from edge_crnn.backends.tensorrt import process as trt_process
from edge_crnn.backends.tensorrt.build import BuildOptions, Built, build, import_tensorrt
from edge_crnn.backends.tensorrt.process import make_engine
from edge_crnn.dataset import Entry
from edge_crnn.errors import ArtifactError, BackendUnavailable, InputError, VerificationError
from edge_crnn.model.artifact import Artifact, load, save
from tests.conftest import TINY
from tests.converters.conftest import onnx_with
from tests.converters.verify.made import renamed
from tests.fake_cuda import FakeGpu
from tests.fake_engine import Plan
from tests.fake_tensorrt import tensorrt

pytestmark = pytest.mark.thorough

LAYERS = ["conv", "pool", "sequence", "dense", "lstm", "head", "softmax"]
OPTIONS = BuildOptions((1, 2, 4), 1 << 20, tactic_sources=("EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"))

Make = Callable[..., Path]
Look = Callable[[Artifact], Drift]


@pytest.fixture
def look(tiny_graph: Graph, entries: list[Entry]) -> Look:
    """The drift of an artifact of `tiny_graph`."""
    return lambda artifact: localise(artifact, tiny_graph, TINY.input, entries)


def plan_of(onnx: Artifact, options: BuildOptions) -> bytes:
    """An engine of a GPU in NumPy, which computes what the file says."""
    image = onnx.spec.input
    kind = {"uint8": "UINT8", "float32": "FLOAT"}[image.dtype]
    return Plan(image.shape, kind, batches=options.batches, onnx=base64.b64encode(onnx.payload).decode()).payload()


@pytest.fixture
def gpu(on_gpu: Callable[..., FakeGpu]) -> FakeGpu:
    """A fake GPU."""
    return on_gpu("10.3.0")


@pytest.fixture
def build_options(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> list[BuildOptions]:
    """Builds run in this process; the fixture is the list of their options."""
    build_options = []

    def build_here(onnx: Artifact, name: str, half: bool, options: BuildOptions, timeout: float) -> Built:
        build_options.append(options)
        return replace(build(tensorrt("10.3.0"), onnx.payload, half, options), plan=plan_of(onnx, options))

    monkeypatch.setattr(trt_process, "_build_apart", build_here)
    monkeypatch.setattr(trt_process, "is_there", lambda: True)
    return build_options


@pytest.mark.parametrize("pixels", [True, False])
@pytest.mark.parametrize(("recipe", "least"), [("float32", 80), ("float16-mixed", 40)])
def test_fake_a_healthy_engine_drifts_nowhere(
    recipe: str,
    least: float,
    pixels: bool,
    gpu: FakeGpu,
    build_options: list[Any],
    tiny_onnx: Make,
    look: Look,
    tmp_path: Path,
) -> None:
    """Without the `.onnx` beside it, the engine is built again with the same options, and leaves no files."""
    engine = make_engine(load(tiny_onnx(recipe, pixels)), tmp_path / "tiny.engine", OPTIONS)
    drifts = look(engine)
    assert [layer.name for layer in drifts.layers] == LAYERS
    assert drifts.images == 8
    assert min(layer.own_snr_db for layer in drifts.layers) > least
    assert min(drifts.shipped_snr_db, drifts.copy_snr_db) > least
    assert build_options == [OPTIONS, OPTIONS]
    assert gpu.left == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.engine", "tiny.engine.json"]


@pytest.mark.parametrize("layer", ["conv", "lstm"])
@pytest.mark.usefixtures("build_options")
def test_fake_a_fault_in_an_engine_is_found_where_it_is(
    layer: str, tiny_onnx: Make, look: Look, tmp_path: Path
) -> None:
    """The engine is compared with the `.onnx` that it was built from, not with a new conversion."""
    broken = onnx_with(tiny_onnx(), f"{layer}/kernel", 0.5)
    onnx = save(tmp_path / "tiny.onnx", broken.payload, broken.spec)
    drifts = look(make_engine(onnx, tmp_path / "tiny.engine", OPTIONS))
    assert drifts.to_blame.name == layer
    assert drifts.to_blame.own_snr_db < 15
    assert drifts.copy_snr_db > 80  # the shipped one has it, too


@pytest.mark.usefixtures("build_options")
def test_fake_a_copy_that_computes_otherwise_is_reported(tiny_onnx: Make, look: Look, tmp_path: Path) -> None:
    """TensorRT may fuse wrongly in the engine, and does not fuse across the outputs of the copy."""
    onnx = load(tiny_onnx())
    engine = make_engine(onnx, tmp_path / "tiny.engine", OPTIONS)
    other = plan_of(onnx_with(tiny_onnx(), "head/kernel", 0.9), OPTIONS)
    drifts = look(replace(engine, payload=other))
    assert min(layer.own_snr_db for layer in drifts.layers) > 80
    assert drifts.copy_snr_db == pytest.approx(drifts.shipped_snr_db, abs=0.5)
    assert drifts.copy_snr_db < 40
    assert drifts.table[-1] == (
        "  measured in: a second engine, which is fused less, with all values as outputs; its probabilities agree to"
        f" {drifts.copy_snr_db:.1f} dB"
    )


def _with_tools(engine: Artifact, tools: dict[str, str]) -> Artifact:
    assert engine.spec.artifact is not None
    return replace(engine, spec=replace(engine.spec, artifact=replace(engine.spec.artifact, tools=tools)))


def test_fake_engine_needs_its_source_and_build_options(
    build_options: list[Any], tiny_onnx: Make, tiny_graph: Graph, entries: Sequence[Entry], look: Look, tmp_path: Path
) -> None:
    engine = make_engine(load(tiny_onnx()), tmp_path / "tiny.engine", OPTIONS)
    assert engine.spec.artifact is not None
    tools = dict(engine.spec.artifact.tools)
    with pytest.raises(InputError, match=r"SHA-256 abc…, but neither tiny.onnx nor .*; put that .onnx beside"):
        look(_with_tools(engine, {**tools, "onnx sha256": "abc"}))
    tools.pop("batches")
    with pytest.raises(ArtifactError, match=r"does not state the batches .* it was built with; build it again: "):
        look(_with_tools(engine, tools))
    save(tmp_path / "tiny.onnx", load(tiny_onnx()).payload, load(tiny_onnx()).spec)
    with pytest.raises(VerificationError, match=r"no tensor named after any of the layers my_conv, "):
        localise(engine, renamed(tiny_graph), TINY.input, entries)
    assert len(build_options) == 1  # no second build for that


@pytest.mark.parametrize("recipe", ["float32", "float16", "float16-mixed"])
def test_tensorrt_for_rtx_builds_marked_outputs(rtx: Any, recipe: str, tiny_onnx: Make, tiny_graph: Graph) -> None:
    onnx = load(tiny_onnx(recipe))
    marked = _marked(onnx, onnx.payload, tiny_graph)
    logger = rtx.Logger(rtx.Logger.ERROR)
    network = rtx.Builder(logger).create_network(0)
    parser = rtx.OnnxParser(network, logger)
    assert parser.parse(marked.payload)
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    kinds = {output.name: output.dtype.name for output in outputs}
    assert list(kinds) == ["probabilities", *marked.added]
    by_layer = {layer: kinds[name] for layer, name in marked.tensors.items()}
    half = {"float32": [], "float16": LAYERS[:-1], "float16-mixed": LAYERS[:4]}[recipe]
    assert by_layer == {layer: "HALF" if layer in half else "FLOAT" for layer in LAYERS}
    built = build(rtx, marked.payload, bool(half), BuildOptions((1, 2, 4)))
    assert built.precision.startswith("float16: " if half else "float32")


@pytest.mark.gpu
@pytest.mark.parametrize(("recipe", "least"), [("float32", 60), ("float16", 30)])
def test_a_healthy_engine_drifts_as_much_as_its_precision(
    recipe: str, least: float, tiny_onnx: Make, look: Look, tmp_path: Path
) -> None:
    try:
        cuda.gpu(), import_tensorrt(), trt.import_pycuda()
    except BackendUnavailable as error:
        pytest.skip(str(error))
    drifts = look(make_engine(load(tiny_onnx(recipe)), tmp_path / "tiny.engine", OPTIONS))
    assert [layer.name for layer in drifts.layers] == LAYERS
    assert min(layer.own_snr_db for layer in drifts.layers) > least
    assert min(drifts.shipped_snr_db, drifts.copy_snr_db) > least
