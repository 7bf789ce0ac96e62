"""Calls the CUDA driver through ctypes: identifies the GPU and runs CUDA graphs, which pycuda lacks.

Source of the calls: CUDA Driver API, "Initialization", "Device Management", "Graph Management", "Stream Management".
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...errors import BackendUnavailable

_LIBRARY = "libcuda.so.1"
_NO_DEVICE = 100
_INVALID_CONTEXT = 201
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_*: other threads may allocate meanwhile, whatever library they use

_int, _pointer, _text = ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (ctypes.c_uint,),
    "cuGetErrorName": (_int, ctypes.POINTER(_text)),
    "cuGetErrorString": (_int, ctypes.POINTER(_text)),
    "cuDriverGetVersion": (ctypes.POINTER(_int),),
    "cuDeviceGetCount": (ctypes.POINTER(_int),),
    "cuDeviceGetName": (_text, _int, _int),
    "cuDeviceGetAttribute": (ctypes.POINTER(_int), _int, _int),
    "cuCtxGetDevice": (ctypes.POINTER(_int),),
    "cuStreamBeginCapture_v2": (_pointer, _int),
    "cuStreamEndCapture": (_pointer, ctypes.POINTER(_pointer)),
    "cuGraphInstantiateWithFlags": (ctypes.POINTER(_pointer), _pointer, ctypes.c_ulonglong),
    "cuGraphLaunch": (_pointer, _pointer),
    "cuGraphExecDestroy": (_pointer,),
    "cuGraphDestroy": (_pointer,),
}
"""Function → types of its arguments; each returns a CUresult."""


class CudaError(RuntimeError):
    """An error of the CUDA driver, in its own words."""


@dataclass(frozen=True)
class Gpu:
    """The properties of a GPU that an engine depends on."""

    name: str
    compute_capability: str
    """Compute capability, such as 8.7."""
    driver: str
    """The newest CUDA that the driver knows, such as 12.6."""
    index: int = 0
    """Number of the GPU among those of this process."""

    def __str__(self) -> str:
        """The name that an engine's spec records."""
        return f"{self.name}, {self.compute_capability}"


def gpu() -> Gpu:
    """Return the GPU that this thread uses: that of its current context, or else the first one.

    Raises:
        BackendUnavailable: there is no driver, or no GPU.
    """
    driver = _driver()
    number = _int()
    error = driver.cuCtxGetDevice(number)
    if error not in (0, _INVALID_CONTEXT):
        raise BackendUnavailable(f"the current CUDA context is of no use ({_words(driver, error)}); start anew")
    name = ctypes.create_string_buffer(256)
    major, minor, version = _int(), _int(), _int()
    for error in (
        driver.cuDeviceGetName(name, len(name), number),
        driver.cuDeviceGetAttribute(major, _MAJOR, number),
        driver.cuDeviceGetAttribute(minor, _MINOR, number),
        driver.cuDriverGetVersion(version),
    ):
        if error:
            raise BackendUnavailable(f"the GPU says nothing of itself ({_words(driver, error)}); does nvidia-smi?")
    return Gpu(
        name=name.value.decode(errors="replace"),
        compute_capability=f"{major.value}.{minor.value}",
        driver=f"{version.value // 1000}.{version.value % 1000 // 10}",
        index=number.value,
    )


class Graph:
    """Work captured from a stream, to be launched again by one call. All calls need the stream's context to be current.

    Args:
        stream: handle of a stream that is not the default one.
        work: puts its work on the stream and nothing else: no waiting, no allocating.

    Raises:
        CudaError: the work cannot be captured.
    """

    def __init__(self, stream: int, work: Callable[[], None]) -> None:
        self._driver = _driver()
        self._stream = stream
        self._check("no capture begins", self._driver.cuStreamBeginCapture_v2(stream, _THREAD_LOCAL))
        captured = _pointer()
        launchable = _pointer()
        try:
            try:
                work()
            finally:
                error = self._driver.cuStreamEndCapture(stream, captured)
            self._check("the work cannot be captured", error)
            error = self._driver.cuGraphInstantiateWithFlags(launchable, captured, 0)
            self._check("what was captured cannot be launched", error)
        finally:
            if captured:
                self._driver.cuGraphDestroy(captured)
        self._launchable: ctypes.c_void_p | None = launchable

    def launch(self) -> None:
        """Put the work on the stream; returns before it is done.

        Raises:
            CudaError: it cannot be launched, or work from before failed.
        """
        self._check("no launch", self._driver.cuGraphLaunch(self._launchable, self._stream))

    def close(self) -> None:
        """Free the graph; a second call does nothing. No launch may be in progress."""
        launchable, self._launchable = self._launchable, None
        if launchable is not None:
            self._check("not freed", self._driver.cuGraphExecDestroy(launchable))

    def _check(self, what: str, error: int) -> None:
        if error:
            raise CudaError(f"CUDA graph: {what} ({_words(self._driver, error)})")


@cache
def _driver() -> Any:
    """Load and initialise the driver's library. A failure is not remembered: the next call tries again."""
    try:
        driver = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise BackendUnavailable(
            f"there is no NVIDIA driver ({error}); JetPack brings it on a Jetson, `docker run --gpus all` (Jetson:"
            " --runtime nvidia) into a container"
        ) from error
    for name, arguments in _SIGNATURES.items():
        try:
            function = getattr(driver, name)
        except AttributeError as error:
            raise BackendUnavailable(f"the NVIDIA driver is too old ({error}); CUDA 11.4 or newer is needed") from error
        function.argtypes = arguments
        function.restype = _int
    count = _int()
    error_code = driver.cuInit(0) or driver.cuDeviceGetCount(count) or (0 if count.value else _NO_DEVICE)
    if error_code:
        raise BackendUnavailable(
            f"no GPU can be used ({_words(driver, error_code)}); does nvidia-smi (Jetson: tegrastats) see one, and is"
            " CUDA_VISIBLE_DEVICES unset?"
        )
    return driver


def _words(driver: Any, error: int) -> str:
    """Return the driver's own words for an error."""
    name, text = _text(), _text()
    driver.cuGetErrorName(error, name)
    driver.cuGetErrorString(error, text)
    words = [buffer.value.decode(errors="replace") for buffer in (name, text) if buffer.value]
    return ": ".join(words) or f"CUDA error {error}"
