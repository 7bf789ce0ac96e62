"""The build on modules shaped like TensorRT's, and on TensorRT for RTX where it is installed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edge_crnn.backends.tensorrt import build as trt_build
from edge_crnn.backends.tensorrt.build import BuildOptions, build, import_tensorrt, inspect
from edge_crnn.errors import BackendError, BackendUnavailable
from edge_crnn.model.artifact import load
from tests.fake_tensorrt import VERSIONS, Dtype, convolution, tensorrt

ONNX = bytes(1000)


every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
def test_half_precision_is_requested_as_the_version_expects(version: str) -> None:
    trt = tensorrt(version)
    built = build(trt, ONNX, True, BuildOptions())
    assert built.plan == b"plan"
    assert built.version == f"tensorrt {version}"
    assert built.precision == "float16: all 1 convolutions are float16"
    weak = {"FP16", "PREFER_PRECISION_CONSTRAINTS"}
    expected = {"8": (1, weak), "10": (3, set()), "11": (2, set())}[version.partition(".")[0]]
    assert (trt.calls["network"], trt.calls["flags"]) == expected
    precisions = [getattr(layer, "precision", None) for layer in trt.calls["layers"]]
    assert precisions == [None, Dtype.HALF if version.startswith("8") else None]
    assert trt.calls["parsed"] == ONNX
    assert trt.calls["config"].profiling_verbosity == "DETAILED"


@every_version
def test_float32_is_not_lowered_to_tf32(version: str) -> None:
    trt = tensorrt(version, layers=None)
    assert build(trt, ONNX, False, BuildOptions()).precision == "float32, as the file is typed"
    assert (trt.calls["flags"], trt.calls["cleared"]) == (set(), {"TF32"})


def test_contexts_share_the_profile() -> None:
    for version in VERSIONS:
        trt = tensorrt(version)
        build(trt, ONNX, True, BuildOptions())
        assert trt.calls.get("PROFILE_SHARING") is (None if version.startswith("11") else True)


@every_version
def test_options_reach_tensorrt(version: str, tmp_path: Path) -> None:
    trt = tensorrt(version)
    log = tmp_path / "log.txt"
    steps = []
    sources = ("EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS", "CUBLAS")  # no fake version has the last of them
    options = BuildOptions((1, 4, 16), 123, log=log, tactic_sources=sources)
    build(trt, ONNX, True, options, lambda *step: steps.append(step))
    assert trt.calls["image"] == ((1, 64, 128, 1), (4, 64, 128, 1), (16, 64, 128, 1))
    assert (trt.calls["WORKSPACE"], trt.calls["tactics"]) == (123, 24)
    assert "a tactic" in log.read_text()
    assert steps == ([] if version.startswith("8") else [("Building", 1, 2)])


@pytest.mark.parametrize("old", [None, b"", b"old", b"garbage", b"of another GPU"])
def test_timing_cache_is_kept(old: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "timing.cache"
    if old is not None:
        path.write_bytes(old)
    build(tensorrt("8.6.1"), ONNX, True, BuildOptions(timing_cache=path))
    assert path.read_bytes() == (b"oldmeasured" if old == b"old" else b"measured")


FAILURES = {
    "no GPU": (
        {"no_gpu": True},
        r"does not start \(CUDA initialization failure .*\); are a GPU and",
    ),
    "graph": ({"unparsable": True}, r"TensorRT .* rejects the graph \(error 0; error 1\)"),
    "profile": ({"profile": -1}, r"rejects \(1, 8, 32\) images of \(64, 128, 1\) as a profile"),
    "build": ({"fails": True}, r"TensorRT .* built no engine \(out of memory\)"),
}


@every_version
@pytest.mark.parametrize(("knobs", "message"), FAILURES.values(), ids=FAILURES)
def test_failures_are_one_error(version: str, knobs: dict[str, Any], message: str, tmp_path: Path) -> None:
    cache = tmp_path / "timing.cache"
    with pytest.raises(BackendError, match=message):
        build(tensorrt(version, **knobs), ONNX, True, BuildOptions(timing_cache=cache))
    assert not cache.exists()


@pytest.mark.parametrize("batches", [(0, 1, 2), (2, 1, 3), (1, 3, 2), (1, 8, 10**6), (1, 8, 10**30)])
def test_batches_out_of_order_or_of_bounds(batches: tuple[int, int, int]) -> None:
    with pytest.raises(BackendError, match="expected the smallest, usual and largest size"):
        build(tensorrt("10.3.0"), ONNX, True, BuildOptions(batches))


# --- is it really half precision? ------------------------------------------------------------------------------------


def layer(kind: str, taken: str, **more: Any) -> dict[str, Any]:
    return {"Name": "conv1/Conv", "LayerType": kind, "Inputs": [{"Name": "x", "Format/Datatype": taken}], **more}


OPEN = "N/A due to dynamic shapes"
MIXED_HEAD = {"Name": "dense1/MatMul", "ParameterType": "Convolution"}
ACCOUNTS: dict[str, tuple[object, str, str]] = {
    "8.6": ([convolution("8.6.1")], "half", "all 1"),
    "8.6, silent": ([convolution("8.6.1", half=False)], "not half", "1 of 1 .* conv1"),
    "10": ([layer("gemm", "Half", ParameterType="Convolution"), layer("Reformat", "Float")], "half", "all 1"),
    "10, Myelin's": ([layer("correlation", "Half"), layer("correlation", "Float", Name="b")], "not half", "1 of 2"),
    "11": ([convolution("11.1.0")], "half", "all 1"),
    "11, silent": ([convolution("11.1.0", half=False)], "not half", "1 of 1"),
    "open shapes": ([layer("CaskConvolution", OPEN, Weights={"Type": "Half", "Count": 9})], "half", "all 1"),
    "open, float32": ([layer("CaskConvolution", OPEN, Weights={"Type": "Float", "Count": 9})], "not half", "1 of 1"),
    "open, and no weights": ([layer("CaskConvolution", OPEN)], "cannot tell", "unknown"),
    "both": ([layer("CaskConvolution", "Float", Weights={"Type": "Half"})], "cannot tell", "unknown"),
    "one known": ([convolution(), layer("CaskConvolution", OPEN, Name="b")], "cannot tell", "unknown"),
    "float32 head": ([convolution(), layer("CaskGemmConvolution", "Float", **MIXED_HEAD)], "half", "all 1"),
    "bias": ([convolution(Bias={"Type": "Float", "Count": 8})], "half", "all 1"),
    "one of two": (
        [layer("CaskConvolution", "Half"), layer("CaskConvolution", "Float") | {"Name": "conv2"}],
        "not half",
        "1 of 2 .* conv2",
    ),
    "fused": ([layer("Myelin", "Half"), {"LayerType": "Reformat"}], "cannot tell", "its layers are fused"),
    "unknown words": ([layer("CaskConvolution", "Tensor cores")], "cannot tell", "unknown"),
    "no inputs": ([{"LayerType": "CaskConvolution"}], "cannot tell", "unknown"),
    "names alone": (["conv1", "conv2"], "cannot tell", "does not describe its layers"),
    "empty": ([], "cannot tell", "does not describe its layers"),
}


@pytest.mark.parametrize(("layers", "verdict", "why"), ACCOUNTS.values(), ids=ACCOUNTS)
def test_an_engines_own_account(layers: object, verdict: str, why: str) -> None:
    actual, words = inspect(json.dumps({"Layers": layers, "Bindings": ["image"]}))
    assert actual == verdict
    assert re.search(why, words)


@pytest.mark.parametrize("information", [None, "", "{", "[]", "{}", '{"Layers": 3}'])
def test_no_account_is_no_verdict(information: str | None) -> None:
    assert inspect(information)[0] == "cannot tell"


MANY = bytes(20 << 20)
FUSED = {"Layers": [{"LayerType": "Myelin"}]}
JUDGED: dict[str, tuple[str, bytes, dict[str, Any], str | None]] = {
    "float32 convolutions": (
        "8.6.1",
        ONNX,
        {"layers": {"Layers": [convolution("8", half=False)]}},
        "not have half",
    ),
    "fused, binding types": ("10.13.3", ONNX, {"layers": FUSED}, None),
    "no GPU, binding types": ("11.1.0", ONNX, {"layers": None}, None),
    "fused, float types": (
        "10.13.3",
        ONNX,
        {"layers": FUSED, "dtype": Dtype.FLOAT},
        "does not have half precision .* are FLOAT",
    ),
    "fused, as large as float32": (
        "10.13.3",
        MANY,
        {"layers": FUSED, "plan": 2 * MANY},
        "not have half precision",
    ),
    "fused, as large as float32, but so is any": ("10.13.3", ONNX, {"layers": FUSED, "plan": MANY}, None),
    "fused, types that do not bind": ("8.6.1", ONNX, {"layers": FUSED}, "cannot be shown to have half precision"),
    "the same, but a size that tells": ("8.6.1", MANY, {"layers": FUSED, "plan": MANY + bytes(9 << 20)}, None),
    "types that do not bind tell nothing": (
        "8.6.1",
        MANY,
        {"layers": FUSED, "plan": MANY, "dtype": Dtype.FLOAT},
        None,
    ),
    "no context, types that do not bind": ("8.6.1", ONNX, {"no_context": True}, "cannot be shown .* is unknown"),
    "no shape, types that do not bind": ("8.6.1", ONNX, {"no_shape": True}, "cannot be shown .* is unknown"),
    "no context, binding types": ("10.3.0", ONNX, {"no_context": True}, None),
}


@pytest.mark.parametrize(("version", "onnx", "knobs", "message"), JUDGED.values(), ids=JUDGED)
def test_engine_without_evidence_of_half_precision_fails(
    version: str, onnx: bytes, knobs: dict[str, Any], message: str | None
) -> None:
    trt = tensorrt(version, **knobs)
    if message is None:
        assert build(trt, onnx, True, BuildOptions()).precision.startswith("float16: ")
        return
    with pytest.raises(BackendError, match=message):
        build(trt, onnx, True, BuildOptions())


@every_version
def test_an_engine_is_inspected_as_it_runs_for_the_usual_batch(version: str) -> None:
    trt = tensorrt(version)
    build(trt, ONNX, True, BuildOptions((1, 4, 16)))
    assert trt.calls["inspected"] == ("image", (4, 64, 128, 1))


# --- which module ----------------------------------------------------------------------------------------------------


def test_the_modules_are_tried_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in trt_build.MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendUnavailable, match=r"none of tensorrt, .* is installed; JetPack installs TensorRT"):
        import_tensorrt()
    for name in reversed(trt_build.MODULES):
        here = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, here)
        assert import_tensorrt() is here


def test_a_module_that_does_not_start_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.8: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(BackendUnavailable, match=r"tensorrt is installed but does not start \(libnvinfer.so.8"):
        import_tensorrt()


@pytest.mark.parametrize("recipe", ["float32", "float16", "float16-mixed"])
@pytest.mark.parametrize("pixels", [True, False])
def test_tensorrt_for_rtx_builds_a_converted_model(
    rtx: Any, tiny_onnx: Callable[..., Path], recipe: str, pixels: bool, tmp_path: Path
) -> None:
    payload = load(tiny_onnx(recipe, pixels)).payload
    options = BuildOptions((1, 2, 4), log=tmp_path / "log.txt")
    built = build(rtx, payload, recipe != "float32", options)
    assert len(built.plan) > len(payload) / 2
    assert built.precision.startswith("float32" if recipe == "float32" else "float16: ")


def test_tensorrt_for_rtx_builds_gru(rtx: Any) -> None:
    pytest.importorskip("onnx")
    from converters.graph import nodes as g
    from converters.graph.cells import Gate, GruCell
    from converters.graph.graph import Graph
    from converters.onnx.to_onnx import to_onnx
    from converters.recipe import ONNX_RECIPES

    def weights(*shape: int) -> np.ndarray:
        return np.full(shape, 0.1, np.float32)

    def cell(taken: int, inner: bool, gates: Gate = "sigmoid") -> GruCell:
        return GruCell(weights(taken, 12), weights(4, 12), weights(12), weights(4) if inner else None, gates)

    layers = (
        g.Conv("conv", weights(3, 3, 1, 4), weights(4), pads=((1, 1), (1, 1))),
        g.Reshape("columns", (8, 24)),
        g.Recurrent("both ways", cell(24, True), cell(24, True), "product"),
        g.Recurrent("as first published", None, cell(4, False, "hard_sigmoid_keras2")),
        g.Dense("head", weights(4, 5), weights(5)),
        g.Softmax("softmax"),
    )
    onnx = to_onnx(Graph.chain((8, 6, 1), layers), ONNX_RECIPES["float16"])
    assert build(rtx, onnx, True, BuildOptions((1, 2, 4))).precision.startswith("float16: ")


def test_tensorrt_for_rtx_refuses_a_file_without_a_graph(rtx: Any) -> None:
    with pytest.raises(BackendError, match="rejects the graph"):
        build(rtx, b"no graph", True, BuildOptions())
