"""Modules shaped like TensorRT 8.6, 10.3, 10.13 and 11: each has what that version has, and nothing else.

Source: NVIDIA/TensorRT, python/src/infer at the tags v8.6.1, v10.3.0, v10.13.3 and v11.1.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from edge_crnn.model.artifact import Artifact, save
from edge_crnn.model.spec import ArtifactFacts, InputSpec, ModelSpec, OutputSpec
from tests.fake_engine import Dtype

VERSIONS = ("8.6.1", "10.3.0", "10.13.3", "11.1.0")


def convolution(version: str = "10.3.0", half: bool = True, **more: Any) -> dict[str, Any]:
    """Return the entry of a convolution in an engine's account, in the format of a TensorRT version."""
    taken: dict[str, Any] = {"Name": "x", "Location": "Device", "Dimensions": [8, 64, 32, 16]}
    match version.partition(".")[0]:
        case "8":
            form = "Channel major FP16 format where channel % 8 == 0" if half else "Row major linear FP32"
            taken |= {"Format/Datatype": form}
        case "10":
            taken |= {"Format/Datatype": "Half" if half else "Float"}
        case _:
            taken |= {"Format": "Row major linear format (kLINEAR)", "DataType": "Half" if half else "Float"}
    return {"Name": "conv1/Conv + conv1/Relu", "LayerType": "CaskConvolution", "Inputs": [taken], **more}


def save_onnx(path: Path, recipe: str = "float16", graph: str = "") -> Artifact:
    """Save an `.onnx` whose graph has only a name, which is enough for a fake."""
    name = graph.encode()
    message = b"\x12" + bytes([len(name)]) + name
    facts = ArtifactFacts("onnx", recipe, 1, "", "0" * 64)
    spec = ModelSpec(
        "tiny", tuple("0123456789"), 10, InputSpec(32, 16, "HWC", 1.0, 0.0), OutputSpec(16, 11), artifact=facts
    )
    return save(path, b"\x3a" + bytes([len(message)]) + message, spec)


def tensorrt(version: str, **knobs: Any) -> Any:
    """Return a module with exactly the API of a version of TensorRT; `calls` records how it was used.

    Python in the knob `meanwhile` runs during a build.
    """
    trt: Any = ModuleType("tensorrt")
    major = int(version.partition(".")[0])
    calls: dict[str, Any] = {"flags": set(), "cleared": set()}
    trt.__version__, trt.calls = version, calls

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        def __init__(self) -> None:
            calls["logger"] = self

        def log(self, severity: int, message: str) -> None:
            raise NotImplementedError

    trt.ILogger = ILogger
    creation = {"EXPLICIT_BATCH": 0} if major < 11 else {}
    if major >= 10:
        creation["STRONGLY_TYPED"] = 1
    trt.NetworkDefinitionCreationFlag = SimpleNamespace(**creation)
    weak = ("FP16", "PREFER_PRECISION_CONSTRAINTS") if major < 11 else ()
    trt.BuilderFlag = SimpleNamespace(TF32="TF32", **dict(zip(weak, weak, strict=True)))
    trt.DataType = Dtype
    trt.ProfilingVerbosity = SimpleNamespace(DETAILED="DETAILED")
    trt.MemoryPoolType = SimpleNamespace(WORKSPACE="WORKSPACE")
    trt.TacticSource = SimpleNamespace(EDGE_MASK_CONVOLUTIONS=3, JIT_CONVOLUTIONS=4)
    trt.LayerInformationFormat = SimpleNamespace(JSON="JSON")
    trt.LayerType = SimpleNamespace(CONVOLUTION="CONVOLUTION")
    trt.PreviewFeature = SimpleNamespace(**({"PROFILE_SHARING_0806": "PROFILE_SHARING"} if major < 11 else {}))

    if major >= 10:

        class IProgressMonitor:
            def __init__(self) -> None:
                pass

        trt.IProgressMonitor = IProgressMonitor

    class Cache:
        def __init__(self, content: bytes) -> None:
            self.content = content

        def serialize(self) -> bytes:
            return self.content + b"measured"

    class Config:
        progress_monitor: Any = None

        def set_flag(self, flag: str) -> None:
            calls["flags"].add(flag)

        def clear_flag(self, flag: str) -> None:
            calls["cleared"].add(flag)

        def set_preview_feature(self, feature: str, enable: bool) -> None:
            calls[feature] = enable

        def set_memory_pool_limit(self, pool: str, size: int) -> None:
            calls[pool] = size

        def set_tactic_sources(self, sources: int) -> None:
            calls["tactics"] = sources

        def add_optimization_profile(self, profile: Any) -> int:
            return knobs.get("profile", 0)  # type: ignore[no-any-return]

        def create_timing_cache(self, content: bytes) -> Cache | None:
            return None if content == b"garbage" else Cache(content)

        def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
            assert not ignore_mismatch
            self.cache = cache
            return cache.content != b"of another GPU"

        def get_timing_cache(self) -> Cache:
            return self.cache

    class Layer:
        __slots__ = ("get_output", "type", *(["precision"] if major < 11 else []))

        def __init__(self, kind: str, dtype: Any = None) -> None:
            self.type = kind
            self.get_output = lambda _: SimpleNamespace(dtype=dtype)

    layers = [Layer("SHUFFLE"), Layer("CONVOLUTION", knobs.get("dtype", Dtype.HALF))]
    calls["layers"] = layers

    class Network:
        num_layers = len(layers)

        def get_input(self, index: int) -> Any:
            return SimpleNamespace(name="image", shape=(-1, 64, 128, 1))

        def get_layer(self, index: int) -> Layer:
            return layers[index]

    class Builder:
        def __init__(self, logger: Any) -> None:
            if "no_gpu" in knobs:
                logger.log(ILogger.ERROR, "CUDA initialization failure with error: 100")
                raise TypeError("pybind11::init(): factory function returned nullptr")

        def create_network(self, flags: int) -> Network:
            calls["network"] = flags
            return Network()

        def create_builder_config(self) -> Config:
            calls["config"] = Config()
            return calls["config"]  # type: ignore[no-any-return]

        def create_optimization_profile(self) -> Any:
            def set_shape(name: str, *shapes: tuple[int, ...]) -> None:
                calls[name] = shapes

            return SimpleNamespace(set_shape=set_shape)

        def build_serialized_network(self, network: Network, config: Config) -> bytearray | None:
            logger = calls["logger"]
            logger.log(ILogger.VERBOSE, "a tactic")
            exec(knobs.get("meanwhile", ""))
            if config.progress_monitor is not None:
                config.progress_monitor.phase_start("Building", None, 2)
                assert config.progress_monitor.step_complete("Building", 0) is True
                config.progress_monitor.phase_finish("Building")
            if "fails" in knobs:
                logger.log(ILogger.ERROR, "out of memory")
                logger.log(ILogger.INTERNAL_ERROR, "and so nothing came of it")
                return None
            return bytearray(knobs.get("plan", b"plan"))

    class OnnxParser:
        num_errors = 2

        def __init__(self, network: Network, logger: Any) -> None:
            pass

        def parse(self, data: bytes) -> bool:
            calls["parsed"] = data
            return "unparsable" not in knobs

        def get_error(self, index: int) -> str:
            return f"error {index}"

    account = knobs.get("layers", {"Layers": [convolution(version)]})

    class Runtime:
        def __init__(self, logger: Any) -> None:
            pass

        def deserialize_cuda_engine(self, plan: bytes) -> Any:
            return None if account is None else Engine()

    class Engine:
        def create_execution_context(self) -> Any:
            def set_input_shape(name: str, shape: tuple[int, ...]) -> bool:
                calls["inspected"] = name, shape
                return "no_shape" not in knobs

            return None if "no_context" in knobs else SimpleNamespace(set_input_shape=set_input_shape)

        def create_engine_inspector(self) -> Any:
            inspector = SimpleNamespace(execution_context=None)
            inspector.get_engine_information = lambda _: json.dumps(
                account if inspector.execution_context else _without_formats(account)
            )
            return inspector

    trt.Builder, trt.OnnxParser, trt.Runtime = Builder, OnnxParser, Runtime
    return trt


def _without_formats(account: Any) -> Any:
    """Return the account of an engine whose shapes are not set."""
    if isinstance(account, list):
        return [_without_formats(entry) for entry in account]
    if not isinstance(account, dict):
        return account
    hidden = "N/A due to dynamic shapes"
    return {
        key: hidden if key.startswith(("Format", "DataType")) else _without_formats(value)
        for key, value in account.items()
    }
