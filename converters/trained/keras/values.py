"""Values of the graph as layers take and return them, and the converted layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...graph.nodes import Node, Shape


@dataclass(frozen=True)
class Value:
    """A value of the graph, as a layer takes or returns it."""

    name: str
    shape: Shape
    """The shape of one sample."""
    time_major: bool = False
    """Whether the steps come before the batch axis in Keras; then only functions of single steps can follow."""
    batched: bool = True
    """Whether the value has a batch axis in Keras; values made of constants alone have none."""
    guessed: bool = False
    """Whether its shape is a guess, because a layer before it cannot be converted or the image's size is open."""


@dataclass(frozen=True)
class Fragment:
    """The part of the graph that a layer declared by the user was converted to."""

    inputs: tuple[str, ...]
    """Names of its input values."""
    nodes: tuple[Node, ...]
    value: Value


@dataclass(frozen=True)
class ConvertedLayer:
    """A layer of the model and its result."""

    name: str
    kind: str
    """Class of the layer."""
    shape: Shape | None
    """Shape of one sample of its first result; None: unknown because of an obstacle before it."""


def values_in(structure: object) -> Iterator[Value]:
    """List all values in nested lists, tuples and dictionaries, in Keras' order, which sorts keys."""
    if isinstance(structure, Value):
        yield structure
    elif isinstance(structure, dict):
        yield from values_in([structure[name] for name in sorted(structure, key=str)])
    elif isinstance(structure, list | tuple):
        for part in structure:
            yield from values_in(part)
