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
_MAJOR = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_MINOR = 76
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_*: other threads may allocate memory meanwhile, with any library

_int = ctypes.c_int
_pointer = ctypes.c_void_p
_text = ctypes.c_char_p
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
"""Function → types of its arguments; all return a CUresult."""


class CudaError(RuntimeError):
    """An error of the CUDA driver, in the driver's words."""


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
        """Return the name that an engine's spec records."""
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
        raise BackendUnavailable(f"the current CUDA context is unusable ({_words(driver, error)}); restart the program")
    name = ctypes.create_string_buffer(256)
    major = _int()
    minor = _int()
    version = _int()
    for error in (
        driver.cuDeviceGetName(name, len(name), number),
        driver.cuDeviceGetAttribute(major, _MAJOR, number),
        driver.cuDeviceGetAttribute(minor, _MINOR, number),
        driver.cuDriverGetVersion(version),
    ):
        if error:
            raise BackendUnavailable(f"the GPU cannot be identified ({_words(driver, error)}); does nvidia-smi see it?")
    return Gpu(
        name=name.value.decode(errors="replace"),
        compute_capability=f"{major.value}.{minor.value}",
        driver=f"{version.value // 1000}.{version.value % 1000 // 10}",
        index=number.value,
    )


class Graph:
    """Work that was captured from a stream and can be launched by one call. The stream's context must be current.

    Args:
        stream: handle of a stream that is not the default one.
        work: enqueues work on the stream; it must not wait or allocate memory.

    Raises:
        CudaError: the work cannot be captured.
    """

    def __init__(self, stream: int, work: Callable[[], None]) -> None:
        self._driver = _driver()
        self._stream = stream
        self._check("the capture cannot begin", self._driver.cuStreamBeginCapture_v2(stream, _THREAD_LOCAL))
        captured = _pointer()
        launchable = _pointer()
        try:
            try:
                work()
            finally:
                error = self._driver.cuStreamEndCapture(stream, captured)
            self._check("the work cannot be captured", error)
            error = self._driver.cuGraphInstantiateWithFlags(launchable, captured, 0)
            self._check("the captured work cannot be launched", error)
        finally:
            if captured:
                self._driver.cuGraphDestroy(captured)
        self._launchable: ctypes.c_void_p | None = launchable

    def launch(self) -> None:
        """Enqueue the work on the stream, and return before it is done.

        Raises:
            CudaError: the work cannot be launched, or earlier work failed.
        """
        self._check("the work cannot be launched", self._driver.cuGraphLaunch(self._launchable, self._stream))

    def close(self) -> None:
        """Free the graph; a second call does nothing. No launch may be in progress."""
        launchable = self._launchable
        self._launchable = None
        if launchable is not None:
            self._check("the graph cannot be freed", self._driver.cuGraphExecDestroy(launchable))

    def _check(self, failure: str, error: int) -> None:
        if error:
            raise CudaError(f"CUDA graph: {failure} ({_words(self._driver, error)})")


@cache
def _driver() -> Any:
    """Load and initialise the driver's library. After a failure, the next call tries again."""
    try:
        driver = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise BackendUnavailable(
            f"there is no NVIDIA driver ({error}); on a Jetson, JetPack installs it; in a container, use"
            " `docker run --gpus all` (Jetson: --runtime nvidia)"
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
    name = _text()
    text = _text()
    driver.cuGetErrorName(error, name)
    driver.cuGetErrorString(error, text)
    words = [buffer.value.decode(errors="replace") for buffer in (name, text) if buffer.value]
    return ": ".join(words) or f"CUDA error {error}"
