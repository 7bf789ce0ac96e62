"""Continues after a layer that cannot be converted, so that all obstacles of a model are reported at once.

A `Guess` stands for the value of such a layer. Its shape is the one that the file states for the next layer, or else
that of the layer's input. After a guess, or an image of open size, only what no shape can change is an obstacle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge_crnn.errors import ModelFileError

from ...graph.cells import Array
from ...graph.nodes import Node, Shape
from ..obstacles import ExcessError, Obstacle, UnsupportedError
from .arrays import ITSELF, Part, Weights
from .builder import GraphBuilder, Layer, Value, convert
from .config import MAX_SIZE

_RECURRENT = ("GRU", "LSTM", "RNN")
_LENGTH = 16
_RANKS = (2, 3)
"""Numbers of axes to try for a value of unknown shape: steps with channels, and maps."""


@dataclass(frozen=True, eq=False)
class Guess(Node):
    """Stands for a value that cannot be computed; a graph that contains one is never run."""

    arity = None
    target: Shape
    layer_kind: str
    """Class of the layer that cannot be converted."""

    def shape(self, *_: Shape) -> Shape:
        """`target`."""
        return self.target


def may_go_backwards(node: Node | None) -> bool:
    """Return whether a node stands for a recurrent layer whose order of steps is unknown."""
    return isinstance(node, Guess) and any(kind in node.layer_kind for kind in _RECURRENT)


def attempt(layer: Layer, built_for: Shape | None) -> Value | tuple[Value, ...]:
    """Convert a layer, or put a guess in its place and add the reason to the builder's obstacles.

    Args:
        layer: to be converted.
        built_for: shape of one sample of its only input, where the file states it.

    Raises:
        ExcessError: the model is too large to go on.
    """
    obstacles = layer.builder.obstacles
    assert obstacles is not None
    count = len(obstacles)
    guessed = any(value.guessed for value in layer.inputs)
    for form in _forms(layer, built_for) if guessed else (layer,):
        try:
            return convert(form)
        except ExcessError:
            raise
        except ModelFileError as error:
            if not guessed or isinstance(error, UnsupportedError):
                if len(obstacles) == count:  # otherwise a layer inside it was the obstacle
                    obstacles.append(Obstacle.of(error, layer.name, layer.kind))
                break
    layer.builder.count_failure()
    first = next(iter(layer.inputs), None)
    return _guess(layer.builder, layer, built_for or (_LENGTH,) if first is None else first.shape)


def _guess(builder: GraphBuilder, layer: Layer, shape: Shape) -> Value:
    inputs = tuple(replace(value, time_major=False) for value in layer.inputs)
    return replace(builder.put(Guess(layer.name, shape, layer.kind), *inputs[:1]), guessed=True, batched=True)


def _forms(layer: Layer, built_for: Shape | None) -> Iterator[Layer]:
    """Yield the layer with its input in every shape that it may have; weights of other shapes are skipped."""
    lenient = replace(layer, weights=_AnyWeights(layer.weights))
    if len(layer.inputs) != 1 or len(layer.args) != 1 or layer.args[0] is not layer.inputs[0]:
        yield lenient
        return
    (x,) = layer.inputs
    shapes = [x.shape, *((_LENGTH,) * rank for rank in _RANKS)] if built_for is None else [built_for]
    for shape in dict.fromkeys(shapes):
        if shape == x.shape:
            yield lenient
            continue
        node = layer.builder.node(x)
        kind = node.layer_kind if isinstance(node, Guess) else ""
        put = layer.builder.put(Guess(f"{layer.name}/input", shape, kind), replace(x, time_major=False))
        yield replace(lenient, args=(put,))


@dataclass(frozen=True)
class _AnyWeights:
    """A file's weights, replaced by ones where they do not fit a guessed shape."""

    weights: Weights

    def read(self, layer: str, part: Part, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """See `Weights.read`."""
        try:
            return self.weights.read(layer, part, shapes)
        except ModelFileError:
            if any(math.prod(shape) > MAX_SIZE for shape in shapes.values()):
                raise
            return {role: np.ones(shape, np.float32) for role, shape in shapes.items()}

    def shape(self, layer: str, part: Part, role: str, index: int) -> Shape | None:
        """See `Weights.shape`."""
        return self.weights.shape(layer, part, role, index)

    def inside(self, layer: str, entries: list[dict[str, Any]], part: Part = ITSELF) -> Weights:
        """See `Weights.inside`."""
        return _AnyWeights(self.weights.inside(layer, entries, part))
