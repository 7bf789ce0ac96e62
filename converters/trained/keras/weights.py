"""Opens weights-only files, whose structure comes from elsewhere.

The structure is a JSON file that `model.to_json()` has written, or one of `edge_crnn.training.architectures`, as Keras
builds it. Arrays are found by layer name.

| file | arrays |
|---|---|
| `save_weights` of Keras 2 | at `LAYER/.../kernel:0` |
| `.weights.h5` of Keras 3 | at `layers/CONTAINER/.../vars/0` |

The arrays' shapes give the width of a seed architecture and the kind of its recurrent layers; the spec beside the file
gives the rest, except for the gates' function: nothing states it, and its default changed with Keras 2.3.
"""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from edge_crnn.errors import InputError, ModelFileError
from edge_crnn.model.spec import ModelSpec
from edge_crnn.training.architectures import ARCHITECTURES

from ...graph.cells import Array
from ...graph.nodes import Shape
from ..hdf5.client import MAX_TEXT_BYTES, Hdf5
from .arrays import ITSELF, ContainerWeights, NamedWeights, Part, Weights
from .file import HDF5_MARK, KerasFile, check_name, is_keras2, layers_of, model_in, open_keras_file, opened

Build: TypeAlias = Callable[..., dict[str, Any]]
"""(architecture, classes, *, width_px, height_px, recurrent_activation, width, rnn) → Keras' configuration of it."""

GATES = ("sigmoid", "hard_sigmoid")
_MAX_SIDE = 4096
_NARROW = 1 / 64
"""Width at which a network is built to list its layers; all numbers of filters are multiples of 64."""
_ALIASES = {"con7": "conv7", "conv7": "con7"}
"""Published code spells the name of this layer in two ways."""
_COUNTER = re.compile(r"_(\d{1,9})$")
_COUNTED_NORM = re.compile(r"batch_normalization(?:_(\d{1,9}))?")
"""A name that Keras generated; its counter continues from model to model in a session."""


class Structure(ABC):
    """The structure that a weights-only file lacks."""

    @abstractmethod
    def file(self, path: Path, tree: Hdf5) -> KerasFile:
        """Open the structure together with the weights at `path`.

        Raises:
            ModelFileError: they are weights of another network, or in no form that Keras writes.
        """


@dataclass(frozen=True)
class JsonStructure(Structure):
    """The structure in the JSON of a model."""

    origin: Path
    config: Mapping[str, Any] = field(repr=False)
    keras2: bool
    """Whether Keras 2 wrote it."""

    @classmethod
    def read(cls, path: Path) -> JsonStructure:
        """Read what `model.to_json()` has written.

        Raises:
            ModelFileError: no such file, too large, or no model in JSON.
        """
        try:
            with opened(path) as (head, stream):
                data = head + stream.read(MAX_TEXT_BYTES)
            if len(data) > MAX_TEXT_BYTES:
                raise ModelFileError(f"more than {MAX_TEXT_BYTES:,} bytes; no model's structure is as long")
            config = model_in(data, "it")
            layers = layers_of(config)
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}; expected what model.to_json() gives"[:1000]) from error
        version = str(config.get("keras_version", "2" if not any("module" in layer for layer in layers) else "3"))
        return cls(path, config, is_keras2(version))

    def __str__(self) -> str:
        return f"the network in {self.origin.name}"

    def file(self, path: Path, tree: Hdf5) -> KerasFile:
        """See `Structure.file`."""
        config = dict(self.config)
        layers = layers_of(config)
        weights = _stored(path, tree, layers)
        names = _paired([layer["name"] for layer in layers], weights.groups)
        _refuse_others(tree, weights.groups, names, self)
        return KerasFile(config, _Renamed(weights, names, self), self.keras2)


@dataclass(frozen=True)
class SeedStructure(Structure):
    """A seed architecture."""

    architecture: str
    """Key of `ARCHITECTURES`."""
    recurrent_activation: str
    """Function of the gates, by its name in the Keras that wrote the file."""
    classes: int
    width_px: int
    height_px: int
    build: Build = field(repr=False, compare=False)
    """The function that makes Keras build the architecture, which nothing here does."""

    def __str__(self) -> str:
        return (
            f"network {self.architecture!r} for {self.width_px}×{self.height_px} pixels and {self.classes} classes, as"
            " its spec says"
        )

    def file(self, path: Path, tree: Hdf5) -> KerasFile:
        """See `Structure.file`."""
        layers = layers_of(_config(self, width=_NARROW))
        weights = _stored(path, tree, layers)
        in_containers = isinstance(weights, ContainerWeights)
        if isinstance(weights, ContainerWeights) and self.recurrent_activation == "hard_sigmoid" and not weights.named:
            raise ModelFileError(
                "does not tell whether Keras 2 or Keras 3 wrote it, whose hard_sigmoid are two functions; load the"
                " weights there, and save the whole model"
            )
        names = _names(layers, weights.groups)
        _refuse_others(tree, weights.groups, names, self)
        config = _config(self, **_sizes(tree, weights.groups, names, layers))
        keras2 = not in_containers and is_keras2(tree.text("", "keras_version") or "")
        return KerasFile(config, _Renamed(weights, names, self), keras2)


def structure_of(
    architecture: str | None, recurrent_activation: str | None, spec_of: Callable[[], ModelSpec], build: Build
) -> Structure:
    """Make the structure that a user names.

    Args:
        architecture: a seed architecture, or a JSON file.
        recurrent_activation: the gates' function of a seed architecture.
        spec_of: gives the model's spec, which a seed architecture needs.
        build: what builds a seed architecture.

    Raises:
        InputError: no such architecture or function, one without the other, or absurdly large images.
        ModelFileError: the JSON file cannot be read, or holds no model.
    """
    if architecture is not None and architecture.endswith(".json"):
        if recurrent_activation is not None:
            raise InputError(f"{architecture} says the gates' function itself; leave out --recurrent-activation")
        return JsonStructure.read(Path(architecture))
    if architecture is None or architecture not in ARCHITECTURES:
        raise InputError(
            f"architecture {architecture!r}, expected {' or '.join(ARCHITECTURES)} or a .json file with what"
            " model.to_json() gives, and for a file of weights alone; a whole model says its own gates' function"
        )
    if recurrent_activation is None or recurrent_activation not in GATES:
        raise InputError(
            f"recurrent activation {recurrent_activation!r}, expected {' or '.join(GATES)}: a file of weights does not"
            " tell it. Keras before 2.3 trained with hard_sigmoid unless told otherwise, later ones with sigmoid; the"
            " wrong one spoils the texts. Add --recurrent-activation"
        )
    spec = spec_of()
    image = spec.input
    if max(image.width, image.height) > _MAX_SIDE:
        raise InputError(
            f"images of {image.width}×{image.height} pixels; at most {_MAX_SIDE:,} either way are built for"
        )
    return SeedStructure(architecture, recurrent_activation, spec.output.classes, image.width, image.height, build)


@contextlib.contextmanager
def open_model(path: Path, structure: Structure | None = None) -> Iterator[KerasFile]:
    """Open a model file, or a weights-only file with its structure.

    Raises:
        ModelFileError: no such file, no model file, one that is damaged or hostile, or weights of another network.
        BackendUnavailable: Keras, which builds a seed architecture, is not installed.
    """
    if structure is None:
        with open_keras_file(path) as file:
            yield file
        return
    with opened(path) as (head, stream):
        if head != HDF5_MARK:
            raise ModelFileError("no HDF5 of weights alone; leave out --architecture, or name a .h5 file")
        with Hdf5(head + stream.read()) as tree:
            if tree.text("", "model_config") is not None:
                raise ModelFileError(
                    "this file holds a whole model, which says its own structure; leave out --architecture"
                )
            yield structure.file(path, tree)


def _stored(path: Path, tree: Hdf5, layers: list[dict[str, Any]]) -> ContainerWeights | NamedWeights:
    """Return the weights in the form that Keras expects in a file of this name."""
    if tree.names("layers") or tree.names("_layer_checkpoint_dependencies"):
        check_name(path, "weights in Keras 3's form", (".weights.h5",))
        return ContainerWeights(tree, layers)
    if path.name.endswith(".weights.h5"):
        raise ModelFileError("holds weights in Keras 2's form, but is named as in Keras 3's; name it NAME.h5")
    check_name(path, "HDF5", (".h5", ".hdf5"))
    return NamedWeights(tree, "")


def _paired(names: Iterable[str], stored: Iterable[str]) -> dict[str, str]:
    """Map the layers of the network to their names in the file.

    Keras counts on from model to model in a session, so names may differ in their counters, but not in their order.
    """
    theirs = _by_kind(stored)
    pairs: dict[str, str] = {}
    for kind, own in _by_kind(names).items():
        other = theirs.get(kind, [])
        same = [name for name in own if name in other]
        pairs.update(zip(own, other, strict=True) if len(own) == len(other) else zip(same, same, strict=True))
    return pairs


def _by_kind(names: Iterable[str]) -> dict[str, list[str]]:
    """Group names by their stem, in the order of their counters."""

    def counter(name: str) -> int:
        match = _COUNTER.search(name)
        return int(match[1]) if match else 0

    kinds: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: (counter(name), name)):
        kinds.setdefault(_COUNTER.sub("", name), []).append(name)
    return kinds


def _config(structure: SeedStructure, **sizes: Any) -> dict[str, Any]:
    """Return Keras' configuration of the network."""
    try:
        return structure.build(
            structure.architecture,
            structure.classes,
            width_px=structure.width_px,
            height_px=structure.height_px,
            recurrent_activation=structure.recurrent_activation,
            **sizes,
        )
    except InputError as error:
        raise ModelFileError(f"{structure} cannot be built ({error})") from error


def _names(layers: Sequence[Mapping[str, Any]], stored: Mapping[str, str]) -> dict[str, str]:
    """Map the network's layers to their names in the file, if present; norms that Keras named are matched in order."""
    names = {}
    for layer in layers:
        name = layer["name"]
        if not _COUNTED_NORM.fullmatch(name):
            names[name] = name if name in stored else _ALIASES.get(name, name)
    ours = [layer["name"] for layer in layers if _COUNTED_NORM.fullmatch(layer["name"])]
    norms = {name: match for name in stored if (match := _COUNTED_NORM.fullmatch(name))}
    theirs = sorted(norms, key=lambda name: int(norms[name][1] or 0))
    if len(ours) != len(theirs):
        raise ModelFileError(f"{len(theirs)} batch norms, the network has {len(ours)}: weights of another network")
    return {
        name: stored_name
        for name, stored_name in {**names, **dict(zip(ours, theirs, strict=True))}.items()
        if stored_name in stored
    }


def _refuse_others(tree: Hdf5, groups: Mapping[str, str], names: Mapping[str, str], structure: Structure) -> None:
    """Reject weights for which the network has no layer."""
    for name in groups.keys() - names.values():
        if tree.arrays(groups[name]):
            raise ModelFileError(
                f"has weights of a layer {name!r}, which {structure} lacks: weights of another network"
            )


def _sizes(
    tree: Hdf5, groups: Mapping[str, str], names: Mapping[str, str], layers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Derive options of `ARCHITECTURES` from shapes; the layer with most filters gives the most precise width."""

    def stored(layer: Mapping[str, Any], rank: int, *roles: str) -> Shape:
        group = groups.get(names.get(layer["name"], ""))
        for path in () if group is None else tree.arrays(group):
            shape = tree.shape(path) or ()
            if path.rpartition("/")[2].removesuffix(":0") in roles and len(shape) == rank and min(shape) > 0:
                return shape
        raise ModelFileError(f"no weights for layer {layer['name']!r}: weights of another network")

    convolutions = (layer for layer in layers if layer["class_name"] == "Conv2D")
    widest = max(convolutions, key=lambda layer: int(layer["config"]["filters"]))
    recurrent = next(layer for layer in layers if layer["class_name"] in ("LSTM", "Bidirectional"))
    *_, filters = stored(widest, 4, "kernel", "0")
    units, gates = stored(recurrent, 2, "recurrent_kernel", "1")
    width = _NARROW * filters / widest["config"]["filters"]
    return {"width": width, "rnn": "gru" if gates == 3 * units else "lstm"}


@dataclass(frozen=True)
class _Renamed:
    """The file's weights under the network's names."""

    weights: Weights
    names: Mapping[str, str]
    structure: Structure

    def read(self, layer: str, part: Part, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """See `Weights.read`."""
        if layer not in self.names:
            raise ModelFileError(f"no weights for layer {layer!r} of {self.structure}")
        try:
            return self.weights.read(self.names[layer], part, shapes)
        except ModelFileError as error:
            raise ModelFileError(f"{error} ({self.structure})") from error.__cause__

    def shape(self, layer: str, part: Part, role: str, index: int) -> Shape | None:
        """See `Weights.shape`."""
        return self.weights.shape(self.names.get(layer, layer), part, role, index)

    def inside(self, layer: str, entries: list[dict[str, Any]], part: Part = ITSELF) -> Weights:
        """See `Weights.inside`."""
        return self.weights.inside(self.names.get(layer, layer), entries, part)
