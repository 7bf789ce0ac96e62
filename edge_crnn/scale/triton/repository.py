"""Writes a model repository for Triton Inference Server.

    REPOSITORY/plates/config.pbtxt          image → text, with Triton's Python backend
    REPOSITORY/plates/1/model.py
    REPOSITORY/plates/1/plates.onnx
    REPOSITORY/plates_network/config.pbtxt  the network alone, image → probabilities; only for .onnx and .engine
    REPOSITORY/plates_network/1/model.onnx  or model.plan

The configurations are `ModelConfig` of Triton's model_config.proto in protobuf's text format.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ... import __version__
from ...errors import InputError, OutputError
from ...files import sync_folder, write_atomically
from ...model.artifact import Artifact, sidecar
from ...model.spec import ArtifactFacts
from .backend import FILE, OUTPUTS, SETTINGS
from .wire import IMAGE, PIXELS

_DATATYPES = {"uint8": "UINT8", "int8": "INT8", "float32": "FP32"}
_NETWORKS = {"onnx": ("model.onnx", "onnxruntime_onnx"), "engine": ("model.plan", "tensorrt_plan")}
"""Format of an artifact → file and platform of a network that Triton runs itself."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_MODEL = '''"""Reads text in images; config.pbtxt has the inputs and outputs."""

from edge_crnn.scale.triton.backend import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


@dataclass(frozen=True)
class Serving:
    """How Triton serves a model."""

    instances: int = 1
    """Processes with a reader each."""
    gpus: bool = False
    """True: every GPU has this number of instances. False: the CPU has them."""
    batch: int = 64
    """Most images that are read together."""
    delay_s: float = 0.002
    """Longest time that an image waits for others, in seconds."""
    reader: Mapping[str, Any] = field(default_factory=dict)
    """Options of `open_reader`, such as `min_confidence`, in types that JSON has."""


class _Tensor(NamedTuple):
    name: str
    datatype: str
    shape: tuple[int, ...]
    """Without the batch; -1: any size."""
    optional: bool = False

    def __str__(self) -> str:
        """Return the fields of `ModelInput` or `ModelOutput`."""
        extra = " optional: true allow_ragged_batch: true" if self.optional else ""
        return f"{{ name: {_quoted(self.name)} data_type: TYPE_{self.datatype} {_dims(self.shape)}{extra} }}"


def write_repository(artifact: Artifact, folder: Path, name: str, serving: Serving) -> list[Path]:
    """Write the models of an artifact into a repository, each of them completely or not at all.

    Args:
        artifact: the artifact, as its file has it.
        folder: the repository; other models in it stay as they are.
        name: name of the model that reads. The network alone has this name with `_network`.
        serving: how Triton serves them.

    Returns:
        The folders of the models.

    Raises:
        InputError: Triton cannot use the name, the repository has such a model already, or there is no GPU engine for
            this kind of artifact.
        OutputError: a file cannot be written.
    """
    facts = _facts(artifact)
    if not _NAME.fullmatch(name):
        raise InputError(
            f"found the name {name!r}, expected at most 100 letters, digits, '_', '-' and '.'; use --name plates"
        )
    if serving.gpus and facts.format == "tflite":
        raise InputError(f"{artifact.path.name}: found a .tflite, which runs on CPUs only; export an .onnx or .engine")
    files = {"1/model.py": _MODEL.encode(), f"1/{artifact.path.name}": artifact.path.read_bytes()}
    if facts.format == "engine":
        beside = sidecar(artifact.path)
        files[f"1/{beside.name}"] = beside.read_bytes()
    models = {name: {"config.pbtxt": reader_config(artifact, name, serving).encode(), **files}}
    if facts.format in _NETWORKS:
        file, _ = _NETWORKS[facts.format]
        network = f"{name}_network"
        config = network_config(artifact, network, serving).encode()
        models[network] = {"config.pbtxt": config, f"1/{file}": artifact.payload}
    for model in models:
        if (folder / model).exists():
            raise InputError(f"{folder / model} exists; give another --name, or remove this folder first")
    for model, content in models.items():
        _write(folder, model, content)
    return [folder / model for model in models]


def reader_config(artifact: Artifact, name: str, serving: Serving) -> str:
    """Return the configuration of the model that reads, which takes image files or pixels."""
    options = dict(serving.reader)
    if serving.gpus and _facts(artifact).format == "onnx":
        options["engine"] = "tensorrt"
    return _config(
        name,
        'backend: "python"',
        inputs=[
            _Tensor(IMAGE, "STRING", (1,), optional=True),
            _Tensor(PIXELS, "UINT8", (-1, -1, -1), optional=True),
        ],
        outputs=[_Tensor(output, datatype, (1,)) for output, datatype in OUTPUTS.items()],
        batch=serving.batch,
        serving=serving,
        parameters={SETTINGS: json.dumps(options), FILE: artifact.path.name, **_described(artifact)},
    )


def network_config(artifact: Artifact, name: str, serving: Serving) -> str:
    """Return the configuration of the network alone, whose input is that of the artifact, with a warm-up."""
    spec, facts = artifact.spec, _facts(artifact)
    _, platform = _NETWORKS[facts.format]
    image = _Tensor(IMAGE, _DATATYPES[spec.input.dtype], spec.input.shape)
    batch = min(serving.batch, facts.batch) if facts.format == "engine" else serving.batch
    return _config(
        name,
        f'platform: "{platform}"',
        inputs=[image],
        outputs=[_Tensor("probabilities", "FP32", (spec.output.steps, spec.output.classes))],
        batch=batch,
        serving=serving,
        parameters=_described(artifact),
        warm_up=[
            _block("model_warmup", f'name: "zeros of {size}"', f"batch_size: {size}", _zeros(image))
            for size in dict.fromkeys((1, batch))
        ],
    )


def _config(
    name: str,
    engine: str,
    *,
    inputs: Sequence[_Tensor],
    outputs: Sequence[_Tensor],
    batch: int,
    serving: Serving,
    parameters: Mapping[str, str],
    warm_up: Sequence[str] = (),
) -> str:
    kind = "KIND_GPU" if serving.gpus else "KIND_CPU"
    lines = [
        f"name: {_quoted(name)}",
        engine,
        f"max_batch_size: {batch}",
        *(f"input {tensor}" for tensor in inputs),
        *(f"output {tensor}" for tensor in outputs),
        _block("dynamic_batching", f"max_queue_delay_microseconds: {round(serving.delay_s * 1e6)}"),
        _block("instance_group", f"count: {serving.instances}", f"kind: {kind}"),
        *warm_up,
        *(f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"
          for key, value in parameters.items()),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _block(name: str, *lines: str) -> str:
    return "\n".join([f"{name} {{", *(f"  {line}" for line in lines), "}"])


def _zeros(tensor: _Tensor) -> str:
    value = f"data_type: TYPE_{tensor.datatype} {_dims(tensor.shape)} zero_data: true"
    return f"inputs {{ key: {_quoted(tensor.name)} value {{ {value} }} }}"


def _dims(shape: tuple[int, ...]) -> str:
    return " ".join(f"dims: {size}" for size in shape)


def _facts(artifact: Artifact) -> ArtifactFacts:
    facts = artifact.spec.artifact
    assert facts is not None  # `load` sees to it
    return facts


def _described(artifact: Artifact) -> dict[str, str]:
    """Return what clients can learn of the artifact from the model's configuration."""
    facts = _facts(artifact)
    parity = artifact.spec.parity
    return {
        "edge_crnn": __version__,
        "model": artifact.spec.name,
        "recipe": facts.recipe,
        "sha256": facts.payload_sha256,
        "verdict": "unverified" if parity is None else parity.verdict,
        **{f"tool {tool}": version for tool, version in facts.tools.items()},
    }


def _quoted(text: str) -> str:
    """Return a string of protobuf's text format."""
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}" for byte in text.encode()
    )
    return f'"{escaped}"'


def _write(folder: Path, model: str, files: Mapping[str, bytes]) -> None:
    """Write the folder of a model under another name, which Triton ignores without config.pbtxt, and rename it."""
    pending = folder / f".{model}.partial"
    try:
        shutil.rmtree(pending, ignore_errors=True)
        (pending / "1").mkdir(parents=True)
        for file, content in files.items():
            write_atomically(pending / file, content)
        pending.replace(folder / model)
        sync_folder(folder)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            error.errno, f"{folder / model}: cannot be written ({error.strerror}); name a folder that has room"
        ) from error
    finally:
        shutil.rmtree(pending, ignore_errors=True)
