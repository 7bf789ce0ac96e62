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
"""Name of the value that a graph starts from."""
MAX_NODES = 20_000
MAX_AXES = 8
"""Most axes of a value, the batch not counted."""

Observer: TypeAlias = Callable[[str, Array], None]
"""Called with the name of a value and the value, (N, ...) float32."""
Ranges: TypeAlias = Mapping[str, tuple[float, float]]
"""Smallest and largest element of each value, by name."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Primitives from one float32 input to probabilities (steps, classes), the value of the last node."""

    input_shape: Shape
    nodes: tuple[Node, ...]
    """Each after all that it takes."""

    @classmethod
    def chain(cls, input_shape: Shape, nodes: Iterable[Node]) -> Graph:
        """A graph in which every node without inputs takes the value of the one before it."""
        wired: list[Node] = []
        before = INPUT
        for node in nodes:
            wired.append(node if node.inputs or node.arity == 0 else replace(node, inputs=(before,)))
            before = node.name
        return cls(input_shape, tuple(wired))

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of every value, the input's included, by name.

        Raises:
            ModelFileError: two nodes share a name, one takes what does not come before it or does not fit, or there
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
        """Shape of a node's value, given those of the values before it.

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
        """Name of the value that the graph gives."""
        return self.nodes[-1].name if self.nodes else INPUT

    @property
    def output_shape(self) -> Shape:
        """(steps, classes) in a whole graph."""
        return self.shapes[self.output]

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    def owner(self, value: str) -> str:
        """Name of the node that a value belongs to, which may be one inside a recurrent node."""
        return value if value in self.by_name else value.rsplit("/", 2)[0]

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that take a value, by the value's name; every value has an entry."""
        consumers: dict[str, list[Node]] = {name: [] for name in (INPUT, *(node.name for node in self.nodes))}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                consumers[name].append(node)
        return {name: tuple(nodes) for name, nodes in consumers.items()}

    def input_shapes(self, node: Node) -> tuple[Shape, ...]:
        """Shapes of what a node takes."""
        return tuple(self.shapes[name] for name in node.inputs)

    @cached_property
    def head(self) -> frozenset[str]:
        """Names of the recurrent nodes and of everything that depends on one; the rest is the stack."""
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
        """The same function with the least work (see `folding`)."""
        from .folding import fold

        return fold(self)
