"""The contract that every backend keeps. To test a new backend, add a line to `ENGINES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_crnn.backends import Backend, FakeBackend, open_backend
from edge_crnn.backends.tensorrt.engine import TrtBackend
from edge_crnn.errors import BackendError, InputError
from tests.fake_engine import Plan

STEPS = 16
CLASSES = 11


def fake(dtype: str) -> Backend:
    script = np.random.default_rng(1).dirichlet(np.ones(CLASSES), (3, STEPS)).astype(np.float32)
    return FakeBackend(script, (32, 16, 1), dtype)


Make = Callable[..., Path]

ENGINES: dict[str, Callable[[Make], Backend]] = {
    "fake, values": lambda _: fake("float32"),
    "fake, pixels": lambda _: fake("uint8"),
    "litert, values": lambda make: open_backend(make("float32", takes_pixels=False)),
    "litert, pixels": lambda make: open_backend(make("int8")),
    "litert, 4 at once": lambda make: open_backend(make("dynamic", batch=4, takes_pixels=False)),
    "litert, int8 out": lambda make: open_backend(make("int8-full", batch=4)),
    "litert, 2 threads": lambda make: open_backend(make("float16"), threads=2),
}


ONNX_ENGINES: dict[str, Callable[[Make], Backend]] = {
    "onnxrt, values": lambda make: open_backend(make("float32", takes_pixels=False)),
    "onnxrt, pixels": lambda make: open_backend(make("float32")),
    "onnxrt, float16": lambda make: open_backend(make("float16")),
    "onnxrt, float16 values, 2 threads": lambda make: open_backend(make("float16", takes_pixels=False), threads=2),
    "onnxrt, float16-mixed": lambda make: open_backend(make("float16-mixed")),
}


FAKE_GPU_ENGINES: dict[str, tuple[str, Plan]] = {
    "trt on a fake GPU, pixels": ("8.6.1", Plan()),
    "trt on a fake GPU, values": ("10.3.0", Plan(image=(32, 16, 1), kind="FLOAT")),
    "trt on a fake GPU, 2 at least": ("11.1.0", Plan(batches=(2, 2, 4))),
}


@pytest.fixture(params=[*ENGINES, *ONNX_ENGINES, *FAKE_GPU_ENGINES])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    opened: Backend
    if request.param in FAKE_GPU_ENGINES:
        version, plan = FAKE_GPU_ENGINES[request.param]
        request.getfixturevalue("on_gpu")(version)
        opened = TrtBackend(request.getfixturevalue("engine_of")(plan))
    elif request.param in ENGINES:
        opened = ENGINES[request.param](request.getfixturevalue("tiny_artifacts"))
    else:
        opened = ONNX_ENGINES[request.param](request.getfixturevalue("tiny_onnx"))
    yield opened
    opened.close()


def images(backend: Backend, count: int) -> np.ndarray:
    shape = (count, *backend.facts.input_shape)
    random = np.random.default_rng(count)
    if backend.facts.input_dtype == "uint8":
        return random.integers(0, 256, shape, np.uint8)
    return random.uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_probabilities_of_any_number_of_images(backend: Backend, count: int) -> None:
    probabilities = backend.infer(images(backend, count))
    assert probabilities.shape == (count, STEPS, CLASSES)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=0.01)
    assert (probabilities >= 0).all()


def test_the_result_is_the_callers(backend: Backend) -> None:
    batch = images(backend, 2)
    first = backend.infer(batch[:1])
    kept = first.copy()
    second = backend.infer(batch[1:])
    np.testing.assert_array_equal(first, kept)
    assert (first != second).any()
    first[:] = 7
    np.testing.assert_array_equal(backend.infer(batch[:0]), first[:0])
    assert (second != 7).all()


def test_the_laterstay_as_they_are(backend: Backend) -> None:
    batch = images(backend, 3)
    batch.flags.writeable = False
    before = batch.copy()
    backend.infer(batch)
    backend.infer(batch[::-1])
    np.testing.assert_array_equal(batch, before)


BAD: dict[str, tuple[Callable[[np.ndarray], object], str]] = {
    "no batch axis": (lambda good: good[0], "found shape .*, expected .*: the batch axis is missing"),
    "no axes": (lambda good: good.ravel(), "found shape"),
    "one axis more": (lambda good: good[np.newaxis], "found shape"),
    "swapped axes": (lambda good: good.swapaxes(1, 2), "found shape .*, expected .*: axes 1 and 2 look swapped"),
    "colour": (
        lambda good: good.repeat(3, axis=3),
        r"found shape \(2, \d+, \d+, 3\), expected \(N, \d+, \d+, 1\) \w+$",
    ),
    "other size": (lambda good: good[:, :-1], "found shape"),
    "none, other size": (lambda good: good[:0, :-1], "found shape"),
    "float64": (lambda good: good.astype(np.float64), "found dtype float64, expected .*; use edge_crnn.preprocess"),
    "int8": (lambda good: good.astype(np.int8), "found dtype int8"),
    "other byte order": (lambda good: good.astype(">f4"), "found dtype >f4"),
    "objects": (lambda good: good.astype(object), "found dtype object"),
    "a list": (lambda good: good.tolist(), "found list, expected an array"),
    "none": (lambda good: None, "found NoneType, expected an array"),
}


@pytest.mark.parametrize(("spoil", "message"), BAD.values(), ids=BAD)
def test_bad_batches(backend: Backend, spoil: Callable[[np.ndarray], object], message: str) -> None:
    good = images(backend, 2)
    with pytest.raises(InputError, match=rf"^{backend.facts.name}: .*{message}"):
        backend.infer(spoil(good))  # type: ignore[arg-type]
    assert len(backend.infer(good)) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(backend: Backend, value: float) -> None:
    batch = images(backend, 3)
    if backend.facts.input_dtype == "uint8":
        assert np.isfinite(batch).all()  # there is none to refuse
        return
    batch[1, 2, 3] = batch[2, 0, 0] = value
    with pytest.raises(InputError, match="2 values are not finite; check the preprocessing"):
        backend.infer(batch)


def test_closed_once_and_for_all(backend: Backend) -> None:
    batch = images(backend, 1)
    backend.infer(batch)
    backend.close()
    backend.close()
    for later in (batch, batch[:0]):
        with pytest.raises(BackendError, match=r"used after close\(\); open the model again"):
            backend.infer(later)


def test_facts(backend: Backend) -> None:
    facts = backend.facts
    assert facts.name in ("fake", "litert", "onnxrt", "tensorrt")
    assert facts.version
    assert facts.precision
    assert sorted(facts.input_shape) == [1, 16, 32]
    assert facts.max_batch in (None, 1, 4)
    backend.close()
    assert backend.facts == facts
