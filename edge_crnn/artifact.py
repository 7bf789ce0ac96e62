"""Converted models on disk: payload and spec together.

| format | where the spec lives | payload (what `payload_sha256` covers) |
|---|---|---|
| `.tflite` | ZIP member `edge_crnn.json` appended to it, as TFLite keeps associated files | the bytes before the ZIP |
| any other | `NAME.json` beside the file `NAME`, written after it | the whole file |
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import ArtifactError, ModelSpecError
from .files import sha256, write_atomically
from .spec import ModelSpec

MEMBER = "edge_crnn.json"
_MAX_SPEC_BYTES = 4 << 20
_MAX_PAYLOAD_BYTES = 2 << 30


@dataclass(frozen=True)
class Artifact:
    """A converted model in memory, its payload checked against its spec."""

    path: Path
    spec: ModelSpec
    payload: bytes


def load(path: Path) -> Artifact:
    """Read an artifact and check that its payload is the one that its spec describes.

    Raises:
        ArtifactError: no such file, empty, or the payload is not what the spec describes.
        ModelSpecError: the artifact carries no spec, or one that cannot be read.
    """
    data = _read(path)
    payload, text = _split(path, data)
    spec = ModelSpec.from_json(text, origin=str(path))
    if spec.artifact is None:
        raise ModelSpecError(f"{path}: its spec describes a trained model, not an artifact; convert the model again")
    found, expected = sha256(payload), spec.artifact.payload_sha256
    if found != expected:
        raise ArtifactError(
            f"{path}: payload has SHA-256 {found[:12]}…, its spec describes {expected[:12]}…;"
            " the file is damaged or was changed: copy or convert it again"
        )
    return Artifact(path, spec, payload)


def save(path: Path, payload: bytes, spec: ModelSpec) -> Artifact:
    """Write payload and spec, whole or not at all; the spec's `payload_sha256` is set here.

    Raises:
        ModelSpecError: the spec has no artifact facts.
        OutputError: the files cannot be written.
    """
    if spec.artifact is None:
        raise ModelSpecError(f"{path}: the spec has no artifact facts; fill in `artifact` before saving")
    spec = replace(spec, artifact=replace(spec.artifact, payload_sha256=sha256(payload)))
    text = spec.to_json().encode()
    if path.suffix == ".tflite":
        write_atomically(path, payload + _appended_zip(text))
    else:
        sidecar(path).unlink(missing_ok=True)  # an old spec must not describe the new payload, not even for a moment
        write_atomically(path, payload)
        write_atomically(sidecar(path), text)
    return Artifact(path, spec, payload)


def sidecar(path: Path) -> Path:
    """Where the spec of a file that cannot hold it lives: `plates.keras` → `plates.keras.json`."""
    return path.with_name(path.name + ".json")


def load_sidecar(path: Path) -> ModelSpec:
    """The spec beside `path`.

    Raises:
        ModelSpecError: there is none, or it cannot be read.
    """
    beside = sidecar(path)
    if not beside.is_file():
        raise ModelSpecError(
            f"{path}: no spec; write {beside.name} beside it (alphabet, blank, input size, scale and offset:"
            " examples/own_model.md shows one)"
        )
    return load_spec(beside)


def load_spec(path: Path) -> ModelSpec:
    """A spec in a file of its own.

    Raises:
        ModelSpecError: it cannot be read.
    """
    try:
        return ModelSpec.from_json(_read(path, _MAX_SPEC_BYTES), origin=str(path))
    except ArtifactError as error:
        raise ModelSpecError(str(error)) from error


def _read(path: Path, limit: int = _MAX_PAYLOAD_BYTES) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); name a converted model") from error
    if not data or len(data) > limit:
        raise ArtifactError(f"{path}: {len(data):,} bytes or more, expected 1 to {limit:,}; name a converted model")
    return data


def _split(path: Path, data: bytes) -> tuple[bytes, bytes]:
    """Payload and spec of the file's bytes."""
    if path.suffix != ".tflite":
        beside = sidecar(path)
        if not beside.is_file():
            raise ModelSpecError(f"{path}: no spec; expected {beside.name} beside it: convert the model with edge-crnn")
        return data, _read(beside, _MAX_SPEC_BYTES)
    if data[4:8] != b"TFL3":
        raise ArtifactError(f"{path}: no TFLite model (it starts with {data[:8]!r}); name a converted model")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = [each.filename for each in members]
            if names.count(MEMBER) != 1:
                raise ModelSpecError(f"{path}: associated files {names}, expected one {MEMBER}: convert again")
            info = archive.getinfo(MEMBER)
            if info.file_size > _MAX_SPEC_BYTES:
                raise ModelSpecError(
                    f"{path}: a spec of {info.file_size:,} bytes, expected at most {_MAX_SPEC_BYTES:,}"
                )
            return data[: min(each.header_offset for each in members)], archive.read(info)
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
    ) as error:
        raise ModelSpecError(
            f"{path}: no spec in this .tflite ({error}); it was not made by edge-crnn, or is cut short:"
            " convert the trained model with `edge-crnn convert`, or copy the file again"
        ) from error


def _appended_zip(text: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        # A fixed date: the same model gives the same bytes.
        archive.writestr(zipfile.ZipInfo(MEMBER, date_time=(1980, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()
