"""TensorRT's side of running an engine, on a `FakeGpu`: each version has what it has, and its traps.

The engine computes something of every image by itself, so that a mix-up of images, or of calls, shows; or what an ONNX
file says, all its outputs, by ONNX Runtime.
Source: NVIDIA/TensorRT, python/src/infer/pyCore.cpp at the tags v8.6.1, v10.3.0, v10.13.3 and v11.1.
"""

from __future__ import annotations

import base64
import enum
import json
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.fake_cuda import CudaError, FakeGpu


class Dtype(enum.Enum):
    FLOAT = 0
    HALF = 1
    UINT8 = 5


_NUMPY = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8"}


@dataclass(frozen=True)
class Plan:
    """The description of a fake engine; its JSON is the engine's file."""

    image: tuple[int, ...] = (16, 32, 1)
    kind: str = "UINT8"
    steps: int = 16
    classes: int = 11
    dtype: str = "FLOAT"
    batches: tuple[int, int, int] = (1, 2, 4)
    workspace: int = 4096
    shares_profile: bool = True
    """Whether it was built with PROFILE_SHARING_0806, before TensorRT 10."""
    inputs: int = 1
    onnx: str = ""
    """ONNX file in base64 that the engine computes; steps, classes and dtype have no effect then."""

    @property
    def outputs(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name → type, and shape of an image's."""
        if not self.onnx:
            return {"probabilities": (self.dtype, (self.steps, self.classes))}
        kinds = {"tensor(float)": "FLOAT", "tensor(float16)": "HALF"}
        return {
            output.name: (kinds[output.type], tuple(output.shape[1:])) for output in _session(self.onnx).get_outputs()
        }

    def payload(self) -> bytes:
        return json.dumps(asdict(self)).encode()


@lru_cache(maxsize=4)
def _weights(pixels: int, scores: int) -> np.ndarray:
    return np.random.default_rng(7).normal(0, 2 / np.sqrt(pixels), (pixels, scores))


def answers(images: np.ndarray, plan: Plan) -> np.ndarray:
    """Return the output of the fake engine, (N, steps, classes) float32, computed for each image alone."""
    probabilities = np.empty((len(images), plan.steps, plan.classes), np.float32)
    for image, row in zip(images, probabilities, strict=True):
        values = image.ravel().astype(np.float64) / (127.5 if plan.kind == "UINT8" else 1)
        scores = np.exp((values @ _weights(values.size, row.size)).reshape(row.shape))
        row[:] = scores / scores.sum(axis=-1, keepdims=True)
    return probabilities


@lru_cache(maxsize=4)
def _session(onnx: str) -> Any:
    from onnxruntime import InferenceSession

    return InferenceSession(base64.b64decode(onnx), providers=["CPUExecutionProvider"])


def computed(images: np.ndarray, plan: Plan) -> dict[str, np.ndarray]:
    """Return the outputs of a fake engine, by name."""
    if not plan.onnx:
        return {"probabilities": answers(images, plan)}
    return dict(zip(plan.outputs, _session(plan.onnx).run([*plan.outputs], {"image": images}), strict=True))


class Dims:
    """The dimensions of a tensor, which are not a tuple, as in TensorRT."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> int:
        return self._sizes[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self._sizes)


def runtime(trt: Any, gpu: FakeGpu) -> type:
    """Return the `Runtime` of a module, whose engines run on that GPU; add its enumerations to `trt`."""
    knobs = gpu.knobs
    major = int(trt.__version__.partition(".")[0])
    trt.TensorIOMode = SimpleNamespace(INPUT="INPUT", OUTPUT="OUTPUT")
    if major >= 10:
        trt.ExecutionContextAllocationStrategy = SimpleNamespace(STATIC="STATIC", USER_MANAGED="USER_MANAGED")

    class ExecutionContext:
        def __init__(self, engine: Any, own_memory: bool) -> None:
            self._engine, self._own_memory = engine, own_memory
            self._memory: tuple[int, int] | None = None
            self._addresses: dict[str, int] = {}
            self._images: int | None = None
            self._ready_for: int | None = None
            self.active_optimization_profile = 0 if major >= 10 or not engine._contexts else -1
            engine._contexts += 1

        def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
            if not self._engine._plan.shares_profile:
                return self._error("Error Code 3: Internal Error (Profile 0 has been chosen for another context)")
            self.active_optimization_profile = profile
            gpu.enqueue("cudaMemcpyAsync", stream, lambda: None)
            return True

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            plan = self._engine._plan
            assert name == "image"
            assert isinstance(shape, tuple)
            if self.active_optimization_profile != 0:
                return self._error("No optimization profile has been chosen yet")
            if shape[1:] != tuple(plan.image) or not plan.batches[0] <= shape[0] <= plan.batches[2]:
                return self._error(f"Static dimension or profile mismatch for {shape}")
            self._images = shape[0]
            return True

        def get_tensor_shape(self, name: str) -> Dims:
            return Dims(-1 if self._images is None else self._images, *self._engine._plan.outputs[name][1])

        def set_tensor_address(self, name: str, memory: int) -> bool:
            assert type(memory) is int
            self._addresses[name] = memory
            return True

        def execute_async_v3(self, stream: int) -> bool:
            plan, images = self._engine._plan, self._images
            if "execute_fails" in knobs:
                return self._error("Error Code 1: Cask (Cask convolution execution)")
            if images is None or self.active_optimization_profile != 0:
                return self._error("Error Code 3: API Usage Error (input shapes are not specified)")
            if self._addresses.keys() != {"image", *plan.outputs}:
                return self._error("Error Code 3: API Usage Error (a tensor has no address)")
            if not self._own_memory and (self._memory is None or self._memory[1] < plan.workspace):
                return self._error("Error Code 3: API Usage Error (no device memory, or too little)")
            try:
                if self._ready_for != images or "always_allocates" in knobs:
                    gpu.release(gpu.allocate(64))  # what it keeps of a shape
                    self._ready_for = images
                gpu.enqueue("cuLaunchKernel", stream, self._kernels(images, dict(self._addresses), self._memory))
            except CudaError as error:
                return self._error(str(error))
            return True

        def _kernels(self, images: int, addresses: dict[str, int], memory: tuple[int, int] | None) -> Any:
            plan, alive = self._engine._plan, weakref.ref(self)

            def run() -> None:
                context = alive()
                assert context is not None, "the execution context of a graph is gone"
                assert context._images == images, "the shapes of a graph's execution context have changed"
                if memory is not None:
                    gpu.at(memory[0], plan.workspace)[:] = 0x5A
                shape, kind = (images, *plan.image), np.dtype(_NUMPY[plan.kind])
                taken = gpu.at(addresses["image"], int(np.prod(shape)) * kind.itemsize).view(kind).reshape(shape)
                gpu.ran.append(images)
                for name, values in computed(taken, plan).items():
                    gpu.at(addresses[name], values.nbytes)[:] = values.reshape(-1).view(np.uint8)

            return run

        def _error(self, message: str) -> bool:
            self._engine._logger.log(trt.ILogger.ERROR, f"IExecutionContext: {message}")
            return False

        def _take(self, memory: int, size: int) -> None:
            assert type(memory) is int
            self._memory = (memory, size)

        device_memory = property(None, lambda self, memory: self._take(memory, 1 << 62))

    if major >= 10:
        ExecutionContext.set_device_memory = lambda self, memory, size: self._take(memory, size)  # type: ignore[attr-defined]

    class Engine:
        num_optimization_profiles = 1

        def __init__(self, plan: Plan, logger: Any) -> None:
            self._plan, self._logger, self._contexts = plan, logger, 0
            self._names = ["image", *(f"image{index}" for index in range(1, plan.inputs)), *plan.outputs]
            self.num_io_tensors = len(self._names)

        def get_tensor_name(self, index: int) -> str:
            return self._names[index]

        def get_tensor_mode(self, name: str) -> str:
            return "OUTPUT" if name in self._plan.outputs else "INPUT"

        def get_tensor_dtype(self, name: str) -> Dtype:
            return Dtype[self._plan.outputs[name][0] if name in self._plan.outputs else self._plan.kind]

        def get_tensor_shape(self, name: str) -> Dims:
            return Dims(-1, -1, -1) if name in self._plan.outputs else Dims(-1, *self._plan.image)

        def get_tensor_profile_shape(self, name: str, index: int) -> list[Dims]:
            assert (name, index) == ("image", 0)
            return [Dims(count, *self._plan.image) for count in self._plan.batches]

    def deprecated(name: str) -> None:
        if major >= 10:
            warnings.warn(f"{name} is deprecated", DeprecationWarning, stacklevel=3)

    def make(engine: Any, own_memory: bool) -> ExecutionContext | None:
        gpu.release(gpu.allocate(64))
        if own_memory:
            gpu.allocate(engine._plan.workspace)
        return None if "no_context" in knobs else ExecutionContext(engine, own_memory)

    if major < 10:
        Engine.create_execution_context = lambda self: make(self, True)  # type: ignore[attr-defined]
    else:
        Engine.create_execution_context = lambda self, strategy="STATIC": make(self, strategy == "STATIC")  # type: ignore[attr-defined]
        Engine.device_memory_size_v2 = property(lambda self: self._plan.workspace)  # type: ignore[attr-defined]
    if major < 11:

        def without_memory(self: Any) -> ExecutionContext | None:
            deprecated("create_execution_context_without_device_memory")
            return make(self, False)

        def memory_size(self: Any) -> int:
            deprecated("device_memory_size")
            return self._plan.workspace  # type: ignore[no-any-return]

        Engine.create_execution_context_without_device_memory = without_memory  # type: ignore[attr-defined]
        Engine.device_memory_size = property(memory_size)  # type: ignore[attr-defined]

    class Runtime:
        def __init__(self, logger: Any) -> None:
            if "no_runtime" in knobs:
                logger.log(trt.ILogger.ERROR, "CUDA initialization failure with error: 35")
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self._logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
            gpu.release(gpu.allocate(64))
            try:
                fields = json.loads(plan)
            except ValueError:
                self._logger.log(trt.ILogger.ERROR, "deserializeCudaEngine: magicTagRead == kMAGIC_TAG failed")
                self._logger.log(trt.ILogger.ERROR, "and so there is no engine")
                return None
            return Engine(Plan(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}), self._logger)

    return Runtime
