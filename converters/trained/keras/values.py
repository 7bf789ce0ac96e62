"""Values of the graph as layers take and give them, and what became of the layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...graph.nodes import Node, Shape


@dataclass(frozen=True)
class Value:
    """A value of the graph, as a layer takes and gives it."""

    name: str
    shape: Shape
    """The shape of one sample."""
    time_major: bool = False
    """Whether Keras has the steps before the batch axis; then only functions of single steps can follow."""
    batched: bool = True
    """Whether Keras has a batch axis; what is made of constants alone has none, and its axes count from 0."""
    guessed: bool = False
    """Whether its shape is a guess, because a layer before it cannot be converted or the image's size is open."""


@dataclass(frozen=True)
class Fragment:
    """What became of a layer that was converted as the user has declared it."""

    inputs: tuple[str, ...]
    """Names of the values that it takes."""
    nodes: tuple[Node, ...]
    value: Value


@dataclass(frozen=True)
class ConvertedLayer:
    """A layer of the model, and what it gives."""

    name: str
    kind: str
    """Its class."""
    shape: Shape | None
    """Shape of one sample of its first result; None: not known, because an obstacle stands before it."""


def values_in(structure: object) -> Iterator[Value]:
    """All values in nested lists, tuples and dictionaries, in Keras' order, which is that of sorted keys."""
    if isinstance(structure, Value):
        yield structure
    elif isinstance(structure, dict):
        yield from values_in([structure[name] for name in sorted(structure, key=str)])
    elif isinstance(structure, list | tuple):
        for part in structure:
            yield from values_in(part)
