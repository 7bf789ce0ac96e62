"""pycuda.driver on a `FakeGpu`, as far as an engine needs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from tests.fake_cuda import OUT_OF_MEMORY, CudaError, FakeGpu

_PRIMARY = 0x100


def pycuda_driver(gpu: FakeGpu) -> Any:
    """Return a module with its own context stack beside the driver's, like pycuda."""
    driver: Any = ModuleType("pycuda.driver")
    thread = threading.local()
    state = {"initialised": False}

    class Error(Exception):
        pass

    class OutOfMemoryError(Error, MemoryError):
        pass

    class LogicError(Error):
        pass

    @contextmanager
    def translated() -> Iterator[None]:
        try:
            yield
        except CudaError as error:
            raise (OutOfMemoryError if error.code == OUT_OF_MEMORY else LogicError)(str(error)) from error

    def stack() -> list[Context]:
        if not hasattr(thread, "stack"):
            thread.stack = []
        return thread.stack  # type: ignore[no-any-return]

    class Context:
        def __init__(self, handle: int) -> None:
            self.handle = handle
            self.thread = threading.get_ident()

        def push(self) -> None:
            if stack():
                gpu.stack.pop()
            gpu.stack.append(self.handle)
            stack().append(self)

        @staticmethod
        def pop() -> None:
            if not stack():
                raise LogicError("context::pop failed: invalid device context - cannot pop non-current context")
            gpu.stack.pop()
            stack().pop()
            if stack():
                gpu.stack.append(stack()[-1].handle)

    class Device:
        def __init__(self, number: int) -> None:
            if not state["initialised"]:
                raise LogicError("cuDeviceGet failed: initialization error")
            self.number = number

        def retain_primary_context(self) -> Context:
            return Context(_PRIMARY + self.number)

        def make_context(self) -> Context:
            context = Context(gpu.new_handle() + self.number)
            context.push()
            return context

    class Dependent:
        """An object of the context that was current at its creation; it can be freed only in that context."""

        def __init__(self) -> None:
            if not stack():
                raise LogicError("explicit_context_dependent failed: invalid device context")
            self.context: Context | None = stack()[-1]

        def free(self) -> None:
            if self.context is None:
                raise LogicError("free failed: invalid resource handle")
            here = stack()[-1] is self.context if stack() else False
            if not here and self.context.thread != threading.get_ident():
                self.context = None
                return
            with translated():
                if not here:
                    self.context.push()
                self.drop()
                if not here:
                    self.context.pop()
            self.context = None

        def drop(self) -> None:
            raise NotImplementedError

        def __del__(self) -> None:
            if getattr(self, "context", None) is not None:
                self.free()

    class Stream(Dependent):
        def __init__(self, flags: int = 0) -> None:
            super().__init__()
            with translated():
                self.handle = gpu.make_stream(flags)

        def synchronize(self) -> None:
            with translated():
                gpu.wait(self.handle)

        def drop(self) -> None:
            gpu.drop_stream(self.handle)

    class DeviceAllocation(Dependent):
        def __init__(self, size: int) -> None:
            self.context = None
            with translated():
                self.address = gpu.allocate(size)
            super().__init__()

        def __int__(self) -> int:
            return self.address

        def drop(self) -> None:
            gpu.release(self.address)

    class PagelockedHostAllocation(Dependent):
        def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
            super().__init__()
            kind = np.dtype(dtype)
            with translated():
                self.memory = gpu.allocate_pinned(int(np.prod(shape)) * kind.itemsize)
            place = (self.memory.ctypes.data, False)
            self.__array_interface__ = {"shape": shape, "typestr": kind.str, "data": place, "version": 3}

        def drop(self) -> None:
            gpu.release_pinned(self.memory)

    def init() -> None:
        state["initialised"] = True

    def pagelocked_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.asarray(PagelockedHostAllocation(shape, dtype))

    def place(array: np.ndarray) -> tuple[int, int]:
        assert array.flags.c_contiguous
        gpu.pinned_at(array.ctypes.data, array.nbytes)
        return array.ctypes.data, array.nbytes

    def memcpy_htod_async(dest: Any, src: np.ndarray, stream: Stream) -> None:
        with translated():
            (address, size), target = place(src), int(dest)

            def copy() -> None:
                gpu.at(target, size)[:] = gpu.pinned_at(address, size)

            gpu.enqueue("cuMemcpyHtoDAsync", stream.handle, copy)

    def memcpy_dtoh_async(dest: np.ndarray, src: Any, stream: Stream) -> None:
        with translated():
            (address, size), source = place(dest), int(src)

            def copy() -> None:
                gpu.pinned_at(address, size)[:] = gpu.at(source, size)

            gpu.enqueue("cuMemcpyDtoHAsync", stream.handle, copy)

    driver.Error, driver.MemoryError, driver.LogicError = Error, OutOfMemoryError, LogicError
    driver.Context, driver.Device, driver.Stream = Context, Device, Stream
    driver.init, driver.mem_alloc, driver.pagelocked_empty = init, DeviceAllocation, pagelocked_empty
    driver.memcpy_htod_async, driver.memcpy_dtoh_async = memcpy_htod_async, memcpy_dtoh_async
    return driver
