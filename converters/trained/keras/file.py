"""Keras' model files: file → configuration and weights by layer name. No code in them is run, no other file opened.

| file | configuration | weights |
|---|---|---|
| `.keras` (ZIP) | member `config.json` | in member `model.weights.h5`, at `layers/CONTAINER/.../vars/0` |
| `.h5` (HDF5) | attribute `model_config` | at `model_weights/LAYER/.../kernel`, `kernel:0` in Keras 2 |

A container is named after the layer's class and a counter; the layer's own name is an attribute of `vars`. `arrays`
tells how arrays are found in either.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edge_crnn.errors import ModelFileError

from ..hdf5.client import MAX_BYTES, MAX_TEXT_BYTES, Hdf5
from .arrays import ContainerWeights, NamedWeights
from .arrays import Part as Part
from .arrays import Weights as Weights

HDF5_MARK = b"\x89HDF\r\n\x1a\n"
_MAX_LAYERS = 10_000
_MAX_DEFLATE_RATIO = 100
"""Weights and JSON shrink by less; deflate itself reaches 1032."""
_MAX_DIRECTORY_BYTES = 1 << 20
_SAVED_MODEL = (
    "a SavedModel, TensorFlow's own form; load it with the TensorFlow that wrote it, and save it as HDF5:"
    " tf.keras.models.load_model('FOLDER').save('NAME.h5')"
)


@dataclass(frozen=True)
class KerasFile:
    """An open model file."""

    config: dict[str, Any]
    """Of the model: `class_name` and `config`."""
    weights: Weights
    keras2: bool = False
    """Whether a Keras before 3 wrote it."""


@contextlib.contextmanager
def open_keras_file(path: Path) -> Iterator[KerasFile]:
    """Open a `.keras` or whole-model `.h5` file.

    Raises:
        ModelFileError: no such file, no model file, or one that is damaged or hostile.
    """
    with opened(path) as (head, stream):
        if head == HDF5_MARK:
            check_name(path, "HDF5", (".h5", ".hdf5"))
            with Hdf5(head + stream.read()) as tree:
                yield _from_hdf5(tree)
        elif head.startswith(b"PK"):
            check_name(path, "ZIP", (".keras",))
            config, data, keras2 = _members(stream)
            with Hdf5(data) as tree:
                yield KerasFile(config, ContainerWeights(tree, layers_of(config)), keras2)
        else:
            found = f"it starts with {head!r}" if head else "it is empty"
            raise ModelFileError(f"no Keras model ({found}); name a .keras file or a whole-model .h5")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[bytes, IO[bytes]]]:
    """The first eight bytes of a file of bearable size, and the stream after them.

    Raises:
        ModelFileError: no such file, or too large.
    """
    if (path / "saved_model.pb").is_file() or path.name in ("saved_model.pb", "keras_metadata.pb"):
        raise ModelFileError(_SAVED_MODEL)
    if not path.is_file():
        kind = "a folder or device" if path.exists() else "no such file"
        raise ModelFileError(f"{kind}; name a trained model, .keras or .h5")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise ModelFileError(f"cannot be read ({error.strerror}); name a trained model, .keras or .h5") from error
    with stream:
        if (size := stream.seek(0, 2)) > MAX_BYTES:
            raise ModelFileError(f"{size:,} bytes; at most {MAX_BYTES:,} are read")
        stream.seek(0)
        yield stream.read(8), stream


def check_name(path: Path, content: str, suffixes: tuple[str, ...]) -> None:
    """Keras itself goes by the name, and would fail on this file much later."""
    if not path.name.endswith(suffixes):
        raise ModelFileError(
            f"holds {content}, but is named {path.suffix or 'without suffix'!r}; name it {suffixes[0]}"
        )


def layers_of(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The configurations of a model's layers.

    Raises:
        ModelFileError: there are none, too many, or one without name or class.
    """
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(layers, list) or not layers:
        raise ModelFileError(
            f"model of class {config.get('class_name')!r} lists no layers: its structure is in code that the file"
            " lacks; build it with the functional API or as Sequential, copy the weights, and save that"
        )
    if len(layers) > _MAX_LAYERS:
        raise ModelFileError(f"{len(layers):,} layers; at most {_MAX_LAYERS:,} are read")
    for layer in layers:
        settings = layer.get("config") if isinstance(layer, dict) else None
        if not isinstance(settings, dict) or not isinstance(layer.get("class_name"), str):
            raise ModelFileError(f"a layer has no class or no settings: {str(layer)[:100]}")
        name = layer.setdefault("name", settings.get("name"))
        if not isinstance(name, str) or not name:
            raise ModelFileError(f"a layer of class {layer['class_name']} has no name")
    return layers


def _from_hdf5(tree: Hdf5) -> KerasFile:
    text = tree.text("", "model_config")
    if text is None:
        raise ModelFileError(
            "this .h5 has no model_config: it holds weights only; give the network that they are of by --architecture"
            " model.json, a file with what model.to_json() gives, or build it in Keras, load the weights, and save the"
            " whole model: model.save('NAME.keras')"
        )
    keras2 = is_keras2(tree.text("", "keras_version") or "")
    return KerasFile(model_in(text, "model_config"), NamedWeights(tree, "model_weights"), keras2)


def is_keras2(version: str) -> bool:
    """Whether a Keras before 3 wrote what carries this version; early ones did not say theirs."""
    major = version.partition(".")[0]
    return not (major.isdecimal() and int(major) >= 3)


def model_in(text: str | bytes, origin: str) -> dict[str, Any]:
    """A model's configuration in JSON.

    Raises:
        ModelFileError: the text is something else.
    """
    config = _parsed(text, origin)
    if isinstance(config.get("config"), list):  # Sequential before Keras 2.2.3
        config["config"] = {"layers": config["config"]}
    return config


def _parsed(text: str | bytes, origin: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{origin} is no JSON ({error}); the file is damaged: copy or save it again") from error
    if not isinstance(config, dict):
        raise ModelFileError(f"{origin} holds {type(config).__name__}, expected a JSON object")
    return config


def _members(stream: IO[bytes]) -> tuple[dict[str, Any], bytes, bool]:
    """Configuration and weights file of a `.keras` archive, read by name, and whether Keras 2 wrote them."""
    _check_directory(stream)
    try:
        with zipfile.ZipFile(stream) as archive:
            for name in archive.namelist():
                if name.startswith("/") or "\\" in name or ".." in name.split("/"):
                    raise ModelFileError(f"its member {name!r} leads out of the archive; Keras writes no such thing")
            config = _member(archive, "config.json", MAX_TEXT_BYTES)
            weights = _member(archive, "model.weights.h5", MAX_BYTES)
            known = "metadata.json" in archive.namelist()
            metadata = _member(archive, "metadata.json", MAX_TEXT_BYTES) if known else b"{}"
    except ModelFileError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise ModelFileError(
            f"damaged ZIP ({error}); the file is cut short or changed: copy or save it again"
        ) from error
    version = _parsed(metadata, "metadata.json").get("keras_version", "3")
    return model_in(config, "config.json"), weights, is_keras2(str(version))


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise ModelFileError(
            f"this ZIP has no {name}, so it is no .keras model; save it with model.save('NAME.keras')"
        ) from error
    if info.file_size > min(limit, info.compress_size * _MAX_DEFLATE_RATIO):
        raise ModelFileError(
            f"{name} claims {info.file_size:,} bytes, packed in {info.compress_size:,};"
            f" at most {limit:,} are read, and {_MAX_DEFLATE_RATIO} times what is packed"
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelFileError(f"{name} is packed by method {info.compress_type}; Keras stores it: save the model anew")
    buffer = io.BytesIO()
    with archive.open(info) as member:
        shutil.copyfileobj(member, buffer, 1 << 20)  # ends at the claimed size
    return buffer.getvalue()


def _check_directory(stream: IO[bytes]) -> None:
    """Refuse a ZIP directory of absurd size, which `zipfile` would read whole."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - (22 + 0xFFFF)))  # the end record and the longest comment
    tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    if at >= 0 and directory > _MAX_DIRECTORY_BYTES:
        raise ModelFileError(f"its ZIP directory claims {directory:,} bytes; a .keras file has a few hundred")
