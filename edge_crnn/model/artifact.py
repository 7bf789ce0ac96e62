"""Converted models on disk: payload and spec together.

| format | where the spec lives | payload (what `payload_sha256` covers) |
|---|---|---|
| `.tflite` | ZIP member `edge_crnn.json` appended to it, as TFLite keeps associated files | the bytes before the ZIP |
| `.onnx` | `edge_crnn` among its `metadata_props` | the file without its metadata |
| any other | `NAME.json` beside the file `NAME`, written after it | the whole file |
"""

from __future__ import annotations

import errno
import io
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ArtifactError, ModelSpecError
from ..files import sha256, write_atomically
from . import onnx_file
from .spec import ModelSpec

MEMBER = "edge_crnn.json"
_CHECKPOINT = ".index"
"""Of a TensorFlow 1 checkpoint NAME, which is several files."""
TRAINED = (".keras", ".h5", ".hdf5", _CHECKPOINT)
"""Suffixes of trained models."""
FORMATS = (".tflite", ".onnx", ".engine")
"""Suffixes of converted models."""
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
    try:
        data = _read(path, _MAX_PAYLOAD_BYTES)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); name a converted model") from error
    if path.suffix not in FORMATS:
        hint = "it is a trained model: edge-crnn convert" if path.suffix in TRAINED else "name a converted model"
        raise ArtifactError(f"{path}: found {path.suffix or 'no suffix'!r}, expected {', '.join(FORMATS)}; {hint}")
    payload, text = _parts(path, data)
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

    Other metadata of an ONNX payload is dropped.

    Raises:
        ArtifactError: the payload is to be an `.onnx` and is no ONNX model.
        ModelSpecError: the spec has no artifact facts.
        OutputError: the files cannot be written.
    """
    if spec.artifact is None:
        raise ModelSpecError(f"{path}: the spec has no artifact facts; fill in `artifact` before saving")
    if path.suffix == ".onnx":
        payload, _ = _in_onnx(path, payload)
    spec = replace(spec, artifact=replace(spec.artifact, payload_sha256=sha256(payload)))
    text = spec.to_json().encode()
    if path.suffix == ".tflite":
        write_atomically(path, payload + _appended_zip(text))
    elif path.suffix == ".onnx":
        write_atomically(path, onnx_file.join(payload, text))
    else:
        write_atomically(path, payload)  # what an old spec says of another payload, `load` refuses
        write_atomically(sidecar(path), text)
    return Artifact(path, spec, payload)


def sidecar(path: Path) -> Path:
    """Where the spec of a file that cannot hold it lives: `plates.keras` → `plates.keras.json`.

    A checkpoint goes by its name: `digits.index` → `digits.json`.
    """
    return path.with_name(path.name.removesuffix(_CHECKPOINT) + ".json")


def load_sidecar(path: Path) -> ModelSpec:
    """The spec beside `path`.

    Raises:
        ModelSpecError: there is none, or it cannot be read.
    """
    return ModelSpec.from_json(_beside(path), origin=str(sidecar(path)))


def load_spec(path: Path) -> ModelSpec:
    """A spec in a file of its own.

    Raises:
        ModelSpecError: it cannot be read.
    """
    try:
        text = _read(path, _MAX_SPEC_BYTES)
    except OSError as error:
        raise ModelSpecError(f"{path}: cannot be read ({error.strerror}); name a spec in JSON") from error
    return ModelSpec.from_json(text, origin=str(path))


def _read(path: Path, limit: int) -> bytes:
    """All of a file. Its size is asked first: to read with a limit is to reserve as much."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "a folder or a device")
    if not 1 <= about.st_size <= limit:
        raise OSError(errno.EFBIG, f"{about.st_size:,} bytes, expected 1 to {limit:,}")
    return path.read_bytes()


def _beside(path: Path) -> bytes:
    beside = sidecar(path)
    try:
        return _read(beside, _MAX_SPEC_BYTES)
    except OSError as error:
        raise ModelSpecError(
            f"{path}: no spec ({beside.name}: {error.strerror}); beside a trained model write one (alphabet, blank,"
            " input size, scale and offset: examples/own_model.md shows how), beside an artifact convert makes it"
        ) from error


def _parts(path: Path, data: bytes) -> tuple[bytes, bytes]:
    """Payload and spec."""
    if path.suffix == ".tflite":
        return _in_zip(path, data)
    if path.suffix != ".onnx":
        return data, _beside(path)
    payload, specs = _in_onnx(path, data)
    if len(specs) != 1 or len(specs[0]) > _MAX_SPEC_BYTES:
        found = ", ".join(f"{len(each):,} bytes" for each in specs[:8])
        raise ModelSpecError(
            f"{path}: its metadata has {found or 'nothing'} under {onnx_file.KEY!r}, expected one spec of at most"
            f" {_MAX_SPEC_BYTES:,} bytes; convert the trained model with `edge-crnn convert`, or copy the file again"
        )
    return payload, specs[0]


def _in_onnx(path: Path, data: bytes) -> tuple[bytes, list[bytes]]:
    """Payload and specs of an `.onnx`."""
    try:
        return onnx_file.split(data)
    except ValueError as error:
        raise ArtifactError(
            f"{path}: no ONNX model that stands alone ({error}); name a converted model, or copy it again"
        ) from error


def _in_zip(path: Path, data: bytes) -> tuple[bytes, bytes]:
    """Payload and spec of a `.tflite`."""
    import zipfile

    if data[4:8] != b"TFL3":
        raise ArtifactError(f"{path}: no TFLite model (it starts with {data[:8]!r}); name a converted model")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            specs = [each for each in members if each.filename == MEMBER and each.compress_type == zipfile.ZIP_STORED]
            fits = len(specs) == 1 and specs[0].file_size <= _MAX_SPEC_BYTES
            text = archive.read(specs[0]) if fits else b""
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ModelSpecError(
            f"{path}: no spec in this .tflite ({error}); it was not made by edge-crnn, or is cut short:"
            " convert the trained model with `edge-crnn convert`, or copy the file again"
        ) from error
    if not fits:
        found = ", ".join(f"{each.filename!r} of {each.file_size:,} bytes" for each in members[:8])
        raise ModelSpecError(
            f"{path}: associated files are {found or 'none'}, expected one {MEMBER}, stored, of at most"
            f" {_MAX_SPEC_BYTES:,} bytes; convert the trained model with `edge-crnn convert`"
        )
    return data[: min(each.header_offset for each in members)], text


def _appended_zip(text: bytes) -> bytes:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        # A fixed date: the same model gives the same bytes.
        archive.writestr(zipfile.ZipInfo(MEMBER, date_time=(1980, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()
