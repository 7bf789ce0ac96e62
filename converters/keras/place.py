"""Writes single layers and operations of a Keras model, with the names of the nodes that they belong to."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from edge_crnn.errors import ConversionError

from ..graph.cells import Array
from ..graph.nodes import Activation, Shape

Tensor: TypeAlias = Any
"""A symbolic value of Keras, (N, *shape of a sample)."""
Operand: TypeAlias = Any
"""A `Tensor`, or an `Array` with the shape of a sample: a value that is the same for every sample."""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9.>-]+")
"""Characters that Keras or TensorFlow refuses in a name; an underscore stands for them."""


class Names:
    """The names of the layers of a model, all different."""

    def __init__(self, nodes: Collection[str]) -> None:
        """Reserve a name for each node."""
        self._used: set[str] = set()
        self._of_nodes = {node: self.unique(node) for node in nodes}

    def of(self, node: str) -> str:
        """Return the name reserved for a node."""
        return self._of_nodes[node]

    def unique(self, wish: str) -> str:
        """Return a new valid name that resembles `wish`."""
        valid = _FORBIDDEN.sub("_", wish).strip("_") or "layer"
        name = valid
        number = 2
        while name in self._used:
            name = f"{valid}_{number}"
            number += 1
        self._used.add(name)
        return name


@dataclass(frozen=True)
class Place:
    """A node that is being lowered: its name and shapes, and the model that it goes to."""

    keras: Any
    """The module."""
    names: Names
    image: Tensor
    """The input of the model."""
    node: str
    shapes: tuple[Shape, ...]
    """Shapes of its inputs."""
    shape: Shape
    """Shape of its value."""

    def layer(
        self, kind: str, x: Tensor | Sequence[Tensor], weights: Sequence[Array] = (), *, part: str = "", **settings: Any
    ) -> Tensor:
        """Add a layer of Keras, and return its result.

        Args:
            kind: class of the layer.
            x: its input, or a list of inputs.
            weights: its arrays in Keras' order.
            part: what the layer does for the node; empty if it computes the node's own value.
            settings: arguments of the class.
        """
        layer = getattr(self.keras.layers, kind)(name=self._name(part), dtype="float32", **settings)
        result = layer(x)
        layer.set_weights(list(weights))
        return result

    def operation(self, kind: str, *operands: Operand, part: str = "", **settings: Any) -> Tensor:
        """Add one of `keras.ops`, and return its result; see `layer`."""
        return self._named(getattr(self.keras.ops, kind)(*operands, **settings), part)

    def sliced(self, x: Tensor, index: tuple[slice, ...], part: str = "") -> Tensor:
        """Add the operation that takes a part of every sample, and return its result."""
        return self._named(x[(slice(None), *index)], part)

    def activate(self, x: Tensor, function: Activation) -> Tensor:
        """Apply a node's activation as a layer of its own."""
        return x if function == "linear" else self.layer("Activation", x, part=function, activation=function)

    def per_sample(self, x: Operand, part: str) -> Tensor:
        """Return an operand as a tensor: a value that is the same for every sample is repeated.

        Keras takes the number of samples from the image alone, so the value is added to zeros made of one pixel.
        """
        if not isinstance(x, np.ndarray):
            return x
        rank = len(self.image.shape) - 1
        pixel = self.sliced(self.image, (slice(0, 1),) * rank, f"{part}_pixel")
        zero = self.operation("zeros_like", pixel, part=f"{part}_zero")
        unit = self.layer("Reshape", zero, part=f"{part}_unit", target_shape=(1,) * x.ndim)
        return self.operation("add", unit, x, part=part)

    def error(self, reason: str) -> ConversionError:
        """Return the error that Keras cannot express the node."""
        return ConversionError(
            f"layer {self.node!r} cannot be written as a Keras layer: {reason}; leave it out of the model, or replace"
            " it by layers that Keras has"
        )

    def _name(self, part: str) -> str:
        return self.names.unique(f"{self.node}_{part}") if part else self.names.of(self.node)

    def _named(self, result: Tensor, part: str) -> Tensor:
        """Name the operation that gives a result, which Keras would number through all models of the process."""
        result._keras_history.operation.name = self._name(part)
        return result
