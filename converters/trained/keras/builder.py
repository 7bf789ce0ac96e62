"""What a function that converts a Keras layer works with: the layer's settings, inputs and weights, and the graph.

Such a function takes a `Layer` and gives a `Value`. It puts primitives into the graph one by one:

    @converts("LeakyReLU")
    def leaky_relu(layer: Layer) -> Value:
        return layer.put(Unary("", "leaky_relu", layer.number("negative_slope")), layer.x)

The name given to a primitive is the part of the layer that it is; the last one, which is the layer's value, has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np

from edge_crnn.errors import ModelFileError

from ...graph import oracle
from ...graph.cells import Array
from ...graph.graph import INPUT, MAX_NODES, Graph
from ...graph.nodes import (
    Affine,
    Binary,
    Concat,
    Constant,
    Dense,
    MatMul,
    Node,
    Operator,
    Reshape,
    Reverse,
    Shape,
    Slice,
    Softmax,
    Unary,
)
from ..obstacles import ExcessError, Obstacle, TooManyFailuresError
from .arrays import ITSELF as ITSELF
from .arrays import Part, Weights
from .config import LayerConfig
from .ends import are_probabilities
from .values import ConvertedLayer as ConvertedLayer
from .values import Fragment as Fragment
from .values import Value as Value
from .values import values_in as values_in

_MAX_CALLS = 10_000
_CALL = 100
"""Settings and arguments that take as long as a call does by itself."""
_MAX_WEIGHTS = 1 << 27
_MAX_FAILURES = 200
_MAX_CONSTANT, _MAX_CONSTANT_NODES = 1 << 20, 200
"""Most elements, and most nodes, of a value that is computed while a model is read."""


@dataclass
class _Effort:
    """What a conversion has taken until now."""

    calls: int = 0
    weights: int = 0
    failures: int = 0


class GraphBuilder:
    """A graph under construction."""

    def __init__(
        self,
        input_shape: Shape,
        custom: Mapping[str, Callable[[Layer], Any]] | None = None,
        obstacles: list[Obstacle] | None = None,
        *,
        guessed: bool = False,
    ) -> None:
        """Start a graph.

        Args:
            input_shape: of the image.
            custom: name of a layer, or of its class → what converts it.
            obstacles: is extended by what cannot be converted; None: the first such layer ends the conversion.
            guessed: whether the input's shape is a guess.
        """
        self.custom = custom or {}
        """Name of a layer, or of its class → what converts it, as the user has declared."""
        self.fragments: dict[str, Fragment] = {}
        """Layers that were converted as the user has declared them, by name."""
        self.notes: list[str] = []
        """What the user should know of the conversion."""
        self.models: dict[int, tuple[Any, Any]] = {}
        """By identity: settings of nested models, and what was read from them."""
        self.obstacles = obstacles
        self.layers: list[ConvertedLayer] = []
        """The layers in the order in which they are computed, those of nested models in place of these."""
        self._input_shape = input_shape
        self._guessed = guessed
        self._nodes: dict[str, Node] = {}
        self._shapes: dict[str, Shape] = {INPUT: input_shape}
        self._used: dict[str, int] = {}
        self._effort = _Effort()

    def inner(self, input_shape: Shape, *, guessed: bool = False) -> GraphBuilder:
        """A builder of a graph of its own, such as one for a single step, for the same model."""
        builder = GraphBuilder(input_shape, self.custom, self.obstacles, guessed=guessed)
        builder.notes, builder.models, builder._effort = self.notes, self.models, self._effort
        return builder

    def charge(self, settings: int) -> None:
        """Count the call of a layer with so many settings and arguments.

        Raises:
            ExcessError: the calls are too many: models that call each other multiply.
        """
        self._effort.calls += settings + _CALL
        if self._effort.calls > _MAX_CALLS * _CALL:
            raise ExcessError(
                f"the model calls more than {_MAX_CALLS:,} layers, or a few with very long settings; no such network is"
                " converted"
            )

    def count_failure(self) -> None:
        """Count a layer that could not be converted.

        Raises:
            TooManyFailuresError: there are too many to go on.
        """
        self._effort.failures += 1
        if self._effort.failures > _MAX_FAILURES:
            raise TooManyFailuresError(f"more than {_MAX_FAILURES} layers cannot be converted")

    @property
    def failed(self) -> bool:
        """Whether a layer could not be converted, so that the graph is incomplete."""
        return self._effort.failures > 0

    @property
    def input(self) -> Value:
        """The value that the graph starts from."""
        return Value(INPUT, self._input_shape, guessed=self._guessed)

    def put(self, node: Node, *values: Value) -> Value:
        """Add a node that takes these values; its name may be changed to one that is free.

        Raises:
            ModelFileError: the values do not fit the node, or there are too many nodes.
        """
        if len(self._nodes) >= MAX_NODES:
            raise ExcessError(f"the model gives more than {MAX_NODES:,} nodes; no such network is converted")
        late = next((value for value in values if value.time_major), None)
        if late is not None and not isinstance(node, Affine | Dense | Softmax | Unary):
            raise ModelFileError(
                f"layer {node.name!r} takes {late.name!r}, whose first axis is time; supported: such a value as the"
                " model's last one, or before functions of single steps"
            )
        self._effort.weights += sum(array.size for array in node.weights)
        if self._effort.weights > _MAX_WEIGHTS:
            raise ExcessError(f"the model has more than {_MAX_WEIGHTS:,} weights and constants")
        name = node.name
        while name in self._shapes:
            self._used[node.name] = self._used.get(node.name, 1) + 1
            name = f"{node.name}_{self._used[node.name]}"
        placed = replace(node, name=name, inputs=tuple(value.name for value in values))
        known = {value.name: value.shape for value in values}
        self._shapes[name] = Graph.shape_of(placed, known)
        self._nodes[name] = placed
        batched = any(value.batched for value in values)
        guessed = any(value.guessed for value in values)
        return Value(name, self._shapes[name], time_major=late is not None, batched=batched, guessed=guessed)

    def note(self, text: str) -> None:
        """Tell the user something, once."""
        if text not in self.notes:
            self.notes.append(text)

    def declare(self, layer: Layer, function: Callable[[Layer], Any]) -> Value:
        """Convert a layer as the user has declared it, and keep what became of it for the reference of verification.

        Raises:
            ModelFileError: the function does not give one value.
        """
        before = len(self._nodes)
        value = function(layer)
        if not isinstance(value, Value):
            raise layer.error(f"its function gives {str(value)[:100]!r}, expected a Value")
        inputs = tuple(source.name for source in layer.inputs)
        self.fragments[layer.name] = Fragment(inputs, tuple(self._nodes.values())[before:], value)
        return value

    def node(self, value: Value) -> Node | None:
        """The node that computes a value; None: it is the input."""
        return self._nodes.get(value.name)

    def source(self, value: Value) -> Node | None:
        """The node that computes a value, past nodes that only move values and keep the last axis; None: the input."""
        node = self._nodes.get(value.name)
        width = value.shape[-1:]
        while isinstance(node, Reshape | Slice | Reverse):
            before = self._nodes.get(node.inputs[0])
            shape = self._shapes[node.inputs[0]]
            if shape[-1:] != width or (isinstance(node, Reverse) and node.axis == len(shape) - 1):
                break
            node = before
        return node

    def are_probabilities(self, value: Value) -> bool:
        """Whether a value is made of softmaxes in such a way that it sums to 1 over its last axis."""
        return are_probabilities(value.name, self._nodes.get, self._shapes.__getitem__)

    def constant(self, value: Value) -> Array | None:
        """A small value that is the same for every image; None: it depends on the image, or is large."""
        needed = self._needed(value.name, _MAX_CONSTANT_NODES)
        if value.guessed or INPUT in needed or any(math.prod(self._shapes[name]) > _MAX_CONSTANT for name in needed):
            return None
        constant: Array = oracle.run(self.graph(value), np.zeros((1, *self._input_shape), np.float32))[0]
        return constant

    def graph(self, output: Value) -> Graph:
        """The graph whose last node gives `output`, without what does not add to it."""
        needed = self._needed(output.name)
        return Graph(self._input_shape, tuple(node for name, node in self._nodes.items() if name in needed))

    def _needed(self, name: str, most: int = 2 * MAX_NODES) -> set[str]:
        """What a value depends on, itself included; the input, too, if there are more than `most`."""
        needed, pending = {name}, [name]
        while pending:
            node = self._nodes.get(pending.pop())
            sources = set(node.inputs) - needed if node else set()
            needed |= sources
            pending += sources
            if len(needed) > most:
                return {*needed, INPUT}
        return needed


@dataclass(frozen=True)
class Layer(LayerConfig):
    """One call of a Keras layer: its settings, and what it takes."""

    builder: GraphBuilder = field(kw_only=True)
    weights: Weights = field(kw_only=True)
    owner: str = field(kw_only=True)
    """Name under which the file has its weights."""
    depth: int = field(default=0, kw_only=True)
    """How many models it is nested in."""
    args: tuple[Any, ...] = field(default=(), kw_only=True)
    """Positional arguments of the call; tensors are values, and lists of tensors are lists of values."""
    keywords: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """Named arguments of the call."""

    @property
    def inputs(self) -> tuple[Value, ...]:
        """All values that the layer takes, in order."""
        return tuple(values_in([*self.args, *self.keywords.values()]))

    @property
    def x(self) -> Value:
        """The only value that the layer takes.

        Raises:
            ModelFileError: it takes none or several.
        """
        if len(self.inputs) != 1:
            raise self.error(f"takes {len(self.inputs)} values, expected one")
        return self.inputs[0]

    def put(self, node: Node, *values: Value) -> Value:
        """Add a primitive. Its name is that of a part of the layer, empty for the layer's own value."""
        name = f"{self.name}/{node.name}" if node.name else self.name
        return self.builder.put(replace(node, name=name), *values)

    def read(self, shapes: Mapping[str, Shape], part: Part = ITSELF) -> dict[str, Array]:
        """The layer's arrays by role, in Keras' order.

        Args:
            shapes: role (`kernel`, `bias` …) → expected shape.
            part: where inside the layer they are.

        Raises:
            ModelFileError: an array is missing, of another shape, or not finite.
        """
        return self.weights.read(self.owner, part, shapes)

    def constant(self, part: str, value: Array) -> Value:
        """A value that is the same for every image."""
        return self.put(Constant(part, np.asarray(value, np.float32, order="C")))

    def reshape(self, part: str, x: Value, shape: Shape) -> Value:
        """`x` in another shape, in row-major order; `x` itself where it has that shape."""
        return x if x.shape == shape and not x.time_major else self.put(Reshape(part, shape), x)

    def binary(self, part: str, operator: Operator, a: Value, b: Value) -> Value:
        """An element-wise operator; Keras' rule for fewer axes is NumPy's, but for the batch axis."""
        if a.batched != b.batched:
            a, b = self._without_batch(part, a, b), self._without_batch(part, b, a)
        rank = max(len(a.shape), len(b.shape))
        first, second = (
            self.reshape(f"{part}:{side}".lstrip(":"), x, (1,) * (rank - len(x.shape)) + x.shape)
            for side, x in (("first", a), ("second", b))
        )
        return self.put(Binary(part, operator), first, second)

    def _without_batch(self, part: str, x: Value, other: Value) -> Value:
        """A constant without the axis of length 1 that stands for the batch axis of another value."""
        if x.batched or len(x.shape) <= len(other.shape):
            return x
        if len(x.shape) > len(other.shape) + 1 or x.shape[0] != 1:
            raise self.error(f"takes a constant of shape {x.shape} beside a value of shape {other.shape} per image")
        return self.reshape(f"{part}:constant".lstrip(":"), x, x.shape[1:])

    def concat(self, part: str, axis: int, *values: Value) -> Value:
        """Values one after the other along an axis of a sample."""
        return self.put(Concat(part, axis), *values)

    def matmul(self, part: str, a: Value, b: Value, transposed: bool = False) -> Value:
        """Matrix product of the last two axes."""
        return self.put(MatMul(part, transposed), a, b)

    def sample_axis(self, axis: object, rank: int) -> int:
        """An axis as Keras counts, with the batch as axis 0 → the axis of a sample.

        Args:
            axis: a whole number; negative ones count from the end.
            rank: number of axes of a sample.

        Raises:
            ModelFileError: it is no axis, or the batch axis.
        """
        if type(axis) is not int or not -rank - 1 <= axis <= rank:
            raise self.error(f"axis {axis!r} of a value with {rank + 1} axes; save the model again")
        if axis % (rank + 1) == 0:
            raise self.error("works along the batch axis; an image must not depend on the images beside it")
        return axis % (rank + 1) - 1

    def inner(self, setting: str, keras2_prefix: str = "") -> Layer:
        """The layer inside a wrapper, with this layer's inputs and weights."""
        config = self.wrapped(setting)
        return self.like(replace(config, name=f"{keras2_prefix if self.keras2 else ''}{config.name}"))

    def like(self, config: LayerConfig, *args: Any) -> Layer:
        """Another layer's settings in this layer's place; it takes `args`, or else what this layer takes."""
        return Layer(
            config.name, config.kind, config.settings, config.keras2,
            builder=self.builder, weights=self.weights, owner=self.owner, depth=self.depth,
            args=args or self.args, keywords={} if args else self.keywords,
        )  # fmt: skip


Convert: TypeAlias = Callable[[Layer], Value | tuple[Value, ...]]
"""Puts a layer into the graph and gives its value, or several values."""
_Convert = TypeVar("_Convert", bound=Convert)

LAYERS: dict[str, Convert] = {}
"""Class of a Keras layer → what converts it. Every module of `trained.keras.layers` adds its own."""


def converts(*classes: str) -> Callable[[_Convert], _Convert]:
    """Enter a function in `LAYERS` under these classes."""

    def enter(convert: _Convert) -> _Convert:
        for name in classes:
            assert name not in LAYERS, name
            LAYERS[name] = convert
        return convert

    return enter


def convert(layer: Layer) -> Value | tuple[Value, ...]:
    """Put a layer into the graph, as the user has declared it, or as its class says.

    Raises:
        ModelFileError: nothing is known of its class, or it has settings or inputs that cannot be converted.
    """
    custom = layer.builder.custom
    declared = custom.get(layer.name) or custom.get(layer.kind.replace(">", ".").rpartition(".")[2])
    if declared is None and layer.kind == "Lambda":
        declared = LAYERS["Lambda"]
    if declared is not None:
        return layer.builder.declare(layer, declared)
    if layer.kind not in LAYERS:
        raise layer.unsupported(
            "not supported; convert it by your own function, --layers FILE (see docs/what_a_file_cannot_say.md), or use"
            " a layer from the list"
        )
    return LAYERS[layer.kind](layer)
