"""Engines on a real GPU, with whatever TensorRT is there; and that the faked TensorRT has nothing that is not real."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.graph.graph import Graph
from edge_crnn.backends.tensorrt import cuda
from edge_crnn.backends.tensorrt import engine as trt
from edge_crnn.backends.tensorrt.build import BuildOptions, build, import_tensorrt
from edge_crnn.backends.tensorrt.engine import TrtBackend
from edge_crnn.errors import BackendError, BackendUnavailable
from edge_crnn.model.artifact import Artifact, load, save
from edge_crnn.preprocess import preprocess
from tests.conftest import TINY
from tests.fake_cuda import FakeGpu
from tests.fake_engine import Dtype, Plan, runtime
from tests.fake_tensorrt import tensorrt

MOST = 4
TACTICS = ("EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS")  # those that need no further library
CLOSE = 2e-3


@pytest.fixture(scope="module")
def driver() -> Any:
    """pycuda, where a GPU, TensorRT and pycuda are."""
    try:
        cuda.gpu()
        import_tensorrt()
        return trt.import_pycuda()
    except BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=[True, False], ids=["pixels", "values"])
def engine(
    driver: Any,
    request: pytest.FixtureRequest,
    tiny_onnx: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Artifact:
    """`tiny_graph` in float32, for 1 to 4 images."""
    onnx = load(tiny_onnx("float32", request.param))
    built = build(import_tensorrt(), onnx.payload, False, BuildOptions((1, 2, MOST), tactic_sources=TACTICS))
    assert onnx.spec.artifact is not None
    tools = {"engine": built.version, "gpu": built.gpu or ""}
    facts = replace(onnx.spec.artifact, format="engine", batch=MOST, tools=tools)
    return save(tmp_path_factory.mktemp("engine") / "tiny.engine", built.plan, replace(onnx.spec, artifact=facts))


@pytest.fixture(scope="module")
def images(engine: Artifact, tiny_pictures: list[np.ndarray]) -> np.ndarray:
    return preprocess(tiny_pictures, engine.spec.input)


@pytest.fixture(scope="module")
def expected(tiny_graph: Graph, tiny_pictures: list[np.ndarray]) -> np.ndarray:
    return oracle.run(tiny_graph, preprocess(tiny_pictures, TINY.input))


@pytest.mark.gpu
@pytest.mark.parametrize("graphs", [0, 2, 16])
def test_it_computes_what_the_network_is(
    engine: Artifact, images: np.ndarray, expected: np.ndarray, graphs: int
) -> None:
    backend = TrtBackend(engine, graphs=graphs)
    for _ in range(3):
        for order in ([0], [1, 2], [3, 4, 5], [7, 6, 5, 4], [0, 1, 2, 3, 4, 5, 6, 7, 0], [2], [5, 5, 1]):
            actual = backend.infer(images[order])
            np.testing.assert_allclose(actual, expected[order], atol=CLOSE)
            np.testing.assert_array_equal(actual.argmax(axis=-1), expected[order].argmax(axis=-1))
    backend.close()
    with pytest.raises(BackendError, match="used after close"):
        backend.infer(images)


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", ["float16", "float16-mixed"])
def test_float16_is_shown(driver: Any, tiny_onnx: Callable[..., Path], recipe: str) -> None:
    """The engine's own report shows it; the network is too small for the file size to show it."""
    options = BuildOptions((1, 2, MOST), tactic_sources=TACTICS)
    built = build(import_tensorrt(), load(tiny_onnx(recipe)).payload, True, options)
    assert built.precision == "float16: all 1 convolutions are float16"


@pytest.mark.gpu
def test_many_calls_and_many_engines_take_no_more_memory(driver: Any, engine: Artifact, images: np.ndarray) -> None:
    def free() -> int:
        context = trt._primary_context(driver, cuda.gpu().index)
        context.push()
        left: int = driver.mem_get_info()[0]
        context.pop()
        return left

    sizes = np.random.default_rng(1).integers(1, len(images) + 1, 400)
    kept = TrtBackend(engine)
    for count in sizes[:50]:
        kept.infer(images[:count])
    for _ in range(3):
        TrtBackend(engine).close()
    before = free()
    for count in sizes[50:]:
        kept.infer(images[:count])
    for count in range(20):
        backend = TrtBackend(engine)
        backend.infer(images[: 1 + count % MOST])
        backend.close()
    assert before - free() < 4 << 20
    kept.close()


@pytest.mark.gpu
def test_threads_and_engines_side_by_side(engine: Artifact, images: np.ndarray, expected: np.ndarray) -> None:
    shared = TrtBackend(engine)

    def use(seed: int) -> None:
        own = TrtBackend(engine)
        for count in np.random.default_rng(seed).integers(1, len(images) + 1, 30):
            for backend in (shared, own):
                np.testing.assert_allclose(backend.infer(images[:count]), expected[:count], atol=CLOSE)
        own.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
        pool.submit(shared.close).result()


@pytest.mark.gpu
def test_the_callers_context(driver: Any, engine: Artifact, images: np.ndarray, expected: np.ndarray) -> None:
    driver.init()
    context = driver.Device(0).make_context()
    try:
        inside = TrtBackend(engine, context=context)
        beside = TrtBackend(engine)
        for backend in (inside, beside, inside, beside):
            np.testing.assert_allclose(backend.infer(images), expected, atol=CLOSE)
            assert driver.Context.get_current() == context
        inside.close()
        beside.close()
    finally:
        context.pop()
        context.detach()
    assert driver.Context.get_current() is None


@pytest.mark.gpu
def test_a_damaged_engine_is_one_error(engine: Artifact) -> None:
    for payload in (engine.payload[: len(engine.payload) // 2], b"no engine"):
        with pytest.raises(
            BackendError, match=r"^tiny.engine: .* cannot open it \(it cannot be deserialized: .*again on this machine"
        ):
            TrtBackend(replace(engine, payload=payload))


def test_fake_tensorrt_11_has_the_names_of_the_real_one(rtx: Any) -> None:
    gpu = FakeGpu()
    gpu.stack.append(0x100)
    faked = tensorrt("11.1.0")
    logger: Any = SimpleNamespace()
    fake_runtime = runtime(faked, gpu)(logger)
    engine = fake_runtime.deserialize_cuda_engine(Plan().payload())
    context = engine.create_execution_context("USER_MANAGED")
    network = faked.Builder(logger).create_network(0)
    config = faked.Builder(logger).create_builder_config()
    inspected = faked.Runtime(logger).deserialize_cuda_engine(b"plan")
    instances = {
        "Runtime": fake_runtime,
        "ICudaEngine": engine,
        "IExecutionContext": context,
        "Builder": faked.Builder(logger),
        "INetworkDefinition": network,
        "ITensor": network.get_input(0),
        "ILayer": network.get_layer(0),
        "IBuilderConfig": config,
        "ITimingCache": config.create_timing_cache(b""),
        "IOptimizationProfile": faked.Builder(logger).create_optimization_profile(),
        "OnnxParser": faked.OnnxParser(network, logger),
        "EngineInspector": inspected.create_engine_inspector(),
        "IProgressMonitor": faked.IProgressMonitor(),
    }
    for name, instance in instances.items():
        real = {attribute for attribute in dir(getattr(rtx, name)) if not attribute.startswith("_")}
        assert {attribute for attribute in dir(instance) if not attribute.startswith("_")} - {"content"} <= real, name
    for name, instance in vars(faked).items():
        if isinstance(instance, SimpleNamespace | type(Dtype)):
            assert set(vars(instance) if isinstance(instance, SimpleNamespace) else Dtype.__members__) <= set(
                dir(getattr(rtx, name))
            ), name
    for name in ("FP16", "PREFER_PRECISION_CONSTRAINTS"):  # nor is what is not faked
        assert not hasattr(rtx.BuilderFlag, name)
    assert not hasattr(rtx.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH")
    assert not hasattr(rtx.ILayer, "precision")
