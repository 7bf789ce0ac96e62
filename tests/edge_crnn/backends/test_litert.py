from __future__ import annotations

import functools
import importlib.util
import itertools
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from converters.graph import oracle
from converters.graph.graph import Graph
from converters.recipe import RECIPES
from converters.tflite.writer import Writer
from edge_crnn.backends import litert, open_backend
from edge_crnn.errors import ArtifactError, BackendError
from edge_crnn.model.artifact import load, save
from edge_crnn.model.spec import ModelSpec, Quantisation
from edge_crnn.preprocess import preprocess


@pytest.fixture
def batch(tiny_pictures: list[np.ndarray], tiny_artifact: Path) -> np.ndarray:
    return preprocess(tiny_pictures, load(tiny_artifact).spec.input)


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("recipe", RECIPES)
def test_batch_equals_its_single_images_bit_for_bit(
    tiny_artifacts: Callable[..., Path], batch: np.ndarray, recipe: str, size: int
) -> None:
    many = open_backend(tiny_artifacts(recipe, batch=size))
    backend = open_backend(tiny_artifacts(recipe))
    images = batch[[0, 1, 2, 3, 4, 5, 6, 1, 0]]
    together = many.infer(images)
    for image, expected in zip(images, together, strict=True):
        np.testing.assert_array_equal(many.infer(image[np.newaxis])[0], expected)
        np.testing.assert_array_equal(backend.infer(image[np.newaxis])[0], expected)


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_is_kept_between_images(tiny_artifacts: Callable[..., Path], batch: np.ndarray, recipe: str) -> None:
    path = tiny_artifacts(recipe)
    shared = open_backend(path)
    fresh = [open_backend(path).infer(batch[[index]])[0] for index in range(len(batch))]
    for index in (0, 1, 0, 5, 4, 3, 0):
        np.testing.assert_array_equal(shared.infer(batch[[index]])[0], fresh[index])
    changes = [np.abs(first - second).max() for first, second in itertools.pairwise(fresh)]
    assert min(changes) > 0.5


def test_it_computes_the_network(
    tiny_artifacts: Callable[..., Path], tiny_graph: Graph, tiny_pictures: list[np.ndarray]
) -> None:
    path = tiny_artifacts("float32", takes_pixels=False)
    batch = preprocess(tiny_pictures, load(path).spec.input)
    np.testing.assert_allclose(open_backend(path).infer(batch), oracle.run(tiny_graph, batch), atol=2e-4)


def test_int8_output_becomes_probabilities(tiny_artifacts: Callable[..., Path], batch: np.ndarray) -> None:
    path = tiny_artifacts("int8-full")
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    details = interpreter.get_output_details()[0]
    assert details["dtype"] == np.int8
    scale, zero_point = details["quantization"]
    assert load(path).spec.output.quantisation == Quantisation(scale, zero_point)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch[:1])
    interpreter.invoke()
    raw = interpreter.get_tensor(details["index"])
    assert len(np.unique(raw)) > 10
    coarse = (raw.astype(np.float64) - zero_point) * scale
    given_rows = open_backend(path).infer(batch[:1])
    np.testing.assert_allclose(given_rows, coarse / coarse.sum(axis=-1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(given_rows.sum(axis=-1), 1.0, rtol=1e-6)


def test_threads_take_turns(tiny_artifact: Path, batch: np.ndarray) -> None:
    backend = open_backend(tiny_artifact)
    expected = backend.infer(batch)
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(backend.infer, [batch] * 32):
            np.testing.assert_array_equal(result, expected)


def test_facts_describe_the_engine(tiny_artifacts: Callable[..., Path]) -> None:
    facts = open_backend(tiny_artifacts("int8", batch=4), threads=2).facts
    assert facts.name == "litert"
    assert facts.version.startswith("ai_edge_litert ")
    assert (facts.precision, facts.input_dtype, facts.max_batch) == ("int8", "uint8", 4)
    assert facts.notes[0].startswith("XNNPACK took the graph in ")
    assert facts.notes[1] == "2 threads"


def other_batch(spec: ModelSpec) -> ModelSpec:
    assert spec.artifact is not None
    return replace(spec, artifact=replace(spec.artifact, batch=4))


LIES: dict[str, Callable[[ModelSpec], ModelSpec]] = {
    "width": lambda spec: replace(spec, input=replace(spec.input, width=31)),
    "axes": lambda spec: replace(spec, input=replace(spec.input, axes="WHC")),
    "colour": lambda spec: replace(spec, input=replace(spec.input, colour="bgr")),
    "input dtype": lambda spec: replace(spec, input=replace(spec.input, dtype="float32")),
    "batch": other_batch,
    "steps": lambda spec: replace(spec, output=replace(spec.output, steps=15)),
    "classes": lambda spec: replace(spec, symbols=spec.symbols[1:], blank=9, output=replace(spec.output, classes=10)),
    "output dtype": lambda spec: replace(spec, output=replace(spec.output, quantisation=Quantisation(1.0, 0))),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_spec_that_lies_about_its_tensors(tiny_artifact: Path, lie: Callable[[ModelSpec], ModelSpec]) -> None:
    artifact = load(tiny_artifact)
    actual = r"takes \[\(1, 16, 32, 1, 'uint8'\)\] and gives \[\(1, 16, 11, 'float32'\)\]"
    with pytest.raises(
        ArtifactError, match=rf"^dynamic-1-pixels.tflite: {actual}, but its spec says .*; convert the model"
    ):
        open_backend(replace(artifact, spec=lie(artifact.spec)))


def hand_written(path: Path, spec: ModelSpec, op: str, inputs: int = 1) -> Path:
    """An artifact with one op from image to probabilities, whose spec is right."""
    writer = Writer("test")
    main = writer.subgraph("main")
    images = [main.tensor(f"image{index}", (1, *spec.input.shape)) for index in range(inputs)]
    probabilities = main.tensor("probabilities", (1, spec.output.steps, spec.output.classes))
    main.op(op, images[:1], [probabilities])
    if op == "CUSTOM":
        writer._model.operatorCodes[0].customCode = "FlexReverseV2"
    main.bind(images, [probabilities])
    payload = writer.finish("read", {"image": images[0]}, {"probabilities": probabilities})
    return save(path, payload, replace(spec, input=replace(spec.input, dtype="float32"))).path


def test_a_flex_op_is_one_error(tiny_artifact: Path, tmp_path: Path) -> None:
    path = hand_written(tmp_path / "flex.tflite", load(tiny_artifact).spec, "CUSTOM")
    with pytest.raises(
        BackendError, match=r"^flex.tflite: ai_edge_litert .* rejects it \(.*Flex.*\); convert it again"
    ):
        open_backend(path)


def test_two_inputs_are_one_error(tiny_artifact: Path, tmp_path: Path) -> None:
    path = hand_written(tmp_path / "two.tflite", load(tiny_artifact).spec, "RESHAPE", inputs=2)
    with pytest.raises((ArtifactError, BackendError), match=r"^two.tflite: .*convert"):
        open_backend(path)


def test_a_payload_that_is_no_model_is_one_error(tiny_artifact: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.tflite"
    save(path, b"\x1c\0\0\0TFL3" + bytes(1000), load(tiny_artifact).spec)
    with pytest.raises(BackendError, match=r"^none.tflite: ai_edge_litert .* rejects it \(.+\); convert it again"):
        open_backend(path)


def test_without_xnnpack_it_refuses_to_run(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that has no default delegates, as on a machine where XNNPACK does not start."""
    bare = functools.partial(
        Interpreter, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    monkeypatch.setattr(litert, "_LITERT", SimpleNamespace(Interpreter=bare))
    with pytest.raises(BackendError, match="XNNPACK did not take the graph on this machine"):
        open_backend(tiny_artifact)


def test_a_failure_in_the_middle_keeps_its_cause(
    tiny_artifact: Path, batch: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No graph that loads here fails when it runs, so the test fakes the failure."""
    backend = open_backend(tiny_artifact)

    def fail() -> None:
        raise RuntimeError("Node number 7 (CONV_2D) failed to invoke.\nand more lines")

    monkeypatch.setattr(backend._interpreter, "invoke", fail)  # type: ignore[attr-defined]
    with pytest.raises(
        BackendError, match=r"inference failed \(Node number 7 \(CONV_2D\) failed to invoke.\)$"
    ) as caught:
        backend.infer(batch)
    assert isinstance(caught.value.__cause__, RuntimeError)
    monkeypatch.undo()
    assert len(backend.infer(batch)) == len(batch)


OPEN = """
import sys
for name in sys.argv[2].split(","):
    sys.modules[name] = None  # what an import of a missing package looks like
from pathlib import Path
from edge_crnn.backends import open_backend
from edge_crnn.errors import BackendUnavailable
try:
    print(open_backend(Path(sys.argv[1])).facts.version)
except BackendUnavailable as error:
    print("unavailable:", error)
"""


def opened_without(path: Path, *missing: str, more: Path | None = None) -> str:
    code = OPEN if more is None else f"import sys; sys.path.insert(0, {str(more)!r})\n{OPEN}"
    return subprocess.run(
        [sys.executable, "-c", code, path, ",".join(missing)], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_without_any_interpreter_the_extra_is_named(tiny_artifact: Path) -> None:
    message = opened_without(tiny_artifact, "ai_edge_litert", "tflite_runtime", "tensorflow")
    assert message == (
        "unavailable: dynamic-1-pixels.tflite: its engine is not installed, or does not start (none of ai_edge_litert,"
        " tflite_runtime, tensorflow is installed); pip install 'edge-crnn[litert]'"
    )


STAND_IN = """
import sys
sys.modules.pop("ai_edge_litert", None)
from ai_edge_litert.interpreter import Interpreter
"""


def stand_in(folder: Path, package: str, module: str) -> Path:
    (folder / package / module).parent.mkdir(parents=True)
    (folder / package / "__init__.py").write_text("__version__ = '2.14.0'\n")
    (folder / package / f"{module}.py").write_text(STAND_IN)
    return folder


@pytest.mark.parametrize(
    ("package", "module", "missing"),
    [
        ("tflite_runtime", "interpreter", ["ai_edge_litert"]),
        ("tensorflow", "lite/python/interpreter", ["ai_edge_litert", "tflite_runtime"]),
    ],
)
def test_the_packages_are_tried_in_their_order(
    tiny_artifact: Path, tmp_path: Path, package: str, module: str, missing: list[str]
) -> None:
    """Stand-ins of their layout: the one is no longer made for current Pythons, the other starts for ten seconds."""
    more = stand_in(tmp_path, package, module)
    assert opened_without(tiny_artifact, *missing, more=more) == f"{package} 2.14.0"


def test_tensorflow_keeps_its_interpreter_where_it_is_looked_for() -> None:
    module = importlib.util.find_spec("tensorflow")
    if module is None or module.origin is None:
        pytest.skip("TensorFlow is not installed; it comes with edge-crnn[convert]")
    assert (Path(module.origin).parent / "lite" / "python" / "interpreter.py").is_file()


def test_a_package_that_does_not_start_is_reported(tiny_artifact: Path, tmp_path: Path) -> None:
    package = tmp_path / "ai_edge_litert"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('libc.so.6: version `GLIBC_2.38` not found')\n")
    message = opened_without(tiny_artifact, "tflite_runtime", more=tmp_path)
    assert "does not start (libc.so.6: version `GLIBC_2.38` not found)" in message
