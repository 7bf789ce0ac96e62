from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.backends import open_backend
from edge_crnn.errors import ArtifactError, BackendError
from edge_crnn.model.artifact import load, save
from edge_crnn.model.spec import ModelSpec, Quantisation
from edge_crnn.preprocess import preprocess
from tests.budget import examples

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; it comes with edge-crnn[onnx]")
onnx = pytest.importorskip("onnx", reason="onnx is not installed; it comes with edge-crnn[onnx]")

from edge_crnn.backends import onnxrt  # noqa: E402

RECIPES = ("float32", "float16", "float16-mixed")


@pytest.fixture
def batch(tiny_pictures: list[np.ndarray], tiny_onnx: Callable[..., Path]) -> np.ndarray:
    return preprocess(tiny_pictures, load(tiny_onnx()).spec.input)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("recipe", RECIPES)
def test_batch_equals_its_single_images_bit_for_bit(
    tiny_onnx: Callable[..., Path], batch: np.ndarray, recipe: str, threads: int
) -> None:
    backend = open_backend(tiny_onnx(recipe), threads)
    images = batch[[0, 1, 2, 3, 4, 5, 6, 1, 0]]
    together = backend.infer(images)
    for order in (slice(None), slice(None, None, -1), slice(3, 4), slice(2, 9, 3)):
        np.testing.assert_array_equal(backend.infer(images[order]), together[order])
    single_threaded = open_backend(tiny_onnx(recipe))
    for image, expected in zip(images, together, strict=True):
        np.testing.assert_array_equal(single_threaded.infer(image[np.newaxis])[0], expected)


def test_threads_run_side_by_side(tiny_onnx: Callable[..., Path], batch: np.ndarray) -> None:
    backend = open_backend(tiny_onnx())
    expected = backend.infer(batch)
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(backend.infer, [batch] * 32):
            np.testing.assert_array_equal(result, expected)


def test_facts_describe_the_engine(tiny_onnx: Callable[..., Path]) -> None:
    facts = open_backend(tiny_onnx("float16"), threads=2).facts
    assert facts.name == "onnxrt"
    assert facts.version.startswith("onnxruntime ")
    assert (facts.precision, facts.input_dtype, facts.max_batch) == ("float16", "uint8", 1)
    assert facts.notes[:2] == ("one image at a time", "2 threads")
    assert "no faster" in facts.notes[2]
    assert open_backend(tiny_onnx()).facts.notes == ("one image at a time", "1 thread")


LIES: dict[str, Callable[[ModelSpec], ModelSpec]] = {
    "width": lambda spec: replace(spec, input=replace(spec.input, width=31)),
    "axes": lambda spec: replace(spec, input=replace(spec.input, axes="WHC")),
    "colour": lambda spec: replace(spec, input=replace(spec.input, colour="bgr")),
    "input dtype": lambda spec: replace(spec, input=replace(spec.input, dtype="float32")),
    "steps": lambda spec: replace(spec, output=replace(spec.output, steps=15)),
    "classes": lambda spec: replace(spec, symbols=spec.symbols[1:], blank=9, output=replace(spec.output, classes=10)),
    "output dtype": lambda spec: replace(spec, output=replace(spec.output, quantisation=Quantisation(1.0, 0))),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_spec_that_lies_about_its_tensors(
    tiny_onnx: Callable[..., Path], lie: Callable[[ModelSpec], ModelSpec]
) -> None:
    artifact = load(tiny_onnx())
    actual = r"takes \[\(16, 32, 1, 'tensor\(uint8\)'\)\] and gives \[\(16, 11, 'tensor\(float\)'\)\]"
    with pytest.raises(ArtifactError, match=rf"^float32-pixels.onnx: {actual} .*its spec says .*; convert the model"):
        open_backend(replace(artifact, spec=lie(artifact.spec)))


def forged(source: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """An artifact whose hash is right and whose graph is not."""
    artifact = load(source)
    model = onnx.load_from_string(artifact.payload)
    change(model)
    return save(target, model.SerializeToString(), artifact.spec).path


def unknown_op(model: Any) -> None:
    model.graph.node[0].op_type = "Nonsense"


def unknown_domain(model: Any) -> None:
    model.graph.node[0].domain = "com.example"
    model.opset_import.add(domain="com.example", version=1)


def future(model: Any) -> None:
    model.ir_version = 99


def no_nodes(model: Any) -> None:
    del model.graph.node[:]


def short_weight(model: Any) -> None:
    model.graph.initializer[0].raw_data = b"\0"


def wrong_shape(model: Any) -> None:
    model.graph.initializer[2].dims[:] = [3, 5, 7]


FORGERIES = {
    forgery.__name__: forgery for forgery in (unknown_op, unknown_domain, future, no_nodes, short_weight, wrong_shape)
}


NAMES = {
    "axis": lambda data: data.replace(b"\x12\x01N", b"\x12\x01\xff"),
    "op": lambda data: data.replace(b"Softmax", b"Softm\xffx"),
}


@pytest.mark.parametrize("spoil", NAMES.values(), ids=NAMES)
def test_names_that_are_no_text_are_one_error(
    tiny_onnx: Callable[..., Path], tmp_path: Path, spoil: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    artifact = load(tiny_onnx())
    path = save(tmp_path / "bad.onnx", spoil(artifact.payload), artifact.spec).path
    with pytest.raises(BackendError, match=r"^bad.onnx: onnxruntime .* rejects it \(.*\); convert it again"):
        open_backend(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES)
def test_a_graph_that_cannot_run_is_one_error(
    tiny_onnx: Callable[..., Path], tmp_path: Path, change: Callable[[Any], None], capfd: pytest.CaptureFixture[str]
) -> None:
    path = forged(tiny_onnx(), tmp_path / "bad.onnx", change)
    with pytest.raises(BackendError, match=r"^bad.onnx: onnxruntime .* rejects it \(.*\); convert it again") as caught:
        open_backend(path)
    assert caught.value.__cause__ is not None
    assert capfd.readouterr() == ("", "")


@pytest.mark.thorough
@settings(max_examples=examples(150), deadline=None, derandomize=True)
@given(st.dictionaries(st.integers(0, 10**6), st.integers(0, 255), min_size=1, max_size=4))
def test_any_forged_payload_runs_or_is_one_error(
    tiny_onnx: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, changes: dict[int, int]
) -> None:
    """Its hash is right: the engine itself has to cope."""
    artifact = load(tiny_onnx())
    payload = bytearray(artifact.payload)
    for place, value in changes.items():
        payload[place % len(payload)] = value
    path = tmp_path_factory.getbasetemp() / "forged.onnx"
    with contextlib.suppress(ArtifactError, BackendError):
        backend = open_backend(save(path, bytes(payload), artifact.spec).path)
        assert backend.infer(np.zeros((1, 16, 32, 1), np.uint8)).shape == (1, 16, 11)


def test_two_inputs_are_one_error(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    def second(model: Any) -> None:
        model.graph.input.append(onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, ["N", 2]))

    with pytest.raises(ArtifactError, match=r"^two.onnx: takes \[.*\(2, 'tensor\(float\)'\)\] and gives"):
        open_backend(forged(tiny_onnx(), tmp_path / "two.onnx", second))


def test_a_failure_while_it_runs_is_one_error(
    tiny_onnx: Callable[..., Path], tmp_path: Path, batch: np.ndarray
) -> None:
    def odd(model: Any) -> None:
        reshape = next(node for node in model.graph.node if node.op_type == "Reshape")
        three = onnx.numpy_helper.from_array(np.array([3, 16, 64]), "three")  # images, of which one comes
        model.graph.initializer.append(three)
        reshape.input[1] = "three"

    backend = open_backend(forged(tiny_onnx(), tmp_path / "odd.onnx", odd))
    with pytest.raises(BackendError, match=r"^odd.onnx: inference failed \(.*Reshape.*\)"):
        backend.infer(batch)


OPEN = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[2].split(",")))
from pathlib import Path
from edge_crnn.backends import open_backend
from edge_crnn.errors import BackendUnavailable
try:
    print(open_backend(Path(sys.argv[1])).facts.version)
except BackendUnavailable as error:
    print("unavailable:", error)
"""


def opened_without(path: Path, missing: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", OPEN, path, missing], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_without_onnxruntime_the_extra_is_named(tiny_onnx: Callable[..., Path]) -> None:
    message = opened_without(tiny_onnx(), "onnxruntime")
    assert message.startswith("unavailable: float32-pixels.onnx: its engine is not installed, or does not start (")
    assert message.endswith("; pip install 'edge-crnn[onnxruntime]'")


def test_it_runs_without_the_onnx_package(tiny_onnx: Callable[..., Path]) -> None:
    assert opened_without(tiny_onnx(), "onnx").startswith("onnxruntime ")


def test_closing_lets_those_that_run_end(tiny_onnx: Callable[..., Path], batch: np.ndarray) -> None:
    backend = onnxrt.OnnxRuntimeBackend(load(tiny_onnx()))
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(backend.infer, batch) for _ in range(16)]
        backend.close()
    for result in results:
        error = result.exception()
        assert error is None or (isinstance(error, BackendError) and "used after close()" in str(error))
