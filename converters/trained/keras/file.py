"""Reads Keras' model files: configuration, and weights by layer name. No code in them is run, and no other file opened.

| file | configuration | weights |
|---|---|---|
| `.keras` (ZIP) | member `config.json` | in member `model.weights.h5`, at `layers/CONTAINER/.../vars/0` |
| `.h5` (HDF5) | attribute `model_config` | at `model_weights/LAYER/.../kernel`, `kernel:0` in Keras 2 |

A container is named after the layer's class and a counter; the layer's own name is an attribute of `vars`. `arrays`
defines how arrays are found in both.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from edge_crnn.errors import BackendUnavailable, EdgeCrnnError, ModelFileError

from ..hdf5.client import MAX_BYTES, MAX_TEXT_BYTES, Hdf5, require_library
from ..kinds import advice_on_archive, advice_on_file, advice_on_folder
from .arrays import ContainerWeights, NamedWeights, UnreadWeights
from .arrays import Part as Part
from .arrays import Weights as Weights

HDF5_MARK = b"\x89HDF\r\n\x1a\n"
_MAX_LAYERS = 10_000
_MAX_DEFLATE_RATIO = 100
"""Largest compression ratio; weights and JSON compress less, and deflate itself reaches 1032."""
_MAX_DIRECTORY_BYTES = 1 << 20
_ASSETS = "assets/"
_VOCABULARY = "/vocabulary.txt"
_MAX_ASSETS = 100
_WEIGHTS = ("layers", "_layer_checkpoint_dependencies", "top_level_model_weights")
"""Groups in Keras 3's weights-only files."""
_ROLES = re.compile(r"(kernel|bias|gamma|beta|moving_mean|[WUb])(_\d+)?(:0)?")
"""Names of arrays in Keras 2's weights-only files."""


@dataclass(frozen=True)
class KerasFile:
    """An open model file."""

    config: dict[str, Any]
    """The model's configuration: `class_name` and `config`."""
    weights: Weights
    keras2: bool = False
    """Whether Keras 2 wrote it."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """What the model was compiled with."""
    assets: Mapping[str, str] = field(default_factory=dict)
    """Place of a layer in the file → the text that it keeps beside its weights, such as a vocabulary."""
    unread: BackendUnavailable | None = None
    """The reason why the weights could not be read, so that they are `UnreadWeights`."""


@contextlib.contextmanager
def open_keras_file(path: Path) -> Iterator[KerasFile]:
    """Open a `.keras` or whole-model `.h5` file.

    Without the HDF5 library, a `.keras` file is opened without its weights.

    Raises:
        ModelFileError: no such file, no model file, or one that is damaged or hostile.
        BackendUnavailable: it is an `.h5` file, and the HDF5 library is not installed.
    """
    with opened(path) as (head, stream):
        if head == HDF5_MARK:
            check_name(path, "HDF5", (".h5", ".hdf5"))
            with Hdf5(head + stream.read()) as tree:
                yield _from_hdf5(tree)
        elif head.startswith(b"PK"):
            config, data, keras2, assets = _members(stream)
            check_name(path, "ZIP", (".keras",))
            training = config.get("compile_config")
            file = KerasFile(config, UnreadWeights(), keras2, training if isinstance(training, dict) else {}, assets)
            try:
                require_library()
            except BackendUnavailable as error:
                yield replace(file, unread=error)
                return
            with Hdf5(data) as tree:
                yield replace(file, weights=ContainerWeights(tree, layers_of(config)))
        else:
            raise ModelFileError(advice_on_file(path))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[bytes, IO[bytes]]]:
    """Open a file of acceptable size; return its first eight bytes and the stream after them.

    Raises:
        ModelFileError: no such file, or too large.
    """
    if (advice := advice_on_folder(path)) is not None:
        raise ModelFileError(advice)
    if not path.is_file():
        kind = "a folder or device" if path.exists() else "no such file"
        raise ModelFileError(f"{kind}; name a trained model, .keras or .h5")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise ModelFileError(f"cannot be read ({error.strerror}); name a trained model, .keras or .h5") from error
    with stream:
        try:
            if (size := stream.seek(0, 2)) > MAX_BYTES:
                raise ModelFileError(f"{size:,} bytes; at most {MAX_BYTES:,} are read")
            stream.seek(0)
            yield stream.read(8), stream
        except OSError as error:
            if isinstance(error, EdgeCrnnError):
                raise
            reason = error.strerror or error
            raise ModelFileError(f"cannot be read ({reason}); check the disk, or copy it again") from error


def check_name(path: Path, content: str, suffixes: tuple[str, ...]) -> None:
    """Check the suffix, because Keras itself relies on it and would fail much later."""
    if not path.name.endswith(suffixes):
        raise ModelFileError(
            f"holds {content}, but is named {path.suffix or 'without suffix'!r}; name it {suffixes[0]}"
        )


def layers_of(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the configurations of a model's layers.

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
        if not any(tree.names(group) for group in _WEIGHTS) and not any(map(_is_weight, tree.arrays(""))):
            raise ModelFileError("HDF5, but not written by Keras; name the trained model, .keras or .h5")
        raise ModelFileError(
            "this .h5 has no model_config: it holds weights only; give the network that they are of by --architecture"
            " model.json, which your training code writes: open('model.json', 'w').write(model.to_json()); or build it"
            " in Keras, load the weights, and save the whole model: model.save('NAME.keras')"
        )
    keras2 = is_keras2(tree.text("", "keras_version") or "")
    training: dict[str, Any] = {}
    with contextlib.suppress(ModelFileError):  # nothing is converted of it
        training = _parsed(tree.text("", "training_config") or "{}", "training_config")
    return KerasFile(model_in(text, "model_config"), NamedWeights(tree, "model_weights"), keras2, training)


def _is_weight(path: str) -> bool:
    return _ROLES.search(path.rpartition("/")[2]) is not None


def is_keras2(version: str) -> bool:
    """Return whether this version means Keras 2; early versions did not record theirs."""
    major = version.partition(".")[0]
    return not (major.isdecimal() and int(major) >= 3)


def model_in(text: str | bytes, origin: str) -> dict[str, Any]:
    """Read a model's configuration from JSON.

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


def _members(stream: IO[bytes]) -> tuple[dict[str, Any], bytes, bool, dict[str, str]]:
    """Read the configuration and weights of a `.keras` archive, whether Keras 2 wrote it, and its vocabularies."""
    _check_directory(stream)
    try:
        with zipfile.ZipFile(stream) as archive:
            for name in archive.namelist():
                if name.startswith("/") or "\\" in name or ".." in name.split("/"):
                    raise ModelFileError(
                        f"its member {name!r} leads out of the archive, which Keras never writes: save the model again"
                    )
            if "config.json" not in archive.namelist() and (advice := advice_on_archive(archive)) is not None:
                raise ModelFileError(advice)
            config = _member(archive, "config.json", MAX_TEXT_BYTES)
            weights = _member(archive, "model.weights.h5", MAX_BYTES)
            has_metadata = "metadata.json" in archive.namelist()
            metadata = _member(archive, "metadata.json", MAX_TEXT_BYTES) if has_metadata else b"{}"
            texts = [name for name in archive.namelist() if name.startswith(_ASSETS) and name.endswith(_VOCABULARY)]
            assets = {
                name.removeprefix(_ASSETS).removesuffix(_VOCABULARY): _member(archive, name, MAX_TEXT_BYTES).decode(
                    errors="replace"
                )
                for name in texts[:_MAX_ASSETS]
            }
    except ModelFileError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise ModelFileError(
            f"damaged ZIP ({error}); the file is cut short or changed: copy or save it again"
        ) from error
    version = _parsed(metadata, "metadata.json").get("keras_version", "3")
    return model_in(config, "config.json"), weights, is_keras2(str(version)), assets


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
        raise ModelFileError(f"{name} is packed by method {info.compress_type}; Keras stores it: save the model again")
    buffer = io.BytesIO()
    with archive.open(info) as member:
        shutil.copyfileobj(member, buffer, 1 << 20)  # ends at the claimed size
    return buffer.getvalue()


def _check_directory(stream: IO[bytes]) -> None:
    """Reject an absurdly large ZIP directory, which `zipfile` would read as a whole."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - (22 + 0xFFFF)))  # the end record and the longest comment
    tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    if at >= 0 and directory > _MAX_DIRECTORY_BYTES:
        raise ModelFileError(f"its ZIP directory claims {directory:,} bytes; a .keras file has a few hundred")
