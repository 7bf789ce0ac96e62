from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from edge_crnn.backends.tensorrt import cuda
from edge_crnn.backends.tensorrt.cuda import CudaError, Graph
from edge_crnn.errors import BackendUnavailable
from tests.fake_cuda import FakeGpu

Install = Callable[..., FakeGpu]
CONTEXT = 0x100


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda._driver.cache_clear()
    monkeypatch.setattr(cuda, "_LIBRARY", "libcuda_of_nobody.so.1")
    with pytest.raises(BackendUnavailable, match=r"^there is no NVIDIA driver \(libcuda_of_nobody.so.1: .* JetPack"):
        cuda.gpu()


def test_fake_a_driver_without_graphs(on_gpu: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    library = on_gpu().libcuda()
    del library.cuGraphInstantiateWithFlags
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    with pytest.raises(BackendUnavailable, match=r"^the NVIDIA driver is too old \(.*; CUDA 11.4 or newer is needed$"):
        cuda.gpu()


def test_fake_a_gpu(on_gpu: Install) -> None:
    on_gpu(gpu=FakeGpu("NVIDIA H100 80GB HBM3", (9, 0)))
    gpu = cuda.gpu()
    assert gpu == cuda.Gpu("NVIDIA H100 80GB HBM3", "9.0", "12.6", 0)
    assert str(gpu) == "NVIDIA H100 80GB HBM3, 9.0"


def test_fake_the_current_contexts_gpu(on_gpu: Install) -> None:
    gpu = on_gpu(gpu=FakeGpu(devices=3))
    gpu.stack.append(0x102)
    assert cuda.gpu().index == 2
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cuda.gpu).result().index == 0


def test_fake_missing_gpu_is_looked_for_again(on_gpu: Install) -> None:
    gpu = on_gpu(gpu=FakeGpu(devices=0))
    words = r"^no GPU can be used \(CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected\); does nvidia-smi"
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match=words):
            cuda.gpu()
    gpu.devices = 1
    assert cuda.gpu().name == gpu.name


@pytest.mark.parametrize("function", ["cuDeviceGetName", "cuDeviceGetAttribute", "cuDriverGetVersion"])
def test_fake_gpu_without_a_name(function: str, on_gpu: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    library = on_gpu().libcuda()
    failing = ctypes.CFUNCTYPE(ctypes.c_int, *([ctypes.c_void_p] * 3))(lambda *_: 700)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(**{**vars(library), function: failing}))
    with pytest.raises(BackendUnavailable, match=r"cannot be identified \(CUDA_ERROR_ILLEGAL_ADDRESS: an"):
        cuda.gpu()


def test_fake_a_fork_or_a_broken_context(on_gpu: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    library = on_gpu().libcuda()
    failing = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: 999)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(**{**vars(library), "cuCtxGetDevice": failing}))
    with pytest.raises(BackendUnavailable, match=r"context is unusable \(CUDA error 999\); restart the program"):
        cuda.gpu()


# --- graphs -----------------------------------------------------------------------------------------------------------


def test_fake_a_graph_does_its_work_at_every_launch(on_gpu: Install) -> None:
    gpu = on_gpu()
    gpu.stack.append(CONTEXT)
    stream = gpu.make_stream(1)
    done = []
    graph = Graph(stream, lambda: [gpu.enqueue("", stream, lambda n=n: done.append(n)) for n in (1, 2)] and None)
    assert gpu.left == {"streams": 1, "launchable": 1}
    gpu.wait(stream)
    assert done == []
    for _ in range(3):
        graph.launch()
    gpu.wait(stream)
    assert done == [1, 2] * 3
    graph.close()
    graph.close()
    assert gpu.left == {"streams": 1}
    with pytest.raises(
        CudaError,
        match=r"^CUDA graph: the work cannot be launched \(CUDA_ERROR_INVALID_HANDLE",
    ):
        graph.launch()


def test_fake_work_that_raises_ends_the_capture(on_gpu: Install) -> None:
    gpu = on_gpu()
    gpu.stack.append(CONTEXT)
    stream = gpu.make_stream(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            Graph(stream, lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    assert gpu.left == {"streams": 1}


def test_fake_work_that_allocates_is_not_captured(on_gpu: Install) -> None:
    gpu = on_gpu()
    gpu.stack.append(CONTEXT)
    stream = gpu.make_stream(1)

    def work() -> None:
        gpu.enqueue("", stream, lambda: None)
        with pytest.raises(Exception, match="not permitted when stream is capturing"):
            gpu.allocate(1)

    with pytest.raises(CudaError, match=r"the work cannot be captured \(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"):
        Graph(stream, work)
    assert gpu.left == {"streams": 1}


def test_fake_others_may_allocate_during_a_capture(on_gpu: Install) -> None:
    gpu = on_gpu()
    gpu.stack.append(CONTEXT)
    stream = gpu.make_stream(1)

    def other() -> int:
        gpu.stack.append(CONTEXT)
        return gpu.allocate(1)

    with ThreadPoolExecutor(1) as pool:
        Graph(stream, lambda: pool.submit(other).result() and None)


@pytest.mark.parametrize("stack", [[], [0x7770]])
def test_fake_the_streams_context_must_be_current(stack: list[int], on_gpu: Install) -> None:
    gpu = on_gpu()
    gpu.stack.append(CONTEXT)
    stream = gpu.make_stream(1)
    gpu.stack[:] = stack
    with pytest.raises(CudaError, match=r"^CUDA graph: the capture cannot begin \(CUDA_ERROR_INVALID_CONTEXT"):
        Graph(stream, lambda: None)
