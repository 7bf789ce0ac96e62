"""A GPU with TensorRT on it, faked: what opens an engine on one runs as it would there."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edge_crnn.backends.tensorrt import cuda
from edge_crnn.backends.tensorrt import engine as trt
from edge_crnn.model.artifact import Artifact, save
from edge_crnn.model.spec import ArtifactFacts
from tests.conftest import TINY
from tests.fake_cuda import FakeGpu
from tests.fake_engine import Plan, runtime
from tests.fake_pycuda import pycuda_driver
from tests.fake_tensorrt import tensorrt


@pytest.fixture(scope="session")
def rtx() -> Any:
    """The real API, as of TensorRT 11; it parses and builds without a GPU."""
    for name in ("tensorrt_rtx", "tensorrt_rtx_bindings"):
        if importlib.util.find_spec(name) is not None:
            return importlib.import_module(name)
    pytest.skip("TensorRT for RTX is not installed; pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings")


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FakeGpu]]:
    """`on_gpu(version, gpu, **knobs)` installs a fake GPU with this version of TensorRT and with pycuda."""
    real = ctypes.CDLL

    def install(version: str = "10.3.0", gpu: FakeGpu | None = None, **knobs: Any) -> FakeGpu:
        device = gpu or FakeGpu()
        module = tensorrt(version)
        device.knobs.update(knobs)
        module.Runtime = runtime(module, device)
        pycuda: Any = ModuleType("pycuda")
        pycuda.driver = pycuda_driver(device)
        for name, stub in {"tensorrt": module, "pycuda": pycuda, "pycuda.driver": pycuda.driver}.items():
            monkeypatch.setitem(sys.modules, name, stub)
        library = device.libcuda()
        monkeypatch.setattr(
            ctypes, "CDLL", lambda name, *rest, **more: library if name == "libcuda.so.1" else real(name, *rest, **more)
        )
        forget()
        return device

    def forget() -> None:
        cuda._driver.cache_clear()
        trt._primary_context.cache_clear()

    yield install
    forget()


@pytest.fixture
def engine_of(tmp_path: Path) -> Callable[..., Artifact]:
    """`engine_of(plan, **tools)`: an artifact that a fake TensorRT runs, its spec beside it."""

    def make(plan: Plan = Plan(), **tools: str) -> Artifact:  # noqa: B008 - it is frozen
        dtype, axes = ("uint8", "HWC") if plan.kind == "UINT8" else ("float32", "WHC")
        image = replace(TINY.input, dtype=dtype, axes=axes)
        facts = ArtifactFacts("engine", "float16", plan.batches[2], "", "0" * 64, tools=tools)
        return save(tmp_path / "tiny.engine", plan.payload(), replace(TINY, input=image, artifact=facts))

    return make
