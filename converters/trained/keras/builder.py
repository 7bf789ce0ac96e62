"""The tools of functions that convert Keras layers: a layer's settings, inputs and weights, and the graph.

Such a function takes a `Layer` and returns a `Value`. It puts primitives into the graph one by one:

    @converts("LeakyReLU")
    def leaky_relu(layer: Layer) -> Value:
        return layer.put(Unary("", "leaky_relu", layer.number("negative_slope")), layer.x)

The name of a primitive is the part of the layer that it computes; the last one, the value of the layer, has no name.
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
"""Number of settings and arguments that take as long to convert as a call itself."""
_MAX_WEIGHTS = 1 << 27
_MAX_FAILURES = 200
_MAX_CONSTANT, _MAX_CONSTANT_NODES = 1 << 20, 200
"""Largest numbers of elements and nodes of a value that is computed while a model is read."""


@dataclass
class _Effort:
    """The work that a conversion has taken so far."""

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
            input_shape: shape of the image.
            custom: name of a layer, or of its class → the function that converts it.
            obstacles: extended by what cannot be converted; None: the first such layer ends the conversion.
            guessed: whether the input's shape is a guess.
        """
        self.custom = custom or {}
        """Name of a layer, or of its class → the function that converts it, as the user has declared."""
        self.fragments: dict[str, Fragment] = {}
        """Name → layer that was converted as the user has declared it."""
        self.notes: list[str] = []
        """What the user should know about the conversion."""
        self.models: dict[int, tuple[Any, Any]] = {}
        """Identity of a nested model's settings → the settings, and the model read from them."""
        self.obstacles = obstacles
        self.layers: list[ConvertedLayer] = []
        """The layers in the order in which they are computed; nested models are replaced by their layers."""
        self._input_shape = input_shape
        self._guessed = guessed
        self._nodes: dict[str, Node] = {}
        self._shapes: dict[str, Shape] = {INPUT: input_shape}
        self._used: dict[str, int] = {}
        self._effort = _Effort()

    def inner(self, input_shape: Shape, *, guessed: bool = False) -> GraphBuilder:
        """Make a builder for a separate graph of the same model, such as the graph of a single step."""
        builder = GraphBuilder(input_shape, self.custom, self.obstacles, guessed=guessed)
        builder.notes = self.notes
        builder.models = self.models
        builder._effort = self._effort
        return builder

    def charge(self, settings: int) -> None:
        """Count the call of a layer with this many settings and arguments.

        Raises:
            ExcessError: the calls are too many: models that call each other multiply.
        """
        self._effort.calls += settings + _CALL
        if self._effort.calls > _MAX_CALLS * _CALL:
            raise ExcessError(
                f"the model calls more than {_MAX_CALLS:,} layers, or has very long settings, which is more than"
                " edge-crnn converts"
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
        """The graph's input."""
        return Value(INPUT, self._input_shape, guessed=self._guessed)

    def put(self, node: Node, *values: Value) -> Value:
        """Add a node with these inputs; its name is changed if it is taken.

        Raises:
            ModelFileError: the values do not fit the node, or there are too many nodes.
        """
        if len(self._nodes) >= MAX_NODES:
            raise ExcessError(f"the model gives more than {MAX_NODES:,} nodes, which is more than edge-crnn converts")
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
        shapes = {value.name: value.shape for value in values}
        self._shapes[name] = Graph.shape_of(placed, shapes)
        self._nodes[name] = placed
        batched = any(value.batched for value in values)
        guessed = any(value.guessed for value in values)
        return Value(name, self._shapes[name], time_major=late is not None, batched=batched, guessed=guessed)

    def note(self, text: str) -> None:
        """Add a note for the user, once."""
        if text not in self.notes:
            self.notes.append(text)

    def declare(self, layer: Layer, function: Callable[[Layer], Any]) -> Value:
        """Convert a layer as the user has declared it, and record the result for the reference of verification.

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
        """Return the node that computes a value; None: it is the input."""
        return self._nodes.get(value.name)

    def source(self, value: Value) -> Node | None:
        """Return the node that computes a value, past nodes that only move elements and keep the last axis.

        None: it is the input.
        """
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
        """Return whether a value is made of softmaxes so that it sums to 1 over its last axis."""
        return are_probabilities(value.name, self._nodes.get, self._shapes.__getitem__)

    def constant(self, value: Value) -> Array | None:
        """Compute a small value that is the same for every image; None: it depends on the image, or is large."""
        needed = self._needed(value.name, _MAX_CONSTANT_NODES)
        if value.guessed or INPUT in needed or any(math.prod(self._shapes[name]) > _MAX_CONSTANT for name in needed):
            return None
        constant: Array = oracle.run(self.graph(value), np.zeros((1, *self._input_shape), np.float32))[0]
        return constant

    def graph(self, output: Value) -> Graph:
        """Return the graph of `output`, without nodes that it does not depend on."""
        needed = self._needed(output.name)
        return Graph(self._input_shape, tuple(node for name, node in self._nodes.items() if name in needed))

    def _needed(self, name: str, most: int = 2 * MAX_NODES) -> set[str]:
        """Collect what a value depends on, itself included; the input, too, if that is more than `most` values."""
        needed = {name}
        pending = [name]
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
    """A call of a Keras layer: its settings and inputs."""

    builder: GraphBuilder = field(kw_only=True)
    weights: Weights = field(kw_only=True)
    owner: str = field(kw_only=True)
    """Name of its weights in the file."""
    depth: int = field(default=0, kw_only=True)
    """Number of models it is nested in."""
    args: tuple[Any, ...] = field(default=(), kw_only=True)
    """Positional arguments of the call; tensors are values, and lists of tensors are lists of values."""
    keywords: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """Named arguments of the call."""

    @property
    def inputs(self) -> tuple[Value, ...]:
        """All inputs of the layer, in order."""
        return tuple(values_in([*self.args, *self.keywords.values()]))

    @property
    def x(self) -> Value:
        """The only input of the layer.

        Raises:
            ModelFileError: it takes none or several.
        """
        if len(self.inputs) != 1:
            raise self.error(f"takes {len(self.inputs)} values, expected one")
        return self.inputs[0]

    def put(self, node: Node, *values: Value) -> Value:
        """Add a primitive. Its name is that of a part of the layer; an empty name gives the layer's own value."""
        name = f"{self.name}/{node.name}" if node.name else self.name
        return self.builder.put(replace(node, name=name), *values)

    def read(self, shapes: Mapping[str, Shape], part: Part = ITSELF) -> dict[str, Array]:
        """Read the layer's arrays by role, in Keras' order.

        Args:
            shapes: role (`kernel`, `bias` …) → expected shape.
            part: where inside the layer they are.

        Raises:
            ModelFileError: an array is missing, of another shape, or not finite.
        """
        return self.weights.read(self.owner, part, shapes)

    def constant(self, part: str, value: Array) -> Value:
        """Add a value that is the same for every image."""
        return self.put(Constant(part, np.asarray(value, np.float32, order="C")))

    def reshape(self, part: str, x: Value, shape: Shape) -> Value:
        """Reshape `x` in row-major order; return `x` itself if it has that shape already."""
        return x if x.shape == shape and not x.time_major else self.put(Reshape(part, shape), x)

    def binary(self, part: str, operator: Operator, a: Value, b: Value) -> Value:
        """Add an element-wise operator; Keras broadcasts as NumPy does, except for the batch axis."""
        if a.batched != b.batched:
            a, b = self._without_batch(part, a, b), self._without_batch(part, b, a)
        rank = max(len(a.shape), len(b.shape))
        first, second = (
            self.reshape(f"{part}:{side}".lstrip(":"), x, (1,) * (rank - len(x.shape)) + x.shape)
            for side, x in (("first", a), ("second", b))
        )
        return self.put(Binary(part, operator), first, second)

    def _without_batch(self, part: str, x: Value, other: Value) -> Value:
        """Drop the axis of length 1 of a constant that stands for the batch axis of another value."""
        if x.batched or len(x.shape) <= len(other.shape):
            return x
        if len(x.shape) > len(other.shape) + 1 or x.shape[0] != 1:
            raise self.error(f"takes a constant of shape {x.shape} beside a value of shape {other.shape} per image")
        return self.reshape(f"{part}:constant".lstrip(":"), x, x.shape[1:])

    def concat(self, part: str, axis: int, *values: Value) -> Value:
        """Join values along an axis of a sample."""
        return self.put(Concat(part, axis), *values)

    def matmul(self, part: str, a: Value, b: Value, transposed: bool = False) -> Value:
        """Add a matrix product over the last two axes."""
        return self.put(MatMul(part, transposed), a, b)

    def sample_axis(self, axis: object, rank: int) -> int:
        """Convert an axis as Keras counts, with the batch as axis 0, to the axis of a sample.

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
        """Return the layer inside a wrapper, with this layer's inputs and weights."""
        config = self.wrapped(setting)
        return self.like(replace(config, name=f"{keras2_prefix if self.keras2 else ''}{config.name}"))

    def like(self, config: LayerConfig, *args: Any) -> Layer:
        """Replace this layer by one with other settings; it takes `args`, or by default this layer's arguments."""
        return Layer(
            config.name, config.kind, config.settings, config.keras2,
            builder=self.builder, weights=self.weights, owner=self.owner, depth=self.depth,
            args=args or self.args, keywords={} if args else self.keywords,
        )  # fmt: skip


Convert: TypeAlias = Callable[[Layer], Value | tuple[Value, ...]]
"""Puts a layer into the graph and returns its value or values."""
_Convert = TypeVar("_Convert", bound=Convert)

LAYERS: dict[str, Convert] = {}
"""Class of a Keras layer → the function that converts it. Every module of `trained.keras.layers` adds its own."""


def converts(*classes: str) -> Callable[[_Convert], _Convert]:
    """Register a function in `LAYERS` under these classes."""

    def enter(convert: _Convert) -> _Convert:
        for name in classes:
            assert name not in LAYERS, name
            LAYERS[name] = convert
        return convert

    return enter


def convert(layer: Layer) -> Value | tuple[Value, ...]:
    """Put a layer into the graph, as the user has declared it or as its class defines it.

    Raises:
        ModelFileError: its class is unknown, or it has settings or inputs that cannot be converted.
    """
    custom = layer.builder.custom
    declared = custom.get(layer.name) or custom.get(layer.kind.replace(">", ".").rpartition(".")[2])
    if declared is None and layer.kind == "Lambda":
        declared = LAYERS["Lambda"]
    if declared is not None:
        return layer.builder.declare(layer, declared)
    if layer.kind not in LAYERS:
        raise layer.unsupported(
            "not supported; convert it by your own function, --layers FILE (see docs/declare.md), or use"
            " a layer from the list"
        )
    layer.expect_float_weights()
    return LAYERS[layer.kind](layer)
