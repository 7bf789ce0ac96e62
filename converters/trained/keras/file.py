"""Keras' model files: file → configuration and weights by layer name. No code in them is run, no other file opened.

| file | configuration | weights |
|---|---|---|
| `.keras` (ZIP) | member `config.json` | in member `model.weights.h5`, at `layers/CONTAINER/.../vars/0` |
| `.h5` (HDF5) | attribute `model_config` | at `model_weights/LAYER/.../kernel`, `kernel:0` in Keras 2 |

A container is named after the layer's class and a counter; the layer's own name is an attribute of `vars`.
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
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from edge_crnn.errors import ModelFileError

from ...graph.layers import Array, Shape
from ..hdf5.client import MAX_BYTES, MAX_TEXT_BYTES, Hdf5

HDF5_MARK = b"\x89HDF\r\n\x1a\n"
_MAX_LAYERS = 10_000
_MAX_DEFLATE_RATIO = 100
"""Weights and JSON shrink by less; deflate itself reaches 1032."""
_MAX_DIRECTORY_BYTES = 1 << 20


@dataclass(frozen=True)
class Part:
    """Where inside a layer its arrays are; empty for the layer itself."""

    attributes: str = ""
    """Keras 3: attribute path, such as `forward_layer/cell`."""
    name: str = ""
    """HDF5 models: names of the wrapped layer and of a cell in it, as in `forward_lstm` or `forward_rnn/lstm_cell`."""


class Weights(Protocol):
    """Arrays by layer name."""

    def read(self, layer: str, part: Part, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """One array for each role (`kernel`, `bias`, ... in Keras' order), of the given shape.

        Raises:
            ModelFileError: an array is missing, of another shape, not finite, or not stored plainly.
        """
        ...


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


class ContainerWeights:
    """Weights in a `.keras` file: groups named after classes, with the layer's name as an attribute."""

    def __init__(self, tree: Hdf5, layers: list[dict[str, Any]]) -> None:
        self._tree = tree
        root = next((name for name in ("layers", "_layer_checkpoint_dependencies") if tree.names(name)), "layers")
        named = [(tree.text(f"{root}/{each}/vars", "name"), f"{root}/{each}") for each in tree.names(root)]
        self.groups = {name: group for name, group in named if name is not None}
        """Where the arrays are, by layer name."""
        self.named = bool(self.groups)
        """Whether the file names its layers; those of Keras 2 and of early Keras 3 do not."""
        if len(self.groups) != sum(name is not None for name, _ in named):
            raise ModelFileError("two groups of weights carry the name of one layer; save the model anew")
        if not self.named:
            self.groups = {
                layer["name"]: f"{root}/{name}" for layer, name in zip(layers, _containers(layers), strict=True)
            }

    def read(self, layer: str, part: Part, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """See `Weights.read`; arrays have numbers, in the order of the roles."""
        if layer not in self.groups:
            raise ModelFileError(f"no weights for layer {layer!r}; save the model anew")
        group = "/".join(filter(None, (self.groups[layer], part.attributes, "vars")))
        with _naming(layer):
            return {role: self._tree.array(f"{group}/{i}", shape) for i, (role, shape) in enumerate(shapes.items())}


class NamedWeights:
    """Weights in an `.h5` file: groups named after layers, arrays after their role."""

    def __init__(self, tree: Hdf5, root: str) -> None:
        self._tree = tree
        self.groups = {name: f"{root}/{name}".removeprefix("/") for name in tree.names(root)}
        """Where the arrays are, by layer name."""

    def read(self, layer: str, part: Part, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """See `Weights.read`; arrays have the names of their roles."""
        if layer not in self.groups:
            raise ModelFileError(f"no weights for layer {layer!r}; save the model anew")
        group = self.groups[layer]
        arrays = {}
        with _naming(layer):
            paths = self._tree.arrays(group)
            for role, shape in shapes.items():
                fitting = [path for path in paths if _fits(path.removeprefix(group).split("/"), role, part.name)]
                if len(fitting) != 1:
                    raise ModelFileError(f"{len(fitting)} arrays {role!r} in {group!r}, expected one")
                arrays[role] = self._tree.array(fitting[0], shape)
        return arrays


@contextlib.contextmanager
def _naming(layer: str) -> Iterator[None]:
    """Say in an error whose weights were read."""
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"layer {layer!r}: {error}") from error.__cause__


def _fits(names: list[str], role: str, wrapped: str) -> bool:
    return names[-1].removesuffix(":0") == role and all(each in names[:-1] for each in wrapped.split("/") if each)


def _containers(layers: list[dict[str, Any]]) -> Iterator[str]:
    """Keras' own names of the groups: class in snake case, counted in layer order; operations have none."""
    used: dict[str, int] = {}
    for layer in layers:
        if str(layer.get("module")).startswith("keras.src.ops"):
            yield ""
            continue
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", layer["class_name"]))
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        count = used[name] = used.get(name, -1) + 1
        yield f"{name}_{count}" if count else name


def _from_hdf5(tree: Hdf5) -> KerasFile:
    text = tree.text("", "model_config")
    if text is None:
        raise ModelFileError(
            "this .h5 has no model_config: it holds weights only; name the network that they are of by --architecture,"
            " or build it in Keras, load the weights, and save the whole model: model.save('NAME.keras')"
        )
    keras2 = is_keras2(tree.text("", "keras_version") or "")
    return KerasFile(_parsed(text, "model_config"), NamedWeights(tree, "model_weights"), keras2)


def is_keras2(version: str) -> bool:
    """Whether a Keras before 3 wrote what carries this version; early ones did not say theirs."""
    major = version.partition(".")[0]
    return not (major.isdecimal() and int(major) >= 3)


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
    return _parsed(config, "config.json"), weights, is_keras2(str(version))


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
