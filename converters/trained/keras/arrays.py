"""Finds the arrays of a Keras file by layer name, role and part, also in nested models.

A `.keras` file has a group for each layer, which is named after its class and a counter; the layer's own name is an
attribute of the group's `vars`, and the layers of a nested model are in the group's own `layers`.

An `.h5` file has a group for each layer of the outermost model alone. Below it the names of models and layers are in
an array's path, or are not, depending on where the array was made.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Protocol

import numpy as np

from edge_crnn.errors import ModelFileError

from ...graph.cells import Array
from ...graph.nodes import Shape
from ..hdf5.client import Hdf5
from .config import MAX_SIZE


@dataclass(frozen=True)
class Part:
    """The part of a layer that arrays belong to; empty for the layer itself."""

    attributes: str = ""
    """Keras 3: attribute path, such as `forward_layer/cell`."""
    name: str = ""
    """HDF5 models: names of the wrapped layer and of a cell in it, as in `forward_lstm` or `forward_rnn/lstm_cell`."""


ITSELF = Part()


class Weights(Protocol):
    """Access to arrays by layer name."""

    def read(self, layer: str, part: Part, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """Read an array of its shape for each role: `kernel`, `bias`, ... in the order in which Keras makes them.

        Raises:
            ModelFileError: an array is missing, of another shape, not finite, or not stored plainly.
        """
        ...

    def shape(self, layer: str, part: Part, role: str, index: int) -> Shape | None:
        """The shape of the array of a role, the part's `index`-th, where no setting tells it; None: there is none."""
        ...

    def inside(self, layer: str, entries: list[dict[str, Any]], part: Part = ITSELF) -> Weights:
        """Return the weights of a model within the model.

        Args:
            layer: name of the layer that the inner model is, or is a part of.
            entries: the configurations of the inner model's layers, as from `layers_of`.
            part: where in the layer the inner model is.

        Raises:
            ModelFileError: two layers share a name.
        """
        ...


class UnreadWeights:
    """Weights that cannot be read: arrays of ones, in the expected shapes."""

    def read(self, layer: str, part: Part, shapes: Mapping[str, Shape]) -> dict[str, Array]:  # noqa: ARG002
        """See `Weights.read`."""
        if large := [shape for shape in shapes.values() if math.prod(shape) > MAX_SIZE]:
            raise ModelFileError(f"layer {layer!r}: weights of shape {large[0]}; at most {MAX_SIZE:,} values are read")
        return {role: np.ones(shape, np.float32) for role, shape in shapes.items()}

    def shape(self, layer: str, part: Part, role: str, index: int) -> Shape | None:  # noqa: ARG002
        """See `Weights.shape`."""
        return None

    def inside(self, layer: str, entries: list[dict[str, Any]], part: Part = ITSELF) -> UnreadWeights:  # noqa: ARG002
        """See `Weights.inside`."""
        return self


class ContainerWeights:
    """Weights in a `.keras` file: groups named after classes, with the layer's name as an attribute."""

    def __init__(self, tree: Hdf5, layers: list[dict[str, Any]], path: str = "") -> None:
        self._tree = tree
        self._inner: dict[tuple[str, Part], ContainerWeights] = {}
        roots = [_joined(path, name) for name in ("layers", "_layer_checkpoint_dependencies")]
        root = next((root for root in roots if tree.names(root)), roots[0])
        groups = [_joined(root, name) for name in tree.names(root)]
        named = [(tree.text(f"{group}/vars", "name"), group) for group in groups]
        self.groups = {name: group for name, group in named if name is not None}
        """Layer name → where its arrays are."""
        self.named = bool(self.groups)
        """Whether the file names its layers; files of Keras 2 and of early Keras 3 do not."""
        if len(self.groups) != sum(name is not None for name, _ in named):
            raise ModelFileError("two groups of weights carry the name of one layer; save the model again")
        if not self.named:
            self.groups = {
                layer["name"]: f"{root}/{name}" for layer, name in zip(layers, containers(layers), strict=True)
            }

    def read(self, layer: str, part: Part, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """See `Weights.read`; arrays have numbers, in the order of the roles."""
        group = _joined(_entry(self.groups, layer), part.attributes, "vars")
        with _naming(layer):
            return {role: self._tree.array(f"{group}/{i}", shape) for i, (role, shape) in enumerate(shapes.items())}

    def shape(self, layer: str, part: Part, role: str, index: int) -> Shape | None:  # noqa: ARG002 - has no roles
        """See `Weights.shape`."""
        return self._tree.shape(_joined(_entry(self.groups, layer), part.attributes, "vars", str(index)))

    def inside(self, layer: str, entries: list[dict[str, Any]], part: Part = ITSELF) -> ContainerWeights:
        """See `Weights.inside`."""
        if (layer, part) not in self._inner:
            place = _joined(_entry(self.groups, layer), part.attributes)
            with _naming(layer):
                self._inner[layer, part] = ContainerWeights(self._tree, entries, place)
        return self._inner[layer, part]


class NamedWeights:
    """Weights in an `.h5` file: groups named after the outermost model's layers, arrays after their role."""

    def __init__(self, tree: Hdf5, root: str) -> None:
        self._tree = tree
        self._arrays: dict[str, _Group] = {}
        self._inner: dict[tuple[str, Part], _InnerWeights] = {}
        self.groups = {name: _joined(root, name) for name in tree.names(root)}
        """Layer name → where its arrays are."""

    def read(self, layer: str, part: Part, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """See `Weights.read`; arrays have the names of their roles."""
        return self._group(layer).read(layer, _Scope("", part), shapes)

    def shape(self, layer: str, part: Part, role: str, index: int) -> Shape | None:  # noqa: ARG002 - has no order
        """See `Weights.shape`."""
        return self._group(layer).shape(_Scope("", part), role)

    def inside(self, layer: str, entries: list[dict[str, Any]], part: Part = ITSELF) -> _InnerWeights:
        """See `Weights.inside`."""
        if (layer, part) not in self._inner:
            scope = _Scope("", part, frozenset({layer, *part.name.split("/")}), _names(entries))
            self._inner[layer, part] = _InnerWeights(self._group(layer), scope)
        return self._inner[layer, part]

    def _group(self, layer: str) -> _Group:
        if layer not in self._arrays:
            self._arrays[layer] = _Group(self._tree, _entry(self.groups, layer))
        return self._arrays[layer]


class _InnerWeights:
    """Weights of a nested model, in the group of one layer of the outermost model."""

    def __init__(self, group: _Group, scope: _Scope) -> None:
        self._group = group
        self._scope = scope
        self._inner: dict[tuple[str, Part], _InnerWeights] = {}

    def read(self, layer: str, part: Part, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """See `Weights.read`."""
        return self._group.read(layer, replace(self._scope, layer=layer, part=part), shapes)

    def shape(self, layer: str, part: Part, role: str, index: int) -> Shape | None:  # noqa: ARG002 - has no order
        """See `Weights.shape`."""
        return self._group.shape(replace(self._scope, layer=layer, part=part), role)

    def inside(self, layer: str, entries: list[dict[str, Any]], part: Part = ITSELF) -> _InnerWeights:
        """See `Weights.inside`."""
        if (layer, part) not in self._inner:
            models = self._scope.models | {layer, *part.name.split("/")}
            scope = _Scope("", part, models, self._scope.siblings | _names(entries))
            self._inner[layer, part] = _InnerWeights(self._group, scope)
        return self._inner[layer, part]


@dataclass(frozen=True)
class _Scope:
    """Decides which arrays in a group of an `.h5` file belong to a layer.

    Keras 2 leaves out of an array's path the names of models that were made before they were used, and of what is in
    a wrapper such as TimeDistributed. It also adds `_1` and so on to names that were used before in its session.
    """

    layer: str
    """Name of a nested model's layer; empty: the group belongs to one layer."""
    part: Part
    models: frozenset[str] = frozenset()
    """Names of the models that contain the layer, and of wrappers around those models."""
    siblings: frozenset[str] = frozenset()
    """Names of the layers of these models."""

    @property
    def wrappers(self) -> int:
        """Number of nested wrappers that the part starts with."""
        return len(list(takewhile("layer".__eq__, self.part.attributes.split("/"))))

    @property
    def required(self) -> tuple[str, ...]:
        """Names that an array's path must have, in order."""
        return tuple(name for name in (self.layer, *self.part.name.split("/")[self.wrappers :]) if name)

    def rank(self, groups: Sequence[str], exact: bool) -> tuple[int, ...] | None:
        """Rank how well an array with these groups in its path fits; the lowest is best, None does not fit."""
        rest = iter(groups)
        if not all(any(self._same(group, name, exact) for group in rest) for name in self.required):
            return None
        optional = self.models.union(self.part.name.split("/")[: self.wrappers])
        strangers = set(groups) - optional - set(self.required)
        return len(strangers & self.siblings), len(strangers), -len(optional & set(groups))

    def _same(self, group: str, name: str, exact: bool) -> bool:
        return group == name or (not exact and group not in self.siblings and _uncounted(group) == name)


class _Group:
    """All arrays below one group of an `.h5` file."""

    def __init__(self, tree: Hdf5, path: str) -> None:
        self._tree = tree
        self._path = path
        self._known: dict[tuple[_Scope, str], list[str]] = {}
        self._by_name: dict[tuple[str, str, bool], list[tuple[str, list[str]]]] = {}
        """Role, name of a group in the path or "" → path of the array and its groups."""
        for array in tree.arrays(path):
            *groups, last = array.removeprefix(f"{path}/").split("/")
            role = last.removesuffix(":0")
            for name in {"", *groups}:
                self._by_name.setdefault((role, name, True), []).append((array, groups))
            for name in {"", *groups, *map(_uncounted, groups)}:
                self._by_name.setdefault((_uncounted(role), name, False), []).append((array, groups))

    def read(self, layer: str, scope: _Scope, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """See `Weights.read`."""
        arrays = {}
        with _naming(layer):
            for role, shape in shapes.items():
                paths = self._fitting(scope, role)
                if len(paths) != 1:
                    raise ModelFileError(f"{len(paths)} arrays {role!r} in {self._path!r}, expected one")
                arrays[role] = self._tree.array(paths[0], shape)
        return arrays

    def shape(self, scope: _Scope, role: str) -> Shape | None:
        """See `Weights.shape`."""
        paths = self._fitting(scope, role)
        return self._tree.shape(paths[0]) if len(paths) == 1 else None

    def _fitting(self, scope: _Scope, role: str) -> list[str]:
        """List the paths of the arrays that fit best."""
        if (scope, role) not in self._known:
            self._known[scope, role] = self._best(scope, role, True) or self._best(scope, role, False)
        return self._known[scope, role]

    def _best(self, scope: _Scope, role: str, exact: bool) -> list[str]:
        name = next(iter(scope.required), "")
        ranks = {path: scope.rank(groups, exact) for path, groups in self._by_name.get((role, name, exact), [])}
        best = min((rank for rank in ranks.values() if rank is not None), default=None)
        return [path for path, rank in ranks.items() if rank is not None and rank == best]


def _uncounted(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def _entry(groups: Mapping[str, str], layer: str) -> str:
    if layer not in groups:
        raise ModelFileError(f"no weights for layer {layer!r}; save the model again")
    return groups[layer]


def _names(entries: list[dict[str, Any]]) -> frozenset[str]:
    return frozenset(entry["name"] for entry in entries)


def _joined(*names: str) -> str:
    return "/".join(filter(None, names))


@contextlib.contextmanager
def _naming(layer: str) -> Iterator[None]:
    """Name the layer in errors about its weights."""
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"layer {layer!r}: {error}") from error.__cause__


def containers(layers: list[dict[str, Any]]) -> Iterator[str]:
    """Keras' own names of the groups: class in snake case and a counter in layer order; operations have none."""
    used: dict[str, int] = {}
    for layer in layers:
        if str(layer.get("module")).startswith("keras.src.ops"):
            yield ""
            continue
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", layer["class_name"]))
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        count = used[name] = used.get(name, -1) + 1
        yield f"{name}_{count}" if count else name
