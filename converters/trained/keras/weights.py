"""Files of weights alone: one of `edge_crnn.training.architectures` is built, and takes its arrays by layer name.

| file | arrays |
|---|---|
| `save_weights` of Keras 2 | at `LAYER/.../kernel:0` |
| `.weights.h5` of Keras 3 | at `layers/CONTAINER/.../vars/0` |

Width and kind of the recurrent layers are told by the arrays' shapes, the rest by the spec beside the file, except for
the gates' function: nothing tells it, and the networks of before Keras 2.3 and after were trained with different ones.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from edge_crnn.errors import InputError, ModelFileError
from edge_crnn.model.spec import ModelSpec
from edge_crnn.training.architectures import ARCHITECTURES

from ...graph.layers import Array, Shape
from ..hdf5.client import Hdf5
from .file import (
    HDF5_MARK,
    ContainerWeights,
    KerasFile,
    NamedWeights,
    Part,
    Weights,
    check_name,
    is_keras2,
    layers_of,
    open_keras_file,
    opened,
)

Build: TypeAlias = Callable[..., dict[str, Any]]
"""(architecture, classes, *, width_px, height_px, recurrent_activation, width, rnn) → what Keras says of that model."""

GATES = ("sigmoid", "hard_sigmoid")
_MAX_SIDE = 4096
_NARROW = 1 / 64
"""Width at which a network is built to see its layers; all numbers of filters are multiples of 64."""
_ALIASES = {"con7": "conv7", "conv7": "con7"}
"""Published code spells this layer in both ways."""
_COUNTED_NORM = re.compile(r"batch_normalization(?:_(\d+))?")
"""A name that Keras gave; its counter goes on from model to model in a session."""


@dataclass(frozen=True)
class Structure:
    """What a file of weights alone does not say."""

    architecture: str
    """Key of `ARCHITECTURES`."""
    recurrent_activation: str
    """Of the gates, by the name that it has in the Keras that wrote the file."""
    classes: int
    width_px: int
    height_px: int
    build: Build = field(repr=False, compare=False)
    """What has Keras build the architecture, which nothing here does."""

    def __str__(self) -> str:
        return (
            f"network {self.architecture!r} for {self.width_px}×{self.height_px} pixels and {self.classes} classes, as"
            " its spec says"
        )


def structure_of(
    architecture: str | None, recurrent_activation: str | None, spec: ModelSpec, build: Build
) -> Structure:
    """The structure that a user names, which `build` builds.

    Raises:
        InputError: no such architecture or function, one without the other, or absurdly large images.
    """
    if architecture is None or architecture not in ARCHITECTURES:
        raise InputError(
            f"architecture {architecture!r}, expected {' or '.join(ARCHITECTURES)}, and for a file of weights alone; a"
            " whole model says its own gates' function"
        )
    if recurrent_activation is None or recurrent_activation not in GATES:
        raise InputError(
            f"recurrent activation {recurrent_activation!r}, expected {' or '.join(GATES)}: a file of weights does not"
            " tell it. Keras before 2.3 trained with hard_sigmoid unless told otherwise, later ones with sigmoid; the"
            " wrong one spoils the texts. Add --recurrent-activation"
        )
    image = spec.input
    if max(image.width, image.height) > _MAX_SIDE:
        raise InputError(
            f"images of {image.width}×{image.height} pixels; at most {_MAX_SIDE:,} either way are built for"
        )
    return Structure(architecture, recurrent_activation, spec.output.classes, image.width, image.height, build)


@contextlib.contextmanager
def open_model(path: Path, structure: Structure | None = None) -> Iterator[KerasFile]:
    """Open a model file, or with a structure a file of weights alone.

    Raises:
        ModelFileError: no such file, no model file, one that is damaged or hostile, or weights of another network.
        BackendUnavailable: Keras, which builds the network of a structure, is not installed.
    """
    if structure is None:
        with open_keras_file(path) as file:
            yield file
        return
    with opened(path) as (head, stream):
        if head != HDF5_MARK:
            raise ModelFileError("no HDF5 of weights alone; leave out --architecture, or name a .h5 file")
        with Hdf5(head + stream.read()) as tree:
            yield _built(path, tree, structure)


def _built(path: Path, tree: Hdf5, structure: Structure) -> KerasFile:
    if tree.text("", "model_config") is not None:
        raise ModelFileError("this file holds a whole model, which says its own structure; leave out --architecture")
    layers = layers_of(_config(structure, width=_NARROW))
    in_containers = bool(tree.names("layers") or tree.names("_layer_checkpoint_dependencies"))
    weights: ContainerWeights | NamedWeights
    if in_containers:
        check_name(path, "weights in Keras 3's form", (".weights.h5",))
        weights = ContainerWeights(tree, layers)
        if structure.recurrent_activation == "hard_sigmoid" and not weights.named:
            raise ModelFileError(
                "does not tell whether Keras 2 or Keras 3 wrote it, whose hard_sigmoid are two functions; load the"
                " weights there, and save the whole model"
            )
    else:
        if path.name.endswith(".weights.h5"):
            raise ModelFileError("holds weights in Keras 2's form, but is named as in Keras 3's; name it NAME.h5")
        check_name(path, "HDF5", (".h5", ".hdf5"))
        weights = NamedWeights(tree, "")
    names = _names(layers, weights.groups)
    _refuse_others(tree, weights.groups, names, structure)
    config = _config(structure, **_sizes(tree, weights.groups, names, layers))
    keras2 = not in_containers and is_keras2(tree.text("", "keras_version") or "")
    return KerasFile(config, _Renamed(weights, names, structure), keras2)


def _config(structure: Structure, **sizes: Any) -> dict[str, Any]:
    """What Keras says of the network once built."""
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
    """The network's layers → their names in the file, for those that are there; norms that Keras named go in order."""
    names = {}
    for layer in layers:
        name = layer["name"]
        if not _COUNTED_NORM.fullmatch(name):
            names[name] = name if name in stored else _ALIASES.get(name, name)
    ours = [layer["name"] for layer in layers if _COUNTED_NORM.fullmatch(layer["name"])]
    found = {name: match for name in stored if (match := _COUNTED_NORM.fullmatch(name))}
    theirs = sorted(found, key=lambda name: int(found[name][1] or 0))
    if len(ours) != len(theirs):
        raise ModelFileError(f"{len(theirs)} batch norms, the network has {len(ours)}: weights of another network")
    return {name: each for name, each in {**names, **dict(zip(ours, theirs, strict=True))}.items() if each in stored}


def _refuse_others(tree: Hdf5, groups: Mapping[str, str], names: Mapping[str, str], structure: Structure) -> None:
    """Refuse weights for which the network has no place."""
    for name in groups.keys() - names.values():
        if tree.arrays(groups[name]):
            raise ModelFileError(
                f"has weights of a layer {name!r}, which {structure} lacks: weights of another network"
            )


def _sizes(
    tree: Hdf5, groups: Mapping[str, str], names: Mapping[str, str], layers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The options of `ARCHITECTURES` that shapes tell; the layer with most filters tells the width most closely."""

    def stored(layer: Mapping[str, Any], rank: int, *roles: str) -> Shape:
        group = groups.get(names.get(layer["name"], ""))
        for path in () if group is None else tree.arrays(group):
            shape = tree.shape(path) or ()
            if path.rpartition("/")[2].removesuffix(":0") in roles and len(shape) == rank and min(shape) > 0:
                return shape
        raise ModelFileError(f"no weights for layer {layer['name']!r}: weights of another network")

    convolutions = (each for each in layers if each["class_name"] == "Conv2D")
    widest = max(convolutions, key=lambda each: int(each["config"]["filters"]))
    recurrent = next(each for each in layers if each["class_name"] in ("LSTM", "Bidirectional"))
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
