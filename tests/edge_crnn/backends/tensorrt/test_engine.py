"""Engines on a faked GPU, in every version's TensorRT; and on a real one where there is one."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_crnn.backends import open_backend
from edge_crnn.backends.tensorrt.engine import TrtBackend
from edge_crnn.errors import ArtifactError, BackendError
from edge_crnn.model.artifact import Artifact, load
from tests.fake_cuda import FakeGpu
from tests.fake_engine import Plan, answers, computed
from tests.fake_tensorrt import VERSIONS

PLAN = Plan()
VALUES = Plan(image=(32, 16, 1), kind="FLOAT", batches=(1, 2, 4))
BESIDE = ("conv/Relu", "lstm/Reshape")
BUFFERS = {"device": 3, "pinned": 2, "streams": 1}

Install = Callable[..., FakeGpu]
Make = Callable[..., Artifact]

every_version = pytest.mark.parametrize("version", VERSIONS)


def pixels(count: int, plan: Plan = PLAN) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *plan.image), np.uint8)


# --- results ----------------------------------------------------------------------------------------------------------


@every_version
def test_fake_every_image_gets_its_own_answer(version: str, on_gpu: Install, engine_of: Make) -> None:
    on_gpu(version)
    backend = open_backend(engine_of().path)
    for count in (1, 2, 3, 4, 1, 4, 11, 5, 3, 8):  # more than 4 are split
        images = pixels(count)
        np.testing.assert_array_equal(backend.infer(images), answers(images, PLAN))


def test_fake_values_instead_of_pixels(on_gpu: Install, engine_of: Make) -> None:
    on_gpu()
    backend = TrtBackend(engine_of(VALUES))
    images = np.random.default_rng(3).uniform(-1, 1, (6, *VALUES.image)).astype(np.float32)
    for batch in (images, images[::-1], images[::2], np.asfortranarray(images)):
        np.testing.assert_array_equal(backend.infer(batch), answers(batch, VALUES))


@pytest.fixture(scope="module")
def marked(tiny_onnx: Callable[..., Path]) -> Plan:
    """An engine with two more outputs, in float16."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_model_from_string(load(tiny_onnx("float16")).payload)
    value_infos = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    model.graph.output.extend(value_infos[name] for name in BESIDE)
    return replace(PLAN, onnx=base64.b64encode(model.SerializeToString()).decode())


@every_version
def test_fake_all_outputs_are_read(version: str, marked: Plan, on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu(version)
    backend = TrtBackend(engine_of(marked), also=BESIDE)
    for count in (1, 4, 3, 11, 2):  # more than 4 are split
        images = pixels(count)
        actual = backend.values(images)
        expected = computed(images, marked)
        assert list(actual) == ["probabilities", *BESIDE]
        for name, value in actual.items():
            assert value.dtype == ("float32" if name == "probabilities" else "float16")
            np.testing.assert_array_equal(value, expected[name], strict=True)
        np.testing.assert_array_equal(backend.infer(images), expected["probabilities"])
    backend.close()
    assert gpu.left == {}


def test_fake_further_outputs_must_be_named_and_exist(marked: Plan, on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu()
    with pytest.raises(ArtifactError, match=r"^tiny.engine: takes .* gives \['FLOAT', 'HALF', 'HALF'\] per image"):
        TrtBackend(engine_of(marked))
    with pytest.raises(ArtifactError, match=r"^tiny.engine: has no output nothing; build it again$"):
        TrtBackend(engine_of(marked), also=(*BESIDE, "nothing"))
    assert gpu.left == {}


def test_fake_results_are_copies(on_gpu: Install, engine_of: Make) -> None:
    on_gpu()
    backend = TrtBackend(engine_of())
    batches = [pixels(count) for count in (2, 2, 9, 1, 4)]
    results = [backend.infer(batch) for batch in batches]
    backend.close()
    for batch, result in zip(batches, results, strict=True):
        np.testing.assert_array_equal(result, answers(batch, PLAN))


@pytest.mark.parametrize("batches", [(3, 4, 8), (4, 4, 4)])
def test_fake_a_batch_below_the_least_is_filled_up(
    batches: tuple[int, int, int], on_gpu: Install, engine_of: Make
) -> None:
    gpu = on_gpu()
    plan = replace(PLAN, batches=batches)
    backend = TrtBackend(engine_of(plan))
    for count in (2, 1, 3, 10, 8):
        np.testing.assert_array_equal(backend.infer(pixels(count)), answers(pixels(count), plan))
    assert set(gpu.ran) <= set(range(batches[0], batches[2] + 1))


def test_fake_facts(on_gpu: Install, engine_of: Make) -> None:
    on_gpu("8.6.1")
    facts = TrtBackend(engine_of(), graphs=5).facts
    assert (facts.name, facts.version, facts.precision) == ("tensorrt", "tensorrt 8.6.1", "float16")
    assert (facts.input_shape, facts.input_dtype, facts.max_batch) == ((16, 32, 1), "uint8", 4)
    assert facts.notes == ("on Orin (nvgpu), 8.7", "CUDA graph per batch size, for the first 5")


# --- graphs -----------------------------------------------------------------------------------------------------------


@every_version
def test_fake_a_size_is_captured_once_and_launched_from_then_on(version: str, on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu(version)
    backend = TrtBackend(engine_of())
    assert gpu.left == {**BUFFERS, "launchable": 1}  # of a single image, already
    for count in (2, 3, 2, 2, 3, 1):
        backend.infer(pixels(count))
    assert gpu.launches == 4
    assert gpu.left == {**BUFFERS, "launchable": 3}
    backend.infer(pixels(4 + 4 + 1))
    assert gpu.launches == 6
    assert gpu.left == {**BUFFERS, "launchable": 4}


def test_fake_sizes_beyond_the_bound_run_without_a_graph(on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu()
    backend = TrtBackend(engine_of(), graphs=2)
    for count in (3, 1, 4, 2, 4, 2, 3):
        np.testing.assert_array_equal(backend.infer(pixels(count)), answers(pixels(count), PLAN))
    assert (gpu.left["launchable"], gpu.launches) == (2, 2)
    assert gpu.ran == [4, 1, 3, 1, 4, 2, 4, 2, 3]  # the first two on opening


def test_fake_no_graphs_at_all(on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu()
    backend = TrtBackend(engine_of(), graphs=0)
    np.testing.assert_array_equal(backend.infer(pixels(7)), answers(pixels(7), PLAN))
    assert gpu.left == BUFFERS
    assert backend.facts.notes[1] == "no CUDA graphs"


@every_version
def test_fake_without_capture_it_runs_and_says_so(version: str, on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu(version, always_allocates=True)
    backend = TrtBackend(engine_of())
    reason = r"a batch of 1 images does not run: .*not permitted when stream is capturing"
    assert re.fullmatch(rf"no CUDA graphs, so slower than it could be \({reason}\)", backend.facts.notes[1])
    for count in (1, 3, 1, 9):
        np.testing.assert_array_equal(backend.infer(pixels(count)), answers(pixels(count), PLAN))
    assert gpu.left == BUFFERS
    backend.close()
    assert gpu.left == {}


def test_fake_many_calls_take_no_more_memory(on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu()
    backend = TrtBackend(engine_of(replace(PLAN, batches=(1, 8, 20))))
    sizes = np.random.default_rng(1).integers(1, 25, 150)
    for count in sizes[:75]:
        backend.infer(pixels(count))
    held, free = gpu.left, gpu.free
    assert held["launchable"] == 16
    for count in sizes[75:]:
        backend.infer(pixels(count))
    assert (gpu.left, gpu.free) == (held, free)


# --- threads, contexts, closing ---------------------------------------------------------------------------------------


def test_fake_any_thread_may_call(on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu()
    backend = TrtBackend(engine_of())
    batches = [pixels(1 + index % 6) for index in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for batch, result in zip(batches, pool.map(backend.infer, batches), strict=True):
            np.testing.assert_array_equal(result, answers(batch, PLAN))
        pool.submit(backend.close).result()
    assert gpu.left == {}


def test_fake_two_at_once(on_gpu: Install, engine_of: Make) -> None:
    on_gpu()
    artifact = engine_of()

    def use(seed: int) -> None:
        backend = TrtBackend(artifact)
        for count in (1, 3, 1, 5, 3):
            batch = pixels(count + seed)
            np.testing.assert_array_equal(backend.infer(batch), answers(batch, PLAN))
        backend.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(8)))


@pytest.mark.parametrize("theirs", [[], [0x100], [0x100, 0x7770]])
def test_fake_the_callers_own_context_is_current_again_afterwards(
    theirs: list[int], on_gpu: Install, engine_of: Make
) -> None:
    gpu = on_gpu()
    gpu.stack[:] = theirs  # as PyTorch sets it
    backend = TrtBackend(engine_of())
    backend.infer(pixels(5))
    assert gpu.stack == theirs
    backend.close()
    assert gpu.stack == theirs
    with pytest.raises(BackendError):
        TrtBackend(replace(engine_of(), payload=b"garbage"))
    assert gpu.stack == theirs


def test_fake_it_works_in_a_context_of_the_callers(on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu(gpu=FakeGpu(devices=2))
    driver = sys.modules["pycuda.driver"]
    driver.init()
    context = driver.Device(1).make_context()
    backend = TrtBackend(engine_of(), context=context)
    np.testing.assert_array_equal(backend.infer(pixels(3)), answers(pixels(3), PLAN))
    assert gpu.stack == [context.handle]
    assert {stream.context for stream in gpu._streams.values()} == {context.handle}
    driver.Context.pop()
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(backend.infer, pixels(3)).result()
    np.testing.assert_array_equal(result, answers(pixels(3), PLAN))
    backend.close()
    assert (gpu.left, gpu.stack) == ({}, [])


def test_fake_the_gpu_of_the_current_context_is_used(on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu(gpu=FakeGpu(devices=2))
    gpu.stack.append(0x101)
    TrtBackend(engine_of()).infer(pixels(1))
    TrtBackend(engine_of())
    assert {stream.context for stream in gpu._streams.values()} <= {0x101}


@every_version
def test_fake_close_frees_all(version: str, on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu(version)
    free = gpu.free
    backend = TrtBackend(engine_of())
    backend.infer(pixels(6))
    assert gpu.left == {**BUFFERS, "launchable": 3}
    backend.close()
    backend.close()
    assert (gpu.left, gpu.free) == ({}, free)
    with pytest.raises(BackendError, match=r"^tiny.engine: used after close\(\); open the model again$"):
        backend.infer(pixels(1))


def test_fake_dropped_engine_is_freed(on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu()
    TrtBackend(engine_of(), graphs=0)
    assert gpu.left == {}
