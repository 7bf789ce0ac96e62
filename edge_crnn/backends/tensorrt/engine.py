"""TensorRT: `.engine` on an NVIDIA GPU, through pycuda.

All memory is allocated once, for the largest batch: pinned on the host, so copies are direct, and on the device. The
first batch of a size runs call by call, because TensorRT initialises itself during it. Then its copies and kernels are
captured as a CUDA graph, and every later batch of that size is one launch. A capture is tied to an execution context
and its shapes, so every size has its own context. The contexts share the memory for activations, because one batch runs
at a time. Opening runs the largest batch and captures the smallest, which shows whether both are possible.

Sources: TensorRT Developer Guide, "CUDA Graphs" and "Dynamic Shapes"; NVIDIA/TensorRT, python/src/infer at the tags
v8.6.1 to v11.1 for the names in each version; pycuda's documentation, "Device Interface".
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ArtifactError, BackendError, BackendUnavailable
from ...model.artifact import Artifact
from ..base import BackendFacts, Probabilities, check_batch
from . import cuda
from .build import import_tensorrt, version
from .log import Log, make_logger

GRAPHS = 16
"""Default number of batch sizes that get a CUDA graph."""

_TYPES = {"float32": "FLOAT", "float16": "HALF", "uint8": "UINT8"}
_DTYPES = {kind: dtype for dtype, kind in _TYPES.items()}
_NON_BLOCKING = 1  # CU_STREAM_*: otherwise work on the default stream would wait for ours and break a capture


class TrtBackend:
    """An engine on a GPU. Threads that share it take turns.

    It works in the GPU's primary context, which PyTorch and the CUDA runtime also use. The context is current in the
    calling thread only during a call. It belongs to the process: close() does not destroy it.

    Args:
        artifact: NAME.engine with its spec.
        threads: has no effect, because the GPU runs one batch at a time.
        context: a pycuda context to work in instead; it must outlive this object.
        graphs: largest number of CUDA graphs, which need memory; the first batch sizes get one. Further sizes run
            without a graph, because a capture takes as long as many batches.
        also: further outputs of the engine, for `values`.

    Raises:
        BackendUnavailable: a GPU, its driver, TensorRT or pycuda is missing.
        BackendError: the engine was built by another TensorRT or for another GPU, TensorRT rejects it, or there is too
            little memory.
        ArtifactError: the tensors or batch sizes differ from those in the spec.
    """

    def __init__(
        self,
        artifact: Artifact,
        threads: int = 1,
        *,
        context: Any = None,
        graphs: int = GRAPHS,
        also: Sequence[str] = (),
    ) -> None:
        del threads
        spec = artifact.spec
        self._name = artifact.path.name
        assert spec.artifact is not None  # `artifact.load` and `save` see to it
        gpu = cuda.gpu()
        self._trt = import_tensorrt()
        self._driver = import_pycuda()
        self._log = Log()
        self._lock = threading.Lock()
        self._context = _primary_context(self._driver, gpu.index) if context is None else context
        with self._working("cannot open it", "build the engine again on this machine"):
            gpu = cuda.gpu()  # the GPU of that context
            self._refuse_foreign(spec.artifact.tools, gpu)
            self._engine: _Engine | None = _Engine(artifact, self._trt, self._driver, self._log, graphs, also)
        self.facts = BackendFacts(
            name="tensorrt",
            version=version(self._trt),
            precision=spec.artifact.recipe,
            input_shape=spec.input.shape,
            input_dtype=spec.input.dtype,
            max_batch=spec.artifact.batch,
            device="gpu",
            notes=(f"on {gpu}", self._engine.note),
        )

    def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
        """Return probabilities (N, T, C) float32; see `Backend.infer`."""
        return next(iter(self.values(batch).values()))

    def values(self, batch: npt.NDArray[np.generic]) -> dict[str, npt.NDArray[Any]]:
        """Run a batch; return all outputs (N, …) by name, in the engine's types, the probabilities first."""
        check_batch(batch, self.facts)
        with self._lock:
            engine = self._engine
            if engine is None:
                raise BackendError(f"{self._name}: used after close(); open the model again")
            values = {
                output.name: np.empty((len(batch), *output.host.shape[1:]), output.host.dtype)
                for output in engine.outputs
            }
            with self._working("fails", "if this happens again, restart the program"):
                for start in range(0, len(batch), engine.most):
                    part = batch[start : start + engine.most]
                    engine.run(part)
                    for output in engine.outputs:
                        values[output.name][start : start + len(part)] = output.host[: len(part)]
        return values

    def close(self) -> None:
        """Free the engine and all its memory, on the host and on the GPU."""
        with self._lock:
            engine = self._engine
            self._engine = None
            if engine is not None:
                with self._working("cannot free it", "the rest is freed when the program ends"):
                    engine.close()

    @contextmanager
    def _working(self, failure: str, advice: str) -> Iterator[None]:
        """Make the CUDA context current, and turn errors of CUDA or TensorRT into one BackendError."""
        self._log.forget()
        try:
            self._context.push()
            try:
                yield
            finally:
                self._context.pop()
        except BackendError:
            raise
        except (self._driver.Error, RuntimeError) as error:
            if isinstance(error, MemoryError):
                failure = "has too little GPU memory"
                advice = "free some, or build the engine for smaller batches"
            reason = _reason(error, self._log)
            raise BackendError(f"{self._name}: {version(self._trt)} {failure} ({reason}); {advice}") from error

    def _refuse_foreign(self, tools: Mapping[str, str], gpu: cuda.Gpu) -> None:
        for word, built, here in (("by", "engine", version(self._trt)), ("for", "gpu", str(gpu))):
            if tools.get(built, here) != here:
                raise BackendError(
                    f"{self._name}: built {word} {tools[built]}, but this machine has {here}, and an engine runs only"
                    f" where it was built; build it here: edge-crnn build-engine NAME.onnx -o {self._name}"
                )


class _RefusalError(RuntimeError):
    """TensorRT failed and wrote the reason to its log."""


@dataclass(frozen=True)
class _Buffer:
    """The memory of a tensor for the largest batch: pinned on the host, and on the device."""

    name: str
    host: npt.NDArray[Any]
    device: Any


@dataclass(frozen=True)
class _Captured:
    """The captured work for batches of one size."""

    graph: cuda.Graph
    context: Any
    """The execution context that the graph was captured from and depends on."""


class _Engine:
    """A deserialized engine with its memory. The CUDA context must be current; only one call may run at a time.

    Raises:
        ArtifactError: the spec describes another engine.
        _RefusalError, and pycuda's errors: TensorRT or CUDA fails.
    """

    def __init__(self, artifact: Artifact, trt: Any, driver: Any, log: Log, graphs: int, also: Sequence[str]) -> None:
        spec = artifact.spec
        self.outputs: list[_Buffer] = []
        """The outputs, the probabilities first; `run` overwrites them."""
        self._trt = trt
        self._driver = driver
        self._graphs = graphs
        self._captured: dict[int, _Captured] = {}
        self._logger = make_logger(trt, log)
        try:
            self._runtime = trt.Runtime(self._logger)
        except TypeError as error:  # the factory returned no object
            raise _RefusalError("TensorRT does not start") from error
        self._engine = self._runtime.deserialize_cuda_engine(artifact.payload)
        _require(self._engine is not None, "it cannot be deserialized")
        image, outputs = self._check_tensors(artifact, also)
        self._fewest, self.most = self._check_profile(artifact, image)
        try:
            with ExitStack() as opened:
                self._stream = driver.Stream(_NON_BLOCKING)
                self._image = self._buffer(opened, image, spec.input.shape, spec.input.dtype)
                self._memory_size = _memory_size(self._engine)
                self._memory = driver.mem_alloc(self._memory_size)
                opened.callback(self._memory.free)
                self._any_size = self._context(self.most)
                self._check_steps(artifact, next(iter(outputs)))
                for name, dtype in outputs.items():
                    self.outputs.append(self._buffer(opened, name, self._shape(name)[1:], dtype))
                self._give_memory(self._any_size)
                self._enqueue(self._any_size, self.most)
                self._stream.synchronize()
                self.note = self._try_a_graph(log)
                self._opened = opened.pop_all()
        except BaseException:
            self._let_go()  # at once, because the error keeps this object alive
            raise

    def run(self, images: npt.NDArray[np.generic]) -> None:
        """Compute the outputs of up to `most` images."""
        size = max(len(images), self._fewest)  # the rest is left over from earlier batches and ignored
        self._image.host[: len(images)] = images
        if size in self._captured:
            self._captured[size].graph.launch()
        elif len(self._captured) < self._graphs:
            self._run_and_capture(size)
        else:
            self._set_size(self._any_size, size)
            self._enqueue(self._any_size, size)
        self._stream.synchronize()

    def close(self) -> None:
        """Free everything; TensorRT and the stream are freed when nothing refers to them any more."""
        for captured in self._captured.values():
            captured.graph.close()
        self._captured.clear()
        self._opened.close()
        self._let_go()

    def _let_go(self) -> None:
        self._any_size = self._stream = self._engine = self._runtime = None

    def _try_a_graph(self, log: Log) -> str:
        """Try to capture the smallest batch, and describe the use of graphs; without them inference is only slower."""
        if not self._graphs:
            return "no CUDA graphs"
        try:
            self._run_and_capture(self._fewest)
        except (_RefusalError, cuda.CudaError) as error:
            self._graphs = 0
            return f"no CUDA graphs, so slower than it could be ({_reason(error, log)})"
        return f"CUDA graph per batch size, for the first {self._graphs}"

    def _run_and_capture(self, size: int) -> None:
        context = self._context(size)
        self._enqueue(context, size)
        self._stream.synchronize()
        graph = cuda.Graph(self._stream.handle, lambda: self._enqueue(context, size))
        self._captured[size] = _Captured(graph, context)

    def _enqueue(self, context: Any, size: int) -> None:
        """Enqueue the copies and kernels of a batch on the stream."""
        self._driver.memcpy_htod_async(self._image.device, self._image.host[:size], self._stream)
        _require(context.execute_async_v3(self._stream.handle), f"a batch of {size} images does not run")
        for output in self.outputs:
            self._driver.memcpy_dtoh_async(output.host[:size], output.device, self._stream)

    def _context(self, size: int) -> Any:
        """Create an execution context for batches of that size; all contexts share their memory."""
        if hasattr(self._trt, "ExecutionContextAllocationStrategy"):
            strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
            context = self._engine.create_execution_context(strategy)
        else:
            context = self._engine.create_execution_context_without_device_memory()
        _require(context is not None, "it creates no execution context")
        if hasattr(context, "set_device_memory"):
            context.set_device_memory(int(self._memory), self._memory_size)
        else:
            context.device_memory = int(self._memory)
        if context.active_optimization_profile != 0:  # before TensorRT 10, only the first context has one
            shared = context.set_optimization_profile_async(0, self._stream.handle)
            _require(shared, "its contexts cannot share a profile; build the engine again")
            self._stream.synchronize()
        self._give_memory(context)
        self._set_size(context, size)
        return context

    def _give_memory(self, context: Any) -> None:
        for buffer in (self._image, *self.outputs):
            _require(
                context.set_tensor_address(buffer.name, int(buffer.device)),
                f"{buffer.name} rejects its address",
            )

    def _set_size(self, context: Any, size: int) -> None:
        shape = (size, *self._image.host.shape[1:])
        _require(context.set_input_shape(self._image.name, shape), f"a batch of {size} images is rejected")

    def _buffer(self, opened: ExitStack, name: str, shape: tuple[int, ...], dtype: str) -> _Buffer:
        host = self._driver.pagelocked_empty((self.most, *shape), dtype)
        opened.callback(host.base.free)
        host[:] = 0  # fills up batches below the smallest size of the profile
        device = self._driver.mem_alloc(host.nbytes)
        opened.callback(device.free)
        return _Buffer(name, host, device)

    def _check_tensors(self, artifact: Artifact, also: Sequence[str]) -> tuple[str, dict[str, str]]:
        """Check the tensors; return the input's name, and name → dtype of the probabilities and further outputs."""
        engine = self._engine
        modes = self._trt.TensorIOMode
        spec = artifact.spec
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs, outputs = (
            {name: engine.get_tensor_dtype(name).name for name in names if engine.get_tensor_mode(name) == mode}
            for mode in (modes.INPUT, modes.OUTPUT)
        )
        probabilities = [name for name in outputs if name not in also]
        actual = (
            [(*tuple(engine.get_tensor_shape(name))[1:], kind) for name, kind in inputs.items()],
            [outputs[name] for name in probabilities],
        )
        expected = [(*spec.input.shape, _TYPES[spec.input.dtype])], [_TYPES["float32"]]
        if actual != expected or spec.output.quantisation is not None:
            raise ArtifactError(
                f"{artifact.path.name}: takes {actual[0]} and gives {actual[1]} per image, but its spec says"
                f" {expected[0]} and {expected[1]}; build it again"
            )
        if absent := [name for name in also if outputs.get(name) not in _DTYPES]:
            raise ArtifactError(f"{artifact.path.name}: has no output {', '.join(absent)}; build it again")
        return next(iter(inputs)), {name: _DTYPES[outputs[name]] for name in (*probabilities, *also)}

    def _check_profile(self, artifact: Artifact, image: str) -> tuple[int, int]:
        """Check the batch sizes; return the smallest and the largest."""
        least, _, most = (shape[0] for shape in self._engine.get_tensor_profile_shape(image, 0))
        assert artifact.spec.artifact is not None
        if most != artifact.spec.artifact.batch:
            raise ArtifactError(
                f"{artifact.path.name}: takes {least} to {most} images per batch, but its spec says up to"
                f" {artifact.spec.artifact.batch}; build it again"
            )
        return least, most

    def _check_steps(self, artifact: Artifact, probabilities: str) -> None:
        output = artifact.spec.output
        actual = self._shape(probabilities)
        expected = (output.steps, output.classes)
        if actual != (self.most, *expected):
            raise ArtifactError(
                f"{artifact.path.name}: gives {actual[1:]} for an image, but its spec says {expected}; build it again"
            )

    def _shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor for the largest batch, which the engine itself may not know."""
        return tuple(self._any_size.get_tensor_shape(name))


def _require(done: bool, failure: str) -> None:
    if not done:
        raise _RefusalError(failure)


def _reason(error: Exception, log: Log) -> str:
    return ": ".join(filter(None, (str(error), log.first)))


def _memory_size(engine: Any) -> int:
    """Return the bytes that an execution context needs for activations, at least 1: CUDA cannot allocate 0 bytes."""
    name = "device_memory_size_v2" if hasattr(engine, "device_memory_size_v2") else "device_memory_size"
    return max(1, int(getattr(engine, name)))


def import_pycuda() -> Any:
    """Import the driver module of pycuda.

    Raises:
        BackendUnavailable: pycuda is not installed, or does not start.
    """
    try:
        return import_module("pycuda.driver")
    except ImportError as error:
        raise BackendUnavailable(
            f"pycuda is not installed, or does not start ({error}); compile it on the device: PATH=/usr/local/cuda/bin:"
            "$PATH pip install 'edge-crnn[tensorrt]'"
        ) from error


@cache
def _primary_context(driver: Any, index: int) -> Any:
    """Return the primary context, which is never released: pycuda can do so only in one thread, and incompletely."""
    driver.init()
    return driver.Device(index).retain_primary_context()
