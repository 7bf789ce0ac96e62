"""The one intermediate form between a trained model and every target: a directed acyclic graph of primitives.

`converters.graph.nodes` has the primitives, `folding` the work that is done before any image is seen, and `oracle`
runs a graph in NumPy, which every lowering is tested against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

from edge_crnn.errors import ModelFileError

from .cells import Array
from .nodes import MAX_VALUES, Node, Recurrent, Shape

INPUT = "input"
"""Name of the graph's input."""
MAX_NODES = 20_000
MAX_AXES = 8
"""Largest number of axes of a value, without the batch axis."""

Observer: TypeAlias = Callable[[str, Array], None]
"""Called with the name of a value and the value, (N, ...) float32."""
Ranges: TypeAlias = Mapping[str, tuple[float, float]]
"""Name of a value → its smallest and largest element."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Primitives from one float32 input to probabilities (steps, classes), the value of the last node."""

    input_shape: Shape
    nodes: tuple[Node, ...]
    """In topological order: every node comes after its inputs."""

    @classmethod
    def chain(cls, input_shape: Shape, nodes: Iterable[Node]) -> Graph:
        """Make a graph in which every node that names no inputs takes the value of the node before it."""
        wired: list[Node] = []
        before = INPUT
        for node in nodes:
            wired.append(node if node.inputs or node.arity == 0 else replace(node, inputs=(before,)))
            before = node.name
        return cls(input_shape, tuple(wired))

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Name of a value → its shape, the input included.

        Raises:
            ModelFileError: two nodes share a name, an input does not come before its node or does not fit it, or there
                are too many nodes or values.
        """
        if len(self.nodes) > MAX_NODES:
            raise ModelFileError(f"the graph has {len(self.nodes):,} nodes; at most {MAX_NODES:,} are converted")
        shapes = {INPUT: self.input_shape}
        for node in self.nodes:
            if node.name in shapes:
                raise ModelFileError(f"two values are named {node.name!r}; rename a layer and save the model again")
            shapes[node.name] = self.shape_of(node, shapes)
        return shapes

    @staticmethod
    def shape_of(node: Node, shapes: Mapping[str, Shape]) -> Shape:
        """Compute the shape of a node's value from the shapes of the values before it.

        Raises:
            ModelFileError: see `shapes`.
        """
        if missing := [name for name in node.inputs if name not in shapes]:
            raise ModelFileError(
                f"layer {node.name!r} takes {missing[0]!r}, which does not come before it; the model's layers form a"
                " cycle, or the file is damaged: save the model again"
            )
        if len(node.inputs) != node.arity and not (node.arity is None and node.inputs):
            raise ModelFileError(f"layer {node.name!r} takes {len(node.inputs)} values, expected {node.arity or 1}")
        shape = node.shape(*(shapes[name] for name in node.inputs))
        if len(shape) > MAX_AXES:
            raise ModelFileError(f"layer {node.name!r} gives {len(shape)} axes; at most {MAX_AXES} are converted")
        if not all(length > 0 for length in shape) or math.prod(shape) > MAX_VALUES:
            raise ModelFileError(
                f"layer {node.name!r} gives {shape}, expected at least one value and at most {MAX_VALUES:,}"
            )
        return shape

    @property
    def output(self) -> str:
        """Name of the graph's output."""
        return self.nodes[-1].name if self.nodes else INPUT

    @property
    def output_shape(self) -> Shape:
        """Shape of the output: (steps, classes) in a complete graph."""
        return self.shapes[self.output]

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Name of a node → the node."""
        return {node.name: node for node in self.nodes}

    def owner(self, value: str) -> str:
        """Return the name of the node that a value belongs to; a value may be one inside a recurrent node."""
        return value if value in self.by_name else value.rsplit("/", 2)[0]

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """Name of a value → the nodes that use it; every value has an entry."""
        consumers: dict[str, list[Node]] = {name: [] for name in (INPUT, *(node.name for node in self.nodes))}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                consumers[name].append(node)
        return {name: tuple(nodes) for name, nodes in consumers.items()}

    def input_shapes(self, node: Node) -> tuple[Shape, ...]:
        """Return the shapes of a node's inputs."""
        return tuple(self.shapes[name] for name in node.inputs)

    @cached_property
    def head(self) -> frozenset[str]:
        """Names of the recurrent nodes and of all nodes that depend on one; the other nodes are the stack."""
        names: set[str] = set()
        for node in self.nodes:
            if isinstance(node, Recurrent) or not names.isdisjoint(node.inputs):
                names.add(node.name)
        return frozenset(names)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(array.size for node in self.nodes for array in node.weights)

    def folded(self) -> Graph:
        """Return a graph of the same function with less work; see `folding`."""
        from .folding import fold

        return fold(self)
