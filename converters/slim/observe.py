"""Observes what a graph computes on images: how the units go together where they are used, and what to refit to.

One pass over the images sees all of it. Most values have far more places than a fit needs, so some are drawn once for
every image, and the same places serve whoever asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..graph import oracle
from ..graph.cells import Array
from ..graph.graph import INPUT, Graph
from ..graph.nodes import Conv, ConvTranspose, Dense, Node, Recurrent
from .factor import can_be_factorised
from .select import Matrix
from .units import Direction, Group, Places, Units, is_depthwise, node_columns

Part: TypeAlias = Literal["input"] | Direction
"""What of a node uses units: its input, or the feedback of a recurrent layer in one direction."""

CHUNK = 16
"""Images that are evaluated at once, so that the windows of a convolution fit into memory."""
ROWS = 24_000
"""Fewest places of a value that are looked at in all images together, if it has so many."""
PLACES = 48
"""Fewest places of a value that are looked at in an image, if it has so many."""
_CELL_VALUES = ("gates", "hidden", "proposal", "memory", "recalled")
"""Values inside a recurrent layer that its weights are fitted to; see `oracle`."""


@dataclass(frozen=True, eq=False)
class Use:
    """A place where a sum over channels uses units of a group."""

    group: Group
    node: str
    """The node that sums."""
    part: Part
    source: str
    """Name of the value that it sums over."""
    members: Places
    """(units,) indices of the units in the group."""
    columns: Places
    """(units, appearances) indices of the units along the last axis of the value."""

    def weight(self, node: Node) -> Matrix:
        """Return M = W Wᵀ, (units, units), of the weights W by which the node uses the units."""
        rows = np.concatenate([np.moveaxis(kernel, -2, 0) for kernel in kernels(node, self.part)], axis=-1)
        flat = rows[self.columns].reshape(len(self.members), -1).astype(np.float64)
        return np.asarray(flat @ flat.T)


def kernels(node: Node, part: Part) -> tuple[Array, ...]:
    """Return the weights (..., in, out) by which a part of a node sums over its channels."""
    if isinstance(node, Recurrent):
        cells = dict(node.cells)
        return tuple(cell.kernel for cell in cells.values()) if part == "input" else (cells[part].recurrent,)
    assert isinstance(node, Conv | ConvTranspose | Dense)
    return (node.kernel,)


def uses(units: Units) -> Iterator[Use]:
    """Find where the units of a graph are used by sums over channels."""
    for group, numbers in units.groups.items():
        for node in units.graph.nodes:
            if not isinstance(node, Conv | ConvTranspose | Dense | Recurrent) or is_depthwise(node):
                continue
            source = node.inputs[0]
            last = units.last_axis(source)
            yield from _use(group, numbers, node.name, "input", source, last)
            if node.name in group and isinstance(node, Recurrent):
                for direction, columns in node_columns(node):
                    feedback = f"{node.name}/{direction}/hidden"
                    yield from _use(group, numbers, node.name, direction, feedback, units.last_axis(node.name)[columns])


def _use(
    group: Group, numbers: tuple[int, ...], node: str, part: Part, source: str, last: npt.NDArray[np.int64]
) -> Iterator[Use]:
    """Yield the use of a group by a node if all of its units that are there appear equally often."""
    members = np.flatnonzero(np.isin(numbers, last))
    if not len(members):
        return
    present = np.array(numbers)[members]
    columns = np.flatnonzero(np.isin(last, present))
    sorter = np.argsort(present)
    owners = sorter[np.searchsorted(present, last[columns], sorter=sorter)]
    if len(set(np.bincount(owners).tolist())) == 1:
        by_owner = columns[np.argsort(owners, kind="stable")]
        yield Use(group, node, part, source, members, by_owner.reshape(len(members), -1))


@dataclass
class Moments:
    """The mean and the covariance of units' values, added up in float64."""

    _shift: Array | float = 0.0
    _count: int = 0
    _sum: Matrix | float = 0.0
    _products: Matrix | float = 0.0

    def add(self, rows: Array) -> None:
        """Add rows of values, (rows, units)."""
        if not self._count:
            self._shift = rows.mean(axis=0)
        shifted = rows - self._shift  # products of large means would lose the digits of a small variance
        self._count += len(rows)
        self._sum = self._sum + shifted.sum(axis=0, dtype=np.float64)
        self._products = self._products + (shifted.T @ shifted).astype(np.float64)

    @cached_property
    def mean(self) -> Matrix:
        """(units,)."""
        return np.asarray(self._shift + self._sum / self._count, np.float64)

    @cached_property
    def covariance(self) -> Matrix:
        """(units, units)."""
        mean = np.asarray(self._sum) / self._count
        return np.asarray(self._products / self._count - np.outer(mean, mean))


@dataclass(frozen=True, eq=False)
class Observation:
    """What was seen of a graph."""

    moments: Mapping[Use, Moments]
    """The values of the units, where they are used."""
    places: Mapping[str, Places]
    """Name of a convolution or dense layer → (N, M), the places of its result that are looked at."""
    targets: Mapping[str, Array]
    """What a node computes there before its activation, (N M, out); of recurrent layers see `_CELL_VALUES`."""
    output: Array
    """The posteriors, (N, steps, classes)."""
    channels: Mapping[str, Moments]
    """Name of a convolution that can be factorised → the channels of its input."""
    channel_places: Mapping[str, Places]
    """The places (N, M) of its input that are looked at."""

    def of_group(self, group: Group) -> Mapping[Use, Moments]:
        """Return the uses of a group's units."""
        return {use: moments for use, moments in self.moments.items() if use.group == group}


def observe(
    units: Units, images: Array, seed: int = 0, progress: Callable[[int], None] = lambda _images: None
) -> Observation:
    """Observe a graph.

    Args:
        units: the units of the graph.
        images: (N, *input_shape) float32.
        seed: decides which places are looked at.
        progress: called with the number of images that are done.
    """
    pass_ = _Pass(units, len(images), np.random.default_rng(seed))
    outputs = []
    for start in range(0, len(images), CHUNK):
        pass_.start = start
        chunk = images[start : start + CHUNK]
        outputs.append(oracle.run(units.graph, chunk, pass_.see))
        progress(start + len(chunk))
    targets = {name: np.concatenate(parts) for name, parts in pass_.targets.items()}
    return Observation(
        pass_.moments, pass_.places, targets, np.concatenate(outputs), pass_.channels, pass_.channel_places
    )


def summed(node: Conv | Dense, x: Array, places: Places) -> Array:
    """Return the rows (N M, in) that a node's kernel (in, out) is multiplied with at some places (N, M)."""
    if isinstance(node, Conv):
        return oracle.patches(node, x, places)
    return rows_at(x, places)


def rows_at(x: Array, places: Places) -> Array:
    """Return the channels (N M, in) of a value at some places (N, M)."""
    flat = x.reshape(len(x), -1, x.shape[-1])
    return np.asarray(flat[np.arange(len(x))[:, None], places].reshape(-1, x.shape[-1]))


def is_fitted(node: Node) -> bool:
    """Return whether `repair` can refit a node's weights."""
    return isinstance(node, Dense | Recurrent) or (isinstance(node, Conv) and node.groups == 1)


class _Pass:
    """Looks at every value as it is computed."""

    def __init__(self, units: Units, images: int, random: np.random.Generator) -> None:
        self.start = 0
        self.moments: dict[Use, Moments] = {}
        self.targets: dict[str, list[Array]] = {}
        self._graph = graph = units.graph
        self._uses: dict[str, list[Use]] = {}
        for use in uses(units):
            self._uses.setdefault(use.source, []).append(use)
        shapes = {name: graph.shapes[_shaped_like(graph, name)] for name in self._uses}
        self._seen = {name: _drawn(shape, images, random) for name, shape in shapes.items()}
        self.places = {
            node.name: _drawn(graph.shapes[node.name], images, random)
            for node in graph.nodes
            if is_fitted(node) and not isinstance(node, Recurrent)
        }
        self.channels: dict[str, Moments] = {}
        self.channel_places = {
            node.name: _drawn(graph.input_shapes(node)[0], images, random)
            for node in graph.nodes
            if can_be_factorised(node)
        }
        self._inside = {
            f"{node.name}/{direction}/{value}"
            for node in graph.nodes
            if isinstance(node, Recurrent)
            for direction, _ in node.cells
            for value in _CELL_VALUES
        }

    def see(self, name: str, value: Array) -> None:
        if name in self._inside:
            self.targets.setdefault(name, []).append(value)
        for use in self._uses.get(name, ()):
            rows = rows_at(value, self._of_chunk(self._seen[name], value))[:, use.columns]
            flat = rows.swapaxes(1, 2).reshape(-1, len(use.members))
            self.moments.setdefault(use, Moments()).add(flat)
        for node in self._graph.consumers.get(name, ()):
            if node.name in self.places and len(value):
                assert isinstance(node, Conv | Dense)
                rows = summed(node, value, self._of_chunk(self.places[node.name], value))
                target = rows @ node.kernel.reshape(-1, node.kernel.shape[-1]) + node.bias
                self.targets.setdefault(node.name, []).append(target)
            if can_be_factorised(node):
                rows = rows_at(value, self._of_chunk(self.channel_places[node.name], value))
                self.channels.setdefault(node.name, Moments()).add(rows)

    def _of_chunk(self, places: Places, value: Array) -> Places:
        return places[self.start : self.start + len(value)]


def _shaped_like(graph: Graph, name: str) -> str:
    """Return the node whose value has the places of a value, which may be one inside a recurrent layer."""
    return name if name == INPUT else graph.owner(name)


def _drawn(shape: tuple[int, ...], images: int, random: np.random.Generator) -> Places:
    """Draw places of a value for every image, (N, M): all, or with replacement as few as `ROWS` and `PLACES` allow."""
    places = int(np.prod(shape[:-1]))
    most = max(PLACES, -(-ROWS // images))
    if places <= most:
        return np.broadcast_to(np.arange(places), (images, places))
    return np.sort(random.integers(places, size=(images, most)), axis=1)
