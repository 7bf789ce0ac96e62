"""A GPU in NumPy: the driver's functions as libcuda.so.1 has them, and pycuda on top, with the traps of the real ones.

Work on a stream waits until someone waits for it. Memory that is freed is overwritten, and freed twice is an error; a
call without a current context is one, and so are an allocation or a wait while the thread captures, and a copy from or
to memory that is not pinned. What was never freed is in `left`.

Sources: CUDA Driver API; pycuda 2026.1, src/cpp/cuda.hpp for its context stack and for what it frees where.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

SUCCESS, INVALID_VALUE, OUT_OF_MEMORY = 0, 1, 2
NO_DEVICE, INVALID_CONTEXT, INVALID_HANDLE = 100, 201, 400
ILLEGAL_ADDRESS, CAPTURE_UNSUPPORTED, CAPTURE_INVALIDATED = 700, 900, 901
WORDS = {
    INVALID_VALUE: ("CUDA_ERROR_INVALID_VALUE", "invalid argument"),
    OUT_OF_MEMORY: ("CUDA_ERROR_OUT_OF_MEMORY", "out of memory"),
    NO_DEVICE: ("CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"),
    INVALID_CONTEXT: ("CUDA_ERROR_INVALID_CONTEXT", "invalid device context"),
    INVALID_HANDLE: ("CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"),
    ILLEGAL_ADDRESS: ("CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"),
    CAPTURE_UNSUPPORTED: ("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted when stream is capturing"),
    CAPTURE_INVALIDATED: ("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "failed due to a previous error during capture"),
}
_BYTES = {code: [text.encode() for text in texts] for code, texts in WORDS.items()}  # which must stay where they are
_POISON = 0xA5
_THREAD_LOCAL = _NON_BLOCKING = 1

Operation = Callable[[], None]


class CudaError(Exception):
    """A CUresult other than success."""

    def __init__(self, call: str, code: int) -> None:
        super().__init__(f"{call} failed: {WORDS[code][1]}")
        self.code = code


class _Stream:
    def __init__(self, context: int, flags: int) -> None:
        self.context, self.flags = context, flags
        self.waiting: list[Operation] = []
        self.capture: list[Operation] | None = None
        self.thread, self.broken = 0, False


class FakeGpu:
    """A GPU with its driver.

    Args:
        name: of the GPU.
        capability: of it.
        memory: bytes of it.
        devices: how many such GPUs there are.
    """

    def __init__(
        self,
        name: str = "Orin (nvgpu)",
        capability: tuple[int, int] = (8, 7),
        memory: int = 1 << 24,
        devices: int = 1,
    ) -> None:
        self.name, self.capability, self.free, self.devices = name, capability, memory, devices
        self._handles = itertools.count(0x1000, 0x10)
        self._addresses = itertools.count(0x7F00_0000_0000, 1 << 24)
        self._device: dict[int, np.ndarray] = {}
        self._pinned: dict[int, np.ndarray] = {}
        self._streams: dict[int, _Stream] = {}
        self._graphs: dict[int, list[Operation]] = {}
        self._launchable: dict[int, list[Operation]] = {}
        self._thread = threading.local()
        self.launches = 0
        """Number of launches of graphs."""
        self.ran: list[int] = []
        """Images of each batch that ran."""
        self.knobs: dict[str, Any] = {}
        """Further faults to inject; see `fake_engine`."""
        self.sick = False
        """Whether all that runs fails, as after an illegal access."""

    @property
    def left(self) -> dict[str, int]:
        """Return the kinds of objects that are not freed, with their numbers."""
        held = {
            "device": len(self._device),
            "pinned": len(self._pinned),
            "streams": len(self._streams),
            "graphs": len(self._graphs),
            "launchable": len(self._launchable),
        }
        return {kind: count for kind, count in held.items() if count}

    # --- contexts ----------------------------------------------------------------------------------------------------

    @property
    def stack(self) -> list[int]:
        """The contexts of this thread, the current one last."""
        if not hasattr(self._thread, "stack"):
            self._thread.stack = []
        stack: list[int] = self._thread.stack
        return stack

    def new_handle(self) -> int:
        """Return a multiple of 16; the last digit of a context's handle is its device."""
        return next(self._handles)

    def current(self, call: str) -> int:
        if not self.stack:
            raise CudaError(call, INVALID_CONTEXT)
        return self.stack[-1]

    # --- memory ------------------------------------------------------------------------------------------------------

    def allocate(self, size: int) -> int:
        self._unsafe("cuMemAlloc")
        if size <= 0:
            raise CudaError("cuMemAlloc", INVALID_VALUE)
        if size > self.free:
            raise CudaError("cuMemAlloc", OUT_OF_MEMORY)
        self.free -= size
        address = next(self._addresses)
        self._device[address] = np.full(size, _POISON, np.uint8)
        return address

    def release(self, address: int) -> None:
        self._unsafe("cuMemFree")
        if address not in self._device:
            raise CudaError("cuMemFree", INVALID_VALUE)
        self.free += len(self._device.pop(address))

    def allocate_pinned(self, size: int) -> np.ndarray:
        self._unsafe("cuMemHostAlloc")
        memory = np.full(size, _POISON, np.uint8)
        self._pinned[memory.ctypes.data] = memory
        return memory

    def release_pinned(self, memory: np.ndarray) -> None:
        self._unsafe("cuMemFreeHost")
        if self._pinned.pop(memory.ctypes.data, None) is None:
            raise CudaError("cuMemFreeHost", INVALID_VALUE)
        memory[:] = _POISON

    def at(self, address: int, size: int) -> np.ndarray:
        """Return bytes of the device, to read and to write."""
        return _part(self._device, address, size)

    def pinned_at(self, address: int, size: int) -> np.ndarray:
        return _part(self._pinned, address, size)

    # --- streams and graphs ------------------------------------------------------------------------------------------

    def make_stream(self, flags: int) -> int:
        self._unsafe("cuStreamCreate")
        handle = self.new_handle()
        self._streams[handle] = _Stream(self.current("cuStreamCreate"), flags)
        return handle

    def drop_stream(self, handle: int) -> None:
        del self._streams[handle]

    def enqueue(self, call: str, handle: int, operation: Operation) -> None:
        stream = self._stream(call, handle)
        if stream.capture is None:
            stream.waiting.append(operation)
        else:
            stream.capture.append(operation)

    def wait(self, handle: int) -> None:
        self._unsafe("cuStreamSynchronize")
        stream = self._stream("cuStreamSynchronize", handle)
        waiting, stream.waiting = stream.waiting, []
        for operation in waiting:
            if self.sick:
                raise CudaError("cuStreamSynchronize", ILLEGAL_ADDRESS)
            operation()

    def capturing(self) -> bool:
        """Return whether this thread captures, so that nothing may be allocated."""
        return any(s.capture is not None and s.thread == threading.get_ident() for s in list(self._streams.values()))

    def _stream(self, call: str, handle: int) -> _Stream:
        if handle not in self._streams:
            raise CudaError(call, INVALID_HANDLE)
        stream = self._streams[handle]
        if self.current(call) != stream.context:
            raise CudaError(call, INVALID_CONTEXT)
        return stream

    def _unsafe(self, call: str) -> None:
        """Fail, and invalidate the capture, if this thread captures."""
        self.current(call)
        for stream in list(self._streams.values()):
            if stream.capture is not None and stream.thread == threading.get_ident():
                stream.broken = True
                raise CudaError(call, CAPTURE_UNSUPPORTED)

    def begin_capture(self, handle: int, mode: int) -> None:
        stream = self._stream("cuStreamBeginCapture", handle)
        if stream.flags != _NON_BLOCKING or mode != _THREAD_LOCAL:  # others' calls would break it, and it theirs
            raise CudaError("cuStreamBeginCapture", CAPTURE_UNSUPPORTED)
        if stream.capture is not None or stream.waiting:
            raise CudaError("cuStreamBeginCapture", INVALID_VALUE)
        stream.capture, stream.thread, stream.broken = [], threading.get_ident(), False

    def end_capture(self, handle: int) -> int:
        stream = self._stream("cuStreamEndCapture", handle)
        captured, stream.capture = stream.capture, None
        if captured is None:
            raise CudaError("cuStreamEndCapture", INVALID_VALUE)
        if stream.broken:
            raise CudaError("cuStreamEndCapture", CAPTURE_INVALIDATED)
        return self._keep(self._graphs, captured)

    def instantiate(self, graph: int) -> int:
        return self._keep(self._launchable, list(self._graphs[graph]))

    def launch(self, launchable: int, handle: int) -> None:
        if launchable not in self._launchable:
            raise CudaError("cuGraphLaunch", INVALID_HANDLE)
        self.launches += 1
        for operation in self._launchable[launchable]:
            self.enqueue("cuGraphLaunch", handle, operation)

    def _keep(self, kind: dict[int, list[Operation]], operations: list[Operation]) -> int:
        handle = self.new_handle()
        kind[handle] = operations
        return handle

    # --- libcuda.so.1 ------------------------------------------------------------------------------------------------

    def libcuda(self) -> Any:
        """Return real C functions, declared as in cuda.h; calls with other types fail as with the real driver."""
        integer, pointer, text = ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p
        out, handles, texts = ctypes.POINTER(integer), ctypes.POINTER(pointer), ctypes.POINTER(text)

        def words(error: int, target: Any, place: int) -> int:
            if error not in WORDS:
                return INVALID_VALUE
            target[0] = _BYTES[error][place]
            return SUCCESS

        def count(number: Any) -> None:
            number[0] = self.devices

        def device(number: Any) -> None:
            number[0] = self.current("cuCtxGetDevice") % 0x10

        def name(target: Any, size: int, _: int) -> None:
            ctypes.memmove(target, self.name.encode() + b"\0", min(size, len(self.name) + 1))

        def attribute(number: Any, code: int, _: int) -> None:
            number[0] = self.capability[code - 75]

        def version(number: Any) -> None:
            number[0] = 12060

        def end(stream: int, graph: Any) -> None:
            graph[0] = self.end_capture(stream)

        def instantiate(launchable: Any, graph: int, _: int) -> None:
            launchable[0] = self.instantiate(graph)

        def drop(kind: dict[int, list[Operation]]) -> Callable[[int], None]:
            return lambda handle: kind.pop(handle) and None

        functions: dict[str, tuple[Callable[..., Any], Any]] = {
            "cuInit": (lambda _: SUCCESS if self.devices else NO_DEVICE, (ctypes.c_uint,)),
            "cuGetErrorName": (lambda error, target: words(error, target, 0), (integer, texts)),
            "cuGetErrorString": (lambda error, target: words(error, target, 1), (integer, texts)),
            "cuDriverGetVersion": (version, (out,)),
            "cuDeviceGetCount": (count, (out,)),
            "cuDeviceGetName": (name, (pointer, integer, integer)),
            "cuDeviceGetAttribute": (attribute, (out, integer, integer)),
            "cuCtxGetDevice": (device, (out,)),
            "cuStreamBeginCapture_v2": (self.begin_capture, (pointer, integer)),
            "cuStreamEndCapture": (end, (pointer, handles)),
            "cuGraphInstantiateWithFlags": (instantiate, (handles, pointer, ctypes.c_ulonglong)),
            "cuGraphLaunch": (self.launch, (pointer, pointer)),
            "cuGraphExecDestroy": (drop(self._launchable), (pointer,)),
            "cuGraphDestroy": (drop(self._graphs), (pointer,)),
        }
        return SimpleNamespace(
            **{name: ctypes.CFUNCTYPE(integer, *types)(_coded(call)) for name, (call, types) in functions.items()}
        )


def _coded(call: Callable[..., Any]) -> Callable[..., int]:
    def function(*arguments: Any) -> int:
        try:
            return call(*arguments) or SUCCESS
        except CudaError as error:
            return error.code

    return function


def _part(memory: dict[int, np.ndarray], address: int, size: int) -> np.ndarray:
    for start, held in list(memory.items()):  # another thread may allocate meanwhile
        if start <= address and address + size <= start + len(held):
            return held[address - start : address - start + size]
    raise CudaError("a copy or a kernel", ILLEGAL_ADDRESS)
