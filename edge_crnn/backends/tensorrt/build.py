"""ONNX → TensorRT engine, on TensorRT 8.6 to 11 and TensorRT for RTX, through one code path.

The module is tested for attributes; version numbers are never compared. Three things differ:

| | 8.6 | 10 | 11, RTX |
|---|---|---|---|
| the types in the file are binding | no: builder flag FP16 allows them | if requested (STRONGLY_TYPED) | always |
| an explicit batch axis | if requested | always | always |
| progress of a build | no | IProgressMonitor | IProgressMonitor |

If types are not binding, float16 is requested for every convolution; otherwise a convolution that is as fast in float32
might stay float32. Nothing forces the builder to use float32 where the file has it, as in the head of float16-mixed.

Sources: NVIDIA/TensorRT, python/src/infer at the tags v8.6.1 to v11.1; the migration guides 8.x → 10.x → 11.x;
TensorRT Developer Guide, "Engine Inspector".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ...bounds import BATCH
from ...errors import BackendError, BackendUnavailable
from ...files import write_atomically
from . import cuda
from .log import Log, make_logger

MODULES = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings")
"""Modules in order of preference: the first that is installed is used."""

REVISION = 2
"""Version of the build settings. A change that may affect engines raises it, and older engines are not used."""

Verdict: TypeAlias = Literal["half", "not half", "cannot tell"]

_HALF = re.compile(r"fp16|half", re.I)
_SINGLE = re.compile(r"fp32|float", re.I)
_FORMAT = re.compile(r"format|data ?type", re.I)  # "Format/Datatype"; two keys since 11
_CONVOLUTION = re.compile(r"conv|correlation", re.I)  # "correlation" is Myelin's word
_FUSED = re.compile(r"myelin|kgen|foreignnode", re.I)
_OVERHEAD = 6 << 20  # bytes of an engine beside its weights; plates in TensorRT for RTX 1.7: 4 MB


@dataclass(frozen=True)
class BuildOptions:
    """The options of a build."""

    batches: tuple[int, int, int] = (1, 8, 32)
    """Images per call: minimum, the number that the engine is tuned for, maximum."""
    workspace: int = 1 << 30
    """Bytes of device memory that a layer may use as workspace."""
    timing_cache: Path | None = None
    """File with the timings of earlier builds, so that the next build takes seconds; created if absent."""
    log: Path | None = None
    """File for all messages of TensorRT; overwritten."""
    tactic_sources: tuple[str, ...] | None = None
    """Names of `TacticSource`; None: TensorRT chooses."""


@dataclass(frozen=True)
class Built:
    """An engine in memory."""

    plan: bytes
    version: str
    """Module and version that made the engine; no other can run it."""
    precision: str
    """The precision of the engine, and how it was determined."""
    gpu: str | None
    """Name and compute capability of the GPU that it was built on; None without a GPU."""


def import_tensorrt() -> Any:
    """Import TensorRT's Python module.

    Raises:
        BackendUnavailable: TensorRT is not installed, or does not start.
    """
    for name in MODULES:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise BackendUnavailable(f"{name} is installed but does not start ({error})") from error
        except (ImportError, OSError, RuntimeError) as error:
            raise BackendUnavailable(f"{name} is installed but does not start ({error})") from error
    raise BackendUnavailable(
        f"none of {', '.join(MODULES)} is installed; JetPack installs TensorRT for the system's Python: create the"
        " virtual environment with --system-site-packages"
    )


def build(
    trt: Any, onnx: bytes, half: bool, options: BuildOptions, on_step: Callable[[str, int, int], None] | None = None
) -> Built:
    """Build an engine; only the timing cache and the log are written.

    Args:
        trt: TensorRT's module.
        onnx: the file's payload, with the types to compute in.
        half: True if the file has float16, so an engine without it is an error.
        options: the options of the build.
        on_step: called with the phase of the build, the steps done, and their total, if TensorRT reports them.

    Raises:
        BackendError: TensorRT rejects the graph or an option, finds no GPU, or fails; or half precision was requested,
            and the engine does not have it or cannot be shown to have it.
    """
    with Log(options.log) as log:
        logger = make_logger(trt, log)
        try:
            builder = trt.Builder(logger)
        except (RuntimeError, TypeError) as error:  # TypeError: the factory returned no object
            raise BackendError(
                f"TensorRT does not start ({log.reason(error)}); are a GPU and its driver installed?"
            ) from error
        strongly_typed = hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
        network = builder.create_network(_flags(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", "STRONGLY_TYPED"))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(onnx):
            errors = [str(parser.get_error(index)) for index in range(parser.num_errors)]
            raise BackendError(f"TensorRT {trt.__version__} rejects the graph ({'; '.join(errors)[:500]})")
        config = builder.create_builder_config()
        if half and not strongly_typed:
            config.set_flag(trt.BuilderFlag.FP16)
            config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
            for layer in _convolutions(trt, network):
                layer.precision = trt.DataType.HALF
        if hasattr(trt.BuilderFlag, "TF32"):
            config.clear_flag(trt.BuilderFlag.TF32)  # float32 in the file stays float32
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # else it does not describe its layers
        if hasattr(getattr(trt, "PreviewFeature", None), "PROFILE_SHARING_0806"):  # the default since 10, removed in 11
            config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)  # one context per batch size
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace)
        if options.tactic_sources is not None:
            config.set_tactic_sources(_flags(trt.TacticSource, *options.tactic_sources))
        _add_profile(builder, config, network, options.batches)
        cache = _use_timing_cache(config, options.timing_cache)
        if on_step is not None and hasattr(trt, "IProgressMonitor"):
            config.progress_monitor = _monitor(trt, on_step)
        built = builder.build_serialized_network(network, config)
        if built is None:
            raise BackendError(f"TensorRT {trt.__version__} built no engine ({log.reason(None)})")
        plan = bytes(built)
        if cache is not None and options.timing_cache is not None:
            write_atomically(options.timing_cache, bytes(config.get_timing_cache().serialize()))
        precision = "float32, as the file is typed"
        if half:
            account = _account(trt, logger, plan, network.get_input(0), options.batches[1])
            precision = _show_half(trt, account, network, len(plan), len(onnx), strongly_typed)
    return Built(plan, version(trt), precision, _gpu())


def version(trt: Any) -> str:
    """Return module and version of TensorRT, as an engine's spec records it."""
    return f"{trt.__name__} {trt.__version__}"


def _gpu() -> str | None:
    try:
        return str(cuda.gpu())
    except BackendUnavailable:  # TensorRT for RTX builds without a GPU
        return None


def _flags(kind: Any, *names: str) -> int:
    """Combine the bits of those flags that this version has."""
    return sum(1 << int(getattr(kind, name)) for name in names if hasattr(kind, name))


def _add_profile(builder: Any, config: Any, network: Any, batches: tuple[int, int, int]) -> None:
    if not (batches[0] <= batches[1] <= batches[2] and all(map(BATCH.allow, batches))):
        raise BackendError(f"batches are {batches}, expected the smallest, usual and largest size, such as 1, 8, 32")
    profile = builder.create_optimization_profile()
    image = network.get_input(0)
    profile.set_shape(image.name, *((count, *tuple(image.shape)[1:]) for count in batches))
    if config.add_optimization_profile(profile) < 0:
        raise BackendError(f"TensorRT rejects {batches} images of {tuple(image.shape)[1:]} as a profile")


def _use_timing_cache(config: Any, path: Path | None) -> Any:
    """Set and return the timing cache; an empty one if the file is absent, or from another TensorRT or GPU."""
    if path is None:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.exists() else b"")
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _monitor(trt: Any, on_step: Callable[[str, int, int], None]) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, _parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            on_step(phase_name, step + 1, self._steps[phase_name])
            return True

        def phase_finish(self, phase_name: str) -> None:
            del self._steps[phase_name]

    return Monitor()


# --- is it really half precision? ------------------------------------------------------------------------------------


def _show_half(
    trt: Any, account: str | None, network: Any, plan_bytes: int, onnx_bytes: int, strongly_typed: bool
) -> str:
    """Check that the engine has half precision, and return the evidence.

    Raises:
        BackendError: the engine does not have half precision, or its precision cannot be determined.
    """
    verdict, why = inspect(account)
    if verdict == "cannot tell":
        types = {str(layer.get_output(0).dtype).rpartition(".")[2] for layer in _convolutions(trt, network)}
        why += f"; convolutions are {', '.join(sorted(types)) or 'absent'}, {plan_bytes:,} bytes for {onnx_bytes:,}"
        size_tells = onnx_bytes > 2 * _OVERHEAD
        if (size_tells and plan_bytes > 1.5 * onnx_bytes + _OVERHEAD) or (strongly_typed and types != {"HALF"}):
            verdict = "not half"
        elif strongly_typed or size_tells:  # binding types are evidence
            verdict = "half"
    if verdict != "half":
        problem = "cannot be shown to have half" if verdict == "cannot tell" else "does not have half"
        raise BackendError(f"the engine {problem} precision ({why}); see the build's log, or build it from float32")
    return f"float16: {why}"


def inspect(account: str | None) -> tuple[Verdict, str]:
    """Judge the precision of convolutions from an engine's JSON description of its layers, and give the reason."""
    layers = list(_layers(account))
    precisions = {str(layer.get("Name")): _precision(layer) for layer in layers if _is_convolution(layer)}
    if not precisions:
        hidden = any(_FUSED.search(str(layer.get("LayerType"))) for layer in layers)
        return "cannot tell", "its layers are fused" if hidden else "it does not describe its layers"
    half = {name for name, words in precisions.items() if _HALF.search(words)}
    single = {name for name, words in precisions.items() if _SINGLE.search(words)}
    if single - half:
        return (
            "not half",
            f"{len(single - half)} of {len(precisions)} convolutions are float32, such as {min(single - half)}",
        )
    if half - single == precisions.keys():
        return "half", f"all {len(precisions)} convolutions are float16"
    return "cannot tell", "the precision of its convolutions is unknown"


def _account(trt: Any, logger: Any, plan: bytes, image: Any, batch: int) -> str | None:
    """Return an engine's description of its layers for a batch size; None without a GPU that runs it."""
    runtime = trt.Runtime(logger)
    engine = None if runtime is None else runtime.deserialize_cuda_engine(plan)
    if engine is None:
        return None
    inspector = engine.create_engine_inspector()
    context = engine.create_execution_context()
    if context is not None and context.set_input_shape(image.name, (batch, *tuple(image.shape)[1:])):
        inspector.execution_context = context  # formats are reported only for a fixed batch
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _layers(information: str | None) -> Iterator[dict[str, Any]]:
    try:
        account = json.loads(information or "{}")
    except ValueError:
        return
    layers = account.get("Layers") if isinstance(account, dict) else None
    if isinstance(layers, list):
        yield from (layer for layer in layers if isinstance(layer, dict))  # with lower verbosity, layers are only names


def _is_convolution(layer: dict[str, Any]) -> bool:
    """Return whether a layer is a convolution of the file; a matrix product may also run as a convolution."""
    origin = f"{layer.get('Name')} {layer.get('Metadata')}"
    return bool(_CONVOLUTION.search(f"{layer.get('LayerType')} {layer.get('ParameterType')}")) and not (
        "/MatMul" in origin and "/Conv" not in origin
    )


def _precision(layer: dict[str, Any]) -> str:
    """Return the types of a layer's weights and input, which show its precision: 'Half Channel major FP16 format'."""
    tensors = [layer.get("Weights"), *layer.get("Inputs", [])[:1]]
    return " ".join(
        str(value)
        for tensor in tensors
        if isinstance(tensor, dict)
        for key, value in tensor.items()
        if key == "Type" or _FORMAT.search(key)
    )


def _convolutions(trt: Any, network: Any) -> Iterator[Any]:
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type == trt.LayerType.CONVOLUTION:
            yield layer
