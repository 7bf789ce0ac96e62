"""Finds the units of a graph, that is, the elements that can only be removed together, and removes some of them.

A unit begins as an output channel of a convolution or a dense layer, or as an element of a recurrent state. The search
runs the graph on the numbers of units instead of on images: every node that moves elements moves the numbers, and a
node that combines two values element by element joins their units. So the channels that a residual sum adds up are one
unit, and so are a channel and all elements that a reshape makes of it. Where the number of an element would depend on
its place, where a node needs all elements, such as a softmax, or where a value could not stay rectangular, the units
are fixed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..graph import oracle
from ..graph.cells import Cell, GruCell
from ..graph.graph import INPUT, Graph
from ..graph.nodes import (
    Affine,
    Binary,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    MatMul,
    Node,
    Normalise,
    Pad,
    Permute,
    Pool,
    PRelu,
    Recurrent,
    Reduce,
    Reshape,
    Resize,
    Reverse,
    Shape,
    Slice,
    Softmax,
    SpatialTransform,
    Unary,
)

Numbers: TypeAlias = npt.NDArray[np.int64]
"""The number of the unit of every element of a value of one sample."""
Places: TypeAlias = npt.NDArray[np.intp]
"""Indices along an axis."""

Direction: TypeAlias = Literal["forward", "backward"]

Group: TypeAlias = tuple[str, ...]
"""The nodes that make units together; see `Units.groups`."""

FIXED = 0
"""Number of the elements that cannot be removed."""


@dataclass(frozen=True, eq=False)
class Units:
    """The units of a graph."""

    graph: Graph
    numbers: Mapping[str, Numbers]
    """Name of a value → the units of its elements; elements of one unit have one number in all values."""

    @cached_property
    def groups(self) -> Mapping[Group, tuple[int, ...]]:
        """The nodes that make units together → their units, in the order of the first node's channels.

        The channels of convolutions that residual sums join are a group, for example, and so are the units of a
        recurrent layer in each direction.
        """
        makers: dict[int, list[str]] = {}
        for node in self.graph.nodes:
            if isinstance(node, Conv | ConvTranspose | Dense | Recurrent) and not is_depthwise(node):
                for number in dict.fromkeys(self.last_axis(node.name).tolist()):
                    if number != FIXED:
                        makers.setdefault(number, []).append(node.name)
        groups: dict[Group, list[int]] = {}
        for number, names in makers.items():
            groups.setdefault(tuple(names), []).append(number)
        return {names: tuple(numbers) for names, numbers in groups.items()}

    @cached_property
    def needed(self) -> frozenset[frozenset[int]]:
        """Sets of units, at least one of which must stay in each, or nothing would be left of a value."""
        distinct = {frozenset(np.unique(value).tolist()) for value in self.numbers.values()}
        return frozenset(units for units in distinct if FIXED not in units)

    def last_axis(self, value: str) -> Numbers:
        """Return the units along the last axis of a value whose other axes all have the same."""
        return _last_axis(self.numbers[value])

    def places(self, value: str, axis: int, removed: Collection[int]) -> Places:
        """Return the indices along an axis of a value that are left when units are removed."""
        numbers = self.numbers[value]
        others = tuple(other for other in range(numbers.ndim) if other != axis)
        kept = ~np.isin(numbers, list(removed))
        return np.flatnonzero(kept.any(axis=others))

    def without(self, removed: Collection[int]) -> Graph:
        """Return the graph without some units. What they contributed to other elements is missing there.

        Raises:
            ValueError: a unit is fixed, or nothing would be left of a value.
        """
        if FIXED in removed:
            raise ValueError("fixed elements cannot be removed")
        shapes = {name: self._shape(name, removed) for name in self.numbers}
        if empty := [name for name, shape in shapes.items() if 0 in shape]:
            raise ValueError(f"nothing would be left of {empty[0]!r}: keep at least one unit")
        whole = {name for name, shape in shapes.items() if shape == self.graph.shapes[name]}
        nodes = tuple(
            # As it is: a copy of its weights may have another order in memory, and then sums are rounded otherwise.
            node if whole.issuperset((node.name, *node.inputs)) else self._thinned(node, removed, shapes[node.name])
            for node in self.graph.nodes
        )
        return Graph(self.graph.input_shape, nodes)

    def _shape(self, value: str, removed: Collection[int]) -> Shape:
        return tuple(len(self.places(value, axis, removed)) for axis in range(self.numbers[value].ndim))

    def _thinned(self, node: Node, removed: Collection[int], shape: Shape) -> Node:
        """Return a node without the weights of removed units."""
        if not isinstance(node, Constant | Reshape | Slice | PRelu) and not node.weights:
            return node
        out = [self.places(node.name, axis, removed) for axis in range(len(shape))]
        if isinstance(node, Constant):
            return replace(node, value=node.value[np.ix_(*out)])
        if isinstance(node, Reshape):
            return replace(node, target=shape)
        source = node.inputs[0]
        if isinstance(node, Slice):
            return self._sliced(node, removed)
        if isinstance(node, PRelu):
            axes = [places if length > 1 else [0] for places, length in zip(out, node.slope.shape, strict=True)]
            return replace(node, slope=node.slope[np.ix_(*axes)])
        last = out[-1]
        if isinstance(node, Affine):
            return replace(node, scale=node.scale[last], shift=node.shift[last])
        inside = self.places(source, self.numbers[source].ndim - 1, removed)
        if isinstance(node, Recurrent):
            return _thinned_cells(node, inside, last)
        assert isinstance(node, Conv | ConvTranspose | Dense)
        if isinstance(node, Conv) and is_depthwise(node):
            return replace(node, kernel=node.kernel[..., last], bias=node.bias[last], groups=len(inside))
        if isinstance(node, Conv) and node.groups > 1:
            return node
        return replace(node, kernel=node.kernel[..., inside, :][..., last], bias=node.bias[last])

    def _sliced(self, node: Slice, removed: Collection[int]) -> Slice:
        ranges = []
        for axis, part in enumerate(node.index):
            kept = self.places(node.inputs[0], axis, removed)
            start = int(np.searchsorted(kept, part.start))
            stop = int(np.searchsorted(kept, part.stop))
            ranges.append((start, stop, part.step))
        starts, stops, steps = zip(*ranges, strict=True)
        return replace(node, starts=starts, stops=stops, steps=steps)


def is_depthwise(node: Node) -> bool:
    """Return whether a node is a convolution in which every channel stays by itself."""
    return isinstance(node, Conv) and node.kernel.shape[2] == 1 and node.groups > 1


def _last_axis(numbers: Numbers) -> Numbers:
    """Return the numbers along the last axis of a value, at one place of the other axes."""
    first: Numbers = numbers.reshape(-1, numbers.shape[-1])[0]
    return first


def _moved(node: Node, inputs: Sequence[Numbers]) -> Numbers:
    """Move numbers as a node moves elements; they go through the oracle, which does not look at their type."""
    values = [value[None] for value in inputs]
    moved: Numbers = oracle.evaluate(node, values)[0]  # type: ignore[arg-type]
    return moved


def _thinned_cells(node: Recurrent, inside: Places, out: Places) -> Recurrent:
    cells: dict[str, Cell] = {}
    for (direction, cell), (_, columns) in zip(node.cells, node_columns(node), strict=True):
        kept = out[(out >= columns.start) & (out < columns.stop)] - columns.start
        cells[direction] = _thinned_cell(cell, inside, kept)
    return replace(node, **cells)  # type: ignore[arg-type]


def node_columns(node: Recurrent) -> Iterator[tuple[Direction, slice]]:
    """Return the places of every direction's units along the last axis of a recurrent layer's value."""
    start = 0
    for direction, cell in node.cells:
        yield direction, slice(start, start + cell.units)  # type: ignore[misc]
        start += cell.units if node.merge == "concat" else 0


def gate_columns(length: int, units: int, kept: Places) -> Places:
    """Return the places of kept units along an axis on which all units of a cell appear once for every gate."""
    return (np.arange(0, length, units)[:, None] + kept).ravel()


def _thinned_cell(cell: Cell, inside: Places, kept: Places) -> Cell:
    columns = gate_columns(cell.kernel.shape[1], cell.units, kept)
    thinned = replace(
        cell,
        kernel=cell.kernel[inside][:, columns],
        recurrent=cell.recurrent[kept][:, columns],
        bias=cell.bias[columns],
    )
    if isinstance(thinned, GruCell) and thinned.inner_bias is not None:
        return replace(thinned, inner_bias=thinned.inner_bias[kept])
    return thinned


def find_units(graph: Graph) -> Units:
    """Find the units of a graph."""
    search = _Search(graph)
    return Units(graph, search.numbers())


class _Search:
    """Runs a graph on the numbers of units, which are joined as the search goes on (union-find, Tarjan 1975)."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._parents = [FIXED]
        self._values: dict[str, Numbers] = {INPUT: np.zeros(graph.input_shape, np.int64)}
        for node in graph.nodes:
            self._values[node.name] = self._value(node, [self._values[name] for name in node.inputs])
        self._fix(self._values[graph.output])
        for value in self._values.values():
            self._fix_holes(value)

    def numbers(self) -> dict[str, Numbers]:
        """Return the numbers of all values after the last union."""
        roots = np.array([self._root(number) for number in range(len(self._parents))])
        return {name: roots[value] for name, value in self._values.items()}

    def _value(self, node: Node, inputs: list[Numbers]) -> Numbers:
        shape = self._graph.shapes[node.name]
        match node:
            case Constant():
                return self._fresh(node.value.size).reshape(shape)
            case Binary():
                first, second = inputs
                return self._joined(first, second, shape)
            case Concat(axis=axis):
                self._align(inputs, axis)
                return _moved(node, inputs)
            case Permute() | Reshape() | Reverse():
                return _moved(node, inputs)
            case Slice(steps=steps):
                (x,) = inputs
                for axis, step in enumerate(steps):
                    if step > 1:
                        x = self._uniform(x, axis)
                return np.asarray(x[node.index])
            case MatMul():
                for value in inputs:
                    self._fix(value)
                return np.zeros(shape, np.int64)
            case SpatialTransform():
                self._fix(inputs[1])
        return self._of_one(node, inputs[0], shape)

    def _of_one(self, node: Node, x: Numbers, shape: Shape) -> Numbers:
        match node:
            case Affine() | Unary() | PRelu():
                return x
            case Pad(pads=pads):
                for axis, pad in enumerate(pads):
                    if any(pad):
                        x = self._uniform(x, axis)
                return np.pad(x, pads, mode="edge")
            case Reduce(axes=axes, keepdims=keepdims):
                for axis in axes:
                    x = self._uniform(x, axis)
                return np.asarray(x.min(axis=axes, keepdims=keepdims))
            case Normalise(axes=axes):
                for axis in axes:
                    x = self._uniform(x, axis)
                return x
            case Softmax():
                return self._uniform(x, x.ndim - 1)
        for axis in range(x.ndim - 1):  # what is left treats all places alike, and channels apart
            x = self._uniform(x, axis)
        channels = _last_axis(x)
        match node:
            case Conv() if is_depthwise(node):
                channels = np.repeat(channels, shape[-1] // node.groups)
            case Conv(groups=groups) if groups > 1:
                self._fix(channels)
                channels = np.zeros(shape[-1], np.int64)
            case Conv() | ConvTranspose() | Dense():
                channels = self._fresh(shape[-1])
            case Recurrent():
                channels = self._fresh(shape[-1])
            case Pool() | Resize() | SpatialTransform():
                pass
            case _:
                raise NotImplementedError(f"{type(node).__name__} has no units; this is a defect of edge-crnn")
        return np.broadcast_to(channels, shape)

    def _joined(self, first: Numbers, second: Numbers, shape: Shape) -> Numbers:
        """Join the units of two operands element by element.

        An operand of length 1 along the axis of the other one's units, such as a map that weighs all channels alike,
        is fixed, and stays when some of those units go.
        """
        for value, other in ((first, second), (second, first)):
            varying = [axis for axis, length in enumerate(other.shape) if not self._is_uniform(other, axis)]
            if any(value.shape[axis] < length for axis, length in enumerate(shape) if axis in varying):
                self._fix(value)
                if any(value.shape[axis] > 1 for axis in varying):
                    self._fix(other)
                return np.broadcast_to(other, shape)
        first, second = (np.broadcast_to(value, shape) for value in (first, second))
        pairs = np.unique(np.stack([self._roots(first).ravel(), self._roots(second).ravel()]), axis=1)
        for one, other_number in pairs.T.tolist():
            self._unite(one, other_number)
        return first

    def _align(self, inputs: Sequence[Numbers], axis: int) -> None:
        """Join the units that lie beside each other after a concatenation along an axis, and can only go together."""
        others = [other for other in range(inputs[0].ndim) if other != axis]
        if all(self._is_uniform(x, other) for x in inputs for other in others):
            return
        if all(self._is_uniform(x, axis) for x in inputs):
            first, *rest = (np.take(x, [0], axis) for x in inputs)
            for x in rest:
                self._joined(first, x, first.shape)
        else:
            for x in inputs:
                self._fix(x)

    def _uniform(self, x: Numbers, axis: int) -> Numbers:
        """Return numbers that are the same along an axis; if they differ, all of them are fixed."""
        if not self._is_uniform(x, axis):
            self._fix(x)
            return np.zeros_like(x)
        return x

    def _fix_holes(self, x: Numbers) -> None:
        """Fix numbers that differ along several axes, as after a reshape: without a unit, a hole would be left."""
        roots = self._roots(x)
        varying = [axis for axis in range(roots.ndim) if (roots != np.take(roots, [0], axis)).any()]
        if len(varying) > 1:
            self._fix(roots)

    def _is_uniform(self, x: Numbers, axis: int) -> bool:
        roots = self._roots(x)
        return bool((roots == np.take(roots, [0], axis)).all())

    def _fresh(self, count: int) -> Numbers:
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def _fix(self, numbers: Numbers) -> None:
        for number in np.unique(numbers).tolist():
            self._unite(FIXED, number)

    def _unite(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        self._parents[high] = low

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def _roots(self, numbers: Numbers) -> Numbers:
        distinct, places = np.unique(numbers, return_inverse=True)
        roots = np.array([self._root(number) for number in distinct.tolist()], np.int64)
        return np.asarray(roots[places].reshape(numbers.shape))
