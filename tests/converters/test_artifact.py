from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.artifact import check_payload, check_spec, make_onnx, make_tflite
from converters.graph.graph import Graph
from converters.graph.ranges import calibrate
from converters.recipe import ONNX_RECIPES, RECIPES
from edge_crnn.backends import open_backend
from edge_crnn.errors import BackendUnavailable, ConversionError, ModelSpecError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import load
from edge_crnn.model.spec import Calibration, InputSpec, ModelSpec, OutputSpec, Parity, Preprocessing, Quantisation
from edge_crnn.preprocess import preprocess

TINY = ModelSpec(
    name="tiny",
    symbols=tuple("0123456789"),
    blank=10,
    input=InputSpec(width=32, height=16, axes="WHC", scale=1 / 127.5, offset=-1.0),
    output=OutputSpec(steps=16, classes=11),
    skip_steps=2,
    label_map={"1": "one"},
)
IMAGES = Calibration(8, "c" * 64)


@pytest.fixture(scope="module")
def ranges(tiny_graph: Graph, tiny_pictures: list[np.ndarray]) -> dict[str, tuple[float, float]]:
    return dict(calibrate(tiny_graph, [preprocess(tiny_pictures, TINY.input)]))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("takes_pixels", [True, False])
def test_spec_records_the_conversion(recipe: Any, takes_pixels: bool, tiny_graph: Graph, ranges: Any) -> None:
    artifact = make_tflite(
        Path("x.tflite"), tiny_graph, TINY, recipe, "a" * 64, ranges, IMAGES, batch=3, takes_pixels=takes_pixels
    )
    facts = artifact.spec.artifact
    assert facts is not None
    assert (facts.format, facts.recipe, facts.batch, facts.source_sha256) == ("tflite", recipe.name, 3, "a" * 64)
    assert facts.payload_sha256 == sha256(artifact.payload)
    assert facts.calibration == (IMAGES if recipe.name.startswith("int8") else None)
    assert facts.tools.keys() == {"edge-crnn", "ai-edge-litert", "numpy"}
    assert artifact.spec.input.dtype == ("uint8" if takes_pixels else "float32")
    assert artifact.spec.input.axes == ("HWC" if takes_pixels else "WHC")
    assert (artifact.spec.output.quantisation is None) == (recipe.name != "int8-full")
    kept = ("name", "symbols", "blank", "skip_steps", "label_map", "decoder")
    assert all(getattr(artifact.spec, name) == getattr(TINY, name) for name in kept)
    assert artifact.spec.parity is None
    assert ModelSpec.from_json(artifact.spec.to_json()) == artifact.spec
    open_backend(artifact).close()  # which holds the file's tensors to the spec


@pytest.mark.parametrize("recipe", ONNX_RECIPES.values(), ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("takes_pixels", [True, False])
def test_spec_of_an_onnx_records_the_conversion(recipe: Any, takes_pixels: bool, tiny_graph: Graph) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed; it comes with edge-crnn[onnx]")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; it comes with edge-crnn[onnx]")
    quantised = replace(TINY, output=replace(TINY.output, quantisation=Quantisation(1 / 256, -128)))
    artifact = make_onnx(Path("x.onnx"), tiny_graph, quantised, recipe, "a" * 64, takes_pixels=takes_pixels)
    facts = artifact.spec.artifact
    assert facts is not None
    assert (facts.format, facts.recipe, facts.batch, facts.source_sha256) == ("onnx", recipe.name, 1, "a" * 64)
    assert facts.payload_sha256 == sha256(artifact.payload)
    assert facts.calibration is None
    assert facts.tools.keys() == {"edge-crnn", "onnx", "numpy"}
    assert artifact.spec.input.dtype == ("uint8" if takes_pixels else "float32")
    assert artifact.spec.input.axes == ("HWC" if takes_pixels else "WHC")
    assert artifact.spec.output.quantisation is None
    open_backend(artifact).close()  # which holds the file's tensors to the spec
    again = make_onnx(Path("x.onnx"), tiny_graph, quantised, recipe, "a" * 64, takes_pixels=takes_pixels)
    assert again.payload == artifact.payload


def test_without_the_onnx_package_the_extra_is_named(tiny_graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "converters.onnx.to_onnx", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        BackendUnavailable, match=r"x.onnx: ONNX is written with the package onnx .*'edge-crnn\[onnx\]'"
    ):
        make_onnx(Path("x.onnx"), tiny_graph, TINY, ONNX_RECIPES["float32"], "a" * 64)


def test_an_older_verdict_is_not_carried_on(tiny_graph: Graph) -> None:
    sets = ("pass", 0.9, 1.0, 1.0, (1.0, 1.0), 1.0, 0.0, (0.0, 0.0), 1.0, 0.0, ())
    spec = replace(TINY, parity=Parity(*sets))  # type: ignore[arg-type]
    assert make_tflite(Path("x.tflite"), tiny_graph, spec, RECIPES["float32"], "a" * 64).spec.parity is None


def test_pixels_and_values_read_the_same(tiny_artifacts: Callable[..., Path], tiny_pictures: list[np.ndarray]) -> None:
    results = []
    for takes_pixels in (True, False):
        artifact = load(tiny_artifacts("float32", 1, takes_pixels))
        results.append(open_backend(artifact).infer(preprocess(tiny_pictures, artifact.spec.input)))
    np.testing.assert_allclose(*results, atol=1e-5)


FUNCTION = Preprocessing("binarised", "a" * 64)


@pytest.mark.parametrize(
    "changes", [{"standardise": True}, {"function": FUNCTION}], ids=lambda changes: next(iter(changes))
)
def test_preprocessing_beyond_scaling_is_left_to_the_runtime(changes: dict[str, Any], tiny_graph: Graph) -> None:
    spec = replace(TINY, input=replace(TINY.input, **changes))
    tflite = make_tflite(Path("x.tflite"), tiny_graph, spec, RECIPES["float32"], "a" * 64)
    onnx = make_onnx(Path("x.onnx"), tiny_graph, spec, ONNX_RECIPES["float32"], "a" * 64)
    for artifact in (tflite, onnx):
        assert artifact.spec.input == spec.input
        assert artifact.spec.input.dtype == "float32"


def test_inversion_is_inside_and_rotation_outside(tiny_graph: Graph, tiny_pictures: list[np.ndarray]) -> None:
    image = replace(TINY.input, width=TINY.input.height, height=TINY.input.width, rotate=90, invert=True)
    spec = replace(TINY, input=image)
    results = []
    for pixels in (True, False):
        artifact = make_onnx(Path("x.onnx"), tiny_graph, spec, ONNX_RECIPES["float32"], "a" * 64, takes_pixels=pixels)
        assert artifact.spec.input == replace(image, **({"dtype": "uint8", "axes": "HWC"} if pixels else {}))
        results.append(open_backend(artifact).infer(preprocess(tiny_pictures, artifact.spec.input)))
    np.testing.assert_allclose(*results, atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "difference"),
    [
        (replace(TINY, input=replace(TINY.input, axes="HWC")), r"input \(16, 32, 1\)"),
        (replace(TINY, input=replace(TINY.input, colour="bgr")), r"input \(32, 16, 3\)"),
        (replace(TINY, output=OutputSpec(15, 11)), "15 steps of 11 classes"),
        (replace(TINY, symbols=(*TINY.symbols, "x"), output=OutputSpec(16, 12)), "16 steps of 12 classes"),
    ],
)
def test_spec_of_another_network_is_refused(spec: ModelSpec, difference: str, tiny_graph: Graph) -> None:
    expected = rf"spec of 'tiny': .*{difference}.*; the network takes \(32, 16, 1\) and gives 16 steps of 11:"
    with pytest.raises(ModelSpecError, match=expected):
        check_spec(spec, tiny_graph)
    with pytest.raises(ModelSpecError):
        make_tflite(Path("x.tflite"), tiny_graph, spec, RECIPES["float32"], "a" * 64)


def test_spec_may_tell_a_quantised_output(tiny_graph: Graph) -> None:
    check_spec(replace(TINY, output=OutputSpec(16, 11, Quantisation(1 / 256, -128))), tiny_graph)


# --- what must not be shipped ----------------------------------------------------------------------------------------


def changed(path: Path, change: Callable[[schema.ModelT], None]) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(load(path).payload, 0)
    change(model)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def code(name: str) -> schema.OperatorCodeT:
    number = getattr(schema.BuiltinOperator, name)
    return schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=min(number, 127), version=1)


@pytest.mark.parametrize(
    "name",
    [
        "CUSTOM",
        "VAR_HANDLE",
        "READ_VARIABLE",
        "ASSIGN_VARIABLE",
        "CALL_ONCE",
        "LSTM",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_LSTM",
    ],
)
def test_ops_with_state_or_code_of_their_own_are_refused(name: str, tiny_artifact: Path) -> None:
    def plant(model: schema.ModelT) -> None:
        model.operatorCodes.append(code(name))

    with pytest.raises(ConversionError, match=f"the result has the ops {name}, expected stateless builtin ops only"):
        check_payload(changed(tiny_artifact, plant))


def test_a_flex_op_is_a_custom_one(tiny_artifact: Path) -> None:
    def plant(model: schema.ModelT) -> None:
        flex = code("CUSTOM")
        flex.customCode = "FlexTensorListReserve"
        model.operatorCodes[0] = flex

    with pytest.raises(ConversionError, match="the ops CUSTOM"):
        check_payload(changed(tiny_artifact, plant))


def test_an_op_unknown_to_the_schema_is_refused(tiny_artifact: Path) -> None:
    def plant(model: schema.ModelT) -> None:
        model.operatorCodes[0].builtinCode = 9999

    with pytest.raises(ConversionError, match="the ops unknown"):
        check_payload(changed(tiny_artifact, plant))


@pytest.mark.parametrize("data", [None, np.zeros(0, np.uint8)], ids=["no buffer", "empty buffer"])
def test_a_weight_without_values_is_refused(data: np.ndarray | None, tiny_artifact: Path) -> None:
    def plant(model: schema.ModelT) -> None:
        weight = next(tensor for tensor in model.subgraphs[0].tensors if tensor.name == b"dense/kernel")
        model.buffers[weight.buffer].data = data

    with pytest.raises(ConversionError, match="tensor 'dense/kernel' has no value"):
        check_payload(changed(tiny_artifact, plant))


def test_a_value_that_nothing_computes_is_refused(tiny_artifact: Path) -> None:
    def plant(model: schema.ModelT) -> None:
        main = model.subgraphs[0]
        main.operators = [op for op in main.operators if main.tensors[op.outputs[0]].name != b"dense"]

    with pytest.raises(ConversionError, match="tensor 'dense' has no value: no op computes it"):
        check_payload(changed(tiny_artifact, plant))


def test_a_weight_missing_inside_a_loop_is_refused(tiny_artifact: Path) -> None:
    def plant(model: schema.ModelT) -> None:
        weight, _ = (tensor for tensor in model.subgraphs[2].tensors if tensor.name.endswith(b"/kernel"))
        model.buffers[weight.buffer].data = None

    with pytest.raises(ConversionError, match="feedback:0/kernel' has no value"):
        check_payload(changed(tiny_artifact, plant))


def test_an_op_of_no_use_is_refused(tiny_artifact: Path) -> None:
    """LiteRT 1.1 to 2.0 crash on one."""

    def plant(model: schema.ModelT) -> None:
        main = model.subgraphs[0]
        main.tensors.append(schema.TensorT(name="idle", shape=main.tensors[0].shape, type=0, buffer=0))
        main.operators.append(schema.OperatorT(opcodeIndex=0, inputs=[0], outputs=[len(main.tensors) - 1]))

    with pytest.raises(ConversionError, match="no op uses the tensor 'idle'"):
        check_payload(changed(tiny_artifact, plant))


def test_converted_models_pass(tiny_artifact: Path) -> None:
    check_payload(changed(tiny_artifact, lambda model: None))
