"""Converted models on disk: payload and spec together.

| format | place of the spec | payload, which `payload_sha256` covers |
|---|---|---|
| `.tflite` | ZIP member `edge_crnn.json` appended to it, as TFLite keeps associated files | the bytes before the ZIP |
| `.onnx` | `edge_crnn` among its `metadata_props` | the file without its metadata |
| any other | `NAME.json` beside the file `NAME`, written after it | the whole file |

The spec covers the payload with `payload_sha256`, and a digest beside the spec covers the spec; see `digest`.
"""

from __future__ import annotations

import errno
import io
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..errors import ArtifactError, ModelSpecError
from ..files import sha256, write_atomically
from . import digest, onnx_file
from .spec import ModelSpec

MEMBER = "edge_crnn.json"
_CHECKPOINT = ".index"
"""Suffix of the index of a TensorFlow 1 checkpoint, which consists of several files."""
TRAINED = (".keras", ".h5", ".hdf5", _CHECKPOINT)
"""Suffixes of trained models."""
FORMATS = (".tflite", ".onnx", ".engine")
"""Suffixes of converted models."""
_MAX_SPEC_BYTES = 4 << 20
_MAX_PAYLOAD_BYTES = 2 << 30


@dataclass(frozen=True)
class Artifact:
    """A converted model in memory, with its payload checked against its spec."""

    path: Path
    spec: ModelSpec
    payload: bytes
    spec_sha256: str | None = None
    """SHA-256 of the spec as the file stores it, checked; None: the file states none, or there is no file yet."""


def load(path: Path) -> Artifact:
    """Read an artifact and check that its spec describes its payload.

    Raises:
        ArtifactError: the file is missing or empty, or the spec describes another payload.
        ModelSpecError: the artifact has no spec, its spec cannot be read, or the spec was changed.
    """
    try:
        data = _read(path, _MAX_PAYLOAD_BYTES)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); name a converted model") from error
    if path.suffix not in FORMATS:
        hint = "it is a trained model: edge-crnn convert" if path.suffix in TRAINED else "name a converted model"
        raise ArtifactError(f"{path}: found {path.suffix or 'no suffix'!r}, expected {', '.join(FORMATS)}; {hint}")
    payload, stored = _parts(path, data)
    spec = stored.parsed()
    if spec.artifact is None:
        raise ModelSpecError(f"{path}: its spec describes a trained model, not an artifact; convert the model again")
    actual = sha256(payload)
    expected = spec.artifact.payload_sha256
    if actual != expected:
        raise ArtifactError(
            f"{path}: payload has SHA-256 {actual[:12]}…, its spec describes {expected[:12]}…;"
            " the file is damaged or was changed: copy or convert it again"
        )
    return Artifact(path, spec, payload, stored.stated)


def save(path: Path, payload: bytes, spec: ModelSpec) -> Artifact:
    """Write payload and spec, completely or not at all, and set the `payload_sha256` of the spec.

    Other metadata of an ONNX payload is dropped.

    Raises:
        ArtifactError: the path ends in `.onnx`, and the payload is not an ONNX model.
        ModelSpecError: the spec has no artifact facts.
        OutputError: the files cannot be written.
    """
    if spec.artifact is None:
        raise ModelSpecError(f"{path}: the spec has no artifact facts; fill in `artifact` before saving")
    if path.suffix == ".onnx":
        payload = _in_onnx(path, payload).payload
    spec = replace(spec, artifact=replace(spec.artifact, payload_sha256=sha256(payload)))
    text = spec.to_json().encode()
    if path.suffix == ".tflite":
        write_atomically(path, payload + _appended_zip(text))
    elif path.suffix == ".onnx":
        write_atomically(path, onnx_file.join(payload, text))
    else:
        write_atomically(path, payload)  # until the spec follows, `load` rejects the old one
        write_atomically(sidecar(path), digest.with_field(text))
    return Artifact(path, spec, payload, sha256(text))


def sidecar(path: Path) -> Path:
    """Return the path of the spec beside a file that cannot hold it: `plates.keras` → `plates.keras.json`.

    A checkpoint is named without its suffix: `digits.index` → `digits.json`.
    """
    return path.with_name(path.name.removesuffix(_CHECKPOINT) + ".json")


def load_sidecar(path: Path) -> ModelSpec:
    """Read the spec beside `path`.

    Raises:
        ModelSpecError: there is no spec, it cannot be read, or it is not the one that its digest covers.
    """
    return _beside(path).parsed()


def load_spec(path: Path) -> ModelSpec:
    """Read a spec from its own JSON file.

    Raises:
        ModelSpecError: it cannot be read, or it is not the one that its digest covers.
    """
    try:
        data = _read(path, _MAX_SPEC_BYTES)
    except OSError as error:
        raise ModelSpecError(f"{path}: cannot be read ({error.strerror}); name a spec in JSON") from error
    return _Stored(path, *digest.without_field(data)).parsed()


class _Stored(NamedTuple):
    """A spec as a file stores it."""

    file: Path
    text: bytes
    """JSON."""
    stated: str | None
    """SHA-256 that the file states for the text; None: it states none."""

    def parsed(self) -> ModelSpec:
        """Check the text against the digest, if there is one, and parse it.

        Raises:
            ModelSpecError: the text has another digest, or is not a spec.
        """
        if self.stated is not None and self.stated != (actual := sha256(self.text)):
            edited = ', or delete its line "spec_sha256" if you edited it on purpose'
            raise ModelSpecError(
                f"{self.file}: the spec has SHA-256 {actual[:12]}…, the file states {self.stated[:12]}…; it is damaged"
                f" or was changed: copy or convert it again{edited if self.file.suffix == '.json' else ''}"
            )
        return ModelSpec.from_json(self.text, str(self.file))


def _read(path: Path, limit: int) -> bytes:
    """Return the content of a file, after checking its size: reading with a limit would reserve that much memory."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "a folder or a device")
    if not 1 <= about.st_size <= limit:
        raise OSError(errno.EFBIG, f"{about.st_size:,} bytes, expected 1 to {limit:,}")
    return path.read_bytes()


def _beside(path: Path) -> _Stored:
    beside = sidecar(path)
    try:
        return _Stored(beside, *digest.without_field(_read(beside, _MAX_SPEC_BYTES)))
    except OSError as error:
        raise ModelSpecError(
            f"{path}: no spec ({beside.name}: {error.strerror}); for a trained model, write one (alphabet, blank,"
            " input size, scale and offset: see examples/own_model.md); for an artifact, convert the model again"
        ) from error


def _parts(path: Path, data: bytes) -> tuple[bytes, _Stored]:
    """Return the payload and the spec of an artifact."""
    if path.suffix == ".tflite":
        return _in_zip(path, data)
    if path.suffix != ".onnx":
        return data, _beside(path)
    payload, specs, digests = _in_onnx(path, data)
    if len(specs) != 1 or len(specs[0]) > _MAX_SPEC_BYTES:
        sizes = ", ".join(f"{len(spec):,} bytes" for spec in specs[:8])
        raise ModelSpecError(
            f"{path}: its metadata has {sizes or 'nothing'} under {onnx_file.KEY!r}, expected one spec of at most"
            f" {_MAX_SPEC_BYTES:,} bytes; convert the trained model with `edge-crnn convert`, or copy the file again"
        )
    return payload, _Stored(path, specs[0], digest.spelled(b" and ".join(digests)) if digests else None)


def _in_onnx(path: Path, data: bytes) -> onnx_file.Parts:
    """Return the parts of an `.onnx`."""
    try:
        return onnx_file.split(data)
    except ValueError as error:
        raise ArtifactError(
            f"{path}: no ONNX model in a single file ({error}); name a converted model, or copy it again"
        ) from error


def _in_zip(path: Path, data: bytes) -> tuple[bytes, _Stored]:
    """Return the payload and the spec of a `.tflite`."""
    import zipfile

    if data[4:8] != b"TFL3":
        raise ArtifactError(f"{path}: no TFLite model (it starts with {data[:8]!r}); name a converted model")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            specs = [
                member for member in members if member.filename == MEMBER and member.compress_type == zipfile.ZIP_STORED
            ]
            fits = len(specs) == 1 and specs[0].file_size <= _MAX_SPEC_BYTES
            text = archive.read(specs[0]) if fits else b""
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ModelSpecError(
            f"{path}: no spec in this .tflite ({error}); it was not made by edge-crnn, or is cut short:"
            " convert the trained model with `edge-crnn convert`, or copy the file again"
        ) from error
    if not fits:
        files = ", ".join(f"{member.filename!r} of {member.file_size:,} bytes" for member in members[:8])
        raise ModelSpecError(
            f"{path}: associated files are {files or 'none'}, expected one {MEMBER}, stored, of at most"
            f" {_MAX_SPEC_BYTES:,} bytes; convert the trained model with `edge-crnn convert`"
        )
    payload = data[: min(member.header_offset for member in members)]
    return payload, _Stored(path, text, digest.from_comment(archive.comment))


def _appended_zip(text: bytes) -> bytes:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        # With a fixed date, the same model gives the same bytes.
        archive.writestr(zipfile.ZipInfo(MEMBER, date_time=(1980, 1, 1, 0, 0, 0)), text)
        archive.comment = digest.to_comment(text)
    return buffer.getvalue()
