"""Engines that cannot be opened or fail, on a faked GPU, with the TensorRT of every version."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_crnn.backends.tensorrt.engine import TrtBackend
from edge_crnn.errors import ArtifactError, BackendError, BackendUnavailable
from edge_crnn.model.spec import Quantisation
from tests.edge_crnn.backends.tensorrt.test_engine import PLAN, Install, Make, every_version, pixels
from tests.fake_cuda import FakeGpu
from tests.fake_engine import Plan, answers


def test_fake_no_gpu(on_gpu: Install, engine_of: Make) -> None:
    on_gpu(gpu=FakeGpu(devices=0))
    with pytest.raises(BackendUnavailable, match=r"^no GPU can be used \(CUDA_ERROR_NO_DEVICE: .*nvidia-smi"):
        TrtBackend(engine_of())


def test_no_driver(engine_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_crnn.backends.tensorrt.cuda._LIBRARY", "libcuda_of_nobody.so.1")
    with pytest.raises(BackendUnavailable, match=r"^there is no NVIDIA driver"):
        TrtBackend(engine_of())


def test_fake_no_tensorrt(on_gpu: Install, engine_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu()
    for name in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendUnavailable, match=r"^none of tensorrt, .* is installed"):
        TrtBackend(engine_of())


def test_fake_no_pycuda(on_gpu: Install, engine_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu()
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(BackendUnavailable, match=r"^pycuda is not installed, .* \(.*'edge-crnn\[tensorrt\]'$"):
        TrtBackend(engine_of())


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        (
            {"engine": "tensorrt 8.6.1"},
            "built by tensorrt 8.6.1, but this machine has tensorrt 10.3.0",
        ),
        ({"engine": "tensorrt_rtx 10.3.0"}, "built by tensorrt_rtx 10.3.0, but this machine has tensorrt 10.3.0"),
        (
            {"gpu": "NVIDIA H100 80GB HBM3, 9.0"},
            r"built for NVIDIA H100 80GB HBM3, 9.0, .* has Orin \(nvgpu\), 8.7,",
        ),
    ],
)
def test_fake_foreign_engine_is_refused_before_it_is_loaded(
    tools: dict[str, str], message: str, on_gpu: Install, engine_of: Make
) -> None:
    gpu = on_gpu("10.3.0")
    artifact = replace(engine_of(**tools), payload=b"garbage")
    advice = r"build it here: edge-crnn build-engine NAME.onnx -o tiny.engine$"
    with pytest.raises(BackendError, match=f"^tiny.engine: {message}.*{advice}"):
        TrtBackend(artifact)
    assert (gpu.left, gpu.stack) == ({}, [])


def test_fake_engine_of_this_machine_is_accepted(on_gpu: Install, engine_of: Make) -> None:
    on_gpu("10.3.0")
    TrtBackend(engine_of(engine="tensorrt 10.3.0", gpu="Orin (nvgpu), 8.7", precision="float16"))


@every_version
def test_fake_file_that_is_no_engine_is_refused(version: str, on_gpu: Install, engine_of: Make) -> None:
    on_gpu(version)
    with pytest.raises(BackendError) as caught:
        TrtBackend(replace(engine_of(), payload=b"garbage"))
    assert str(caught.value) == (
        f"tiny.engine: tensorrt {version} cannot open it (it cannot be deserialized: deserializeCudaEngine:"
        " magicTagRead == kMAGIC_TAG failed); build the engine again on this machine"
    )


LIES: dict[str, tuple[Plan, str]] = {
    "size": (
        replace(PLAN, image=(16, 31, 1)),
        r"takes \[\(16, 31, 1, 'UINT8'\)\] and gives \['FLOAT'\] per image",
    ),
    "axes": (replace(PLAN, image=(32, 16, 1)), r"takes \[\(32, 16, 1, 'UINT8'\)\]"),
    "values": (replace(PLAN, kind="FLOAT"), r"takes \[\(16, 32, 1, 'FLOAT'\)\]"),
    "half in": (replace(PLAN, kind="HALF"), r"takes \[\(16, 32, 1, 'HALF'\)\]"),
    "half out": (replace(PLAN, dtype="HALF"), r"gives \['HALF'\]"),
    "two inputs": (replace(PLAN, inputs=2), r"takes \[\(16, 32, 1, 'UINT8'\), \(16, 32, 1, 'UINT8'\)\]"),
    "steps": (replace(PLAN, steps=15), r"gives \(15, 11\) for an image, but its spec says \(16, 11\)"),
    "classes": (replace(PLAN, classes=12), r"gives \(16, 12\) for an image, but its spec says \(16, 11\)"),
    "fewer at most": (replace(PLAN, batches=(1, 2, 3)), "takes 1 to 3 images per batch, but its spec says up to 4"),
    "more at most": (replace(PLAN, batches=(2, 2, 8)), "takes 2 to 8 images per batch, but its spec says up to 4"),
}


@pytest.mark.parametrize(("plan", "message"), LIES.values(), ids=LIES)
def test_fake_spec_of_another_engine_is_refused(plan: Plan, message: str, on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu()
    artifact = replace(engine_of(), payload=plan.payload())
    with pytest.raises(ArtifactError, match=rf"^tiny.engine: .*{message}.*; build it again$"):
        TrtBackend(artifact)
    assert (gpu.left, gpu.stack) == ({}, [])


def test_fake_int8_spec_is_refused(on_gpu: Install, engine_of: Make) -> None:
    on_gpu()
    artifact = engine_of()
    output = replace(artifact.spec.output, quantisation=Quantisation(1.0, 0))
    with pytest.raises(ArtifactError, match="build it again"):
        TrtBackend(replace(artifact, spec=replace(artifact.spec, output=output)))


FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "no runtime": (
        {"no_runtime": True},
        r"cannot open it \(TensorRT does not start: CUDA initialization failure with error: 35\)",
    ),
    "no context": ({"no_context": True}, r"cannot open it \(it creates no execution context\)"),
    "no run": (
        {"execute_fails": True},
        r"cannot open it \(a batch of 4 images does not run: IExecutionContext: Error Code 1: .*\)",
    ),
}


@every_version
@pytest.mark.parametrize(("knobs", "message"), FAILURES.values(), ids=FAILURES)
def test_fake_failure_while_opening_is_one_error(
    version: str, knobs: dict[str, Any], message: str, on_gpu: Install, engine_of: Make
) -> None:
    gpu = on_gpu(version, **knobs)
    with pytest.raises(BackendError, match=rf"^tiny.engine: tensorrt {version} {message}; build .* again") as caught:
        TrtBackend(engine_of())
    assert caught.tb is not None  # which holds all frames, and what is in them
    assert (gpu.left, gpu.stack) == ({}, [])


@pytest.mark.parametrize("memory", [1000, 3000, 7000])
def test_fake_too_little_memory(memory: int, on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu(gpu=FakeGpu(memory=memory))
    with pytest.raises(BackendError, match=r"has too little GPU memory \(cuMemAlloc .*: out of memory\); free"):
        TrtBackend(engine_of())
    assert (gpu.left, gpu.free) == ({}, memory)


@every_version
def test_fake_failing_batch_is_one_error(version: str, on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu(version)
    knobs = gpu.knobs
    backend = TrtBackend(engine_of())
    backend.infer(pixels(2))
    knobs["execute_fails"] = True
    for _ in range(2):
        with pytest.raises(BackendError) as caught:
            backend.infer(pixels(3))
        assert str(caught.value) == (
            f"tiny.engine: tensorrt {version} fails (a batch of 3 images does not run: IExecutionContext: Error Code 1:"
            " Cask (Cask convolution execution)); if this happens again, restart the program"
        )
        assert gpu.stack == []
    np.testing.assert_array_equal(backend.infer(pixels(2)), answers(pixels(2), PLAN))
    del knobs["execute_fails"]
    np.testing.assert_array_equal(backend.infer(pixels(3)), answers(pixels(3), PLAN))
    backend.close()
    assert gpu.left == {}


def test_fake_failing_gpu_is_one_error(on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu()
    backend = TrtBackend(engine_of())
    backend.infer(pixels(2))
    gpu.sick = True
    with pytest.raises(BackendError, match=r"fails \(cuStreamSynchronize failed: an illegal memory access"):
        backend.infer(pixels(2))
    backend.close()


def test_fake_before_tensorrt_10_an_engine_must_share_its_profile(on_gpu: Install, engine_of: Make) -> None:
    on_gpu("8.6.1")
    backend = TrtBackend(engine_of(replace(PLAN, shares_profile=False)))
    assert "its contexts cannot share a profile; build the engine again: IExecution" in backend.facts.notes[1]
    np.testing.assert_array_equal(backend.infer(pixels(5)), answers(pixels(5), PLAN))


def test_fake_earlier_messages_are_not_the_reason(on_gpu: Install, engine_of: Make) -> None:
    gpu = on_gpu()
    backend = TrtBackend(engine_of())
    backend._log.add("ERROR", "long past", True)
    gpu.sick = True
    with pytest.raises(BackendError, match=r"^((?!long past).)*$"):
        backend.infer(pixels(1))
