"""The base of all primitives, and the shape of a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from edge_crnn.errors import ModelFileError

from .cells import Array

Shape: TypeAlias = tuple[int, ...]
"""The lengths of a value's axes, without the batch axis."""
MAX_VALUES = 1 << 26
"""Largest number of elements of one value of a sample."""


@dataclass(frozen=True, eq=False)
class Node:
    """An operation of a graph; every primitive is a subclass."""

    arity: ClassVar[int | None] = 1
    """Number of inputs; None: one or more."""

    name: str
    inputs: tuple[str, ...] = field(default=(), kw_only=True)
    """Names of the nodes that compute the inputs, or `graph.INPUT`."""

    @property
    def kind(self) -> str:
        """Name of the primitive, in lower case."""
        return type(self).__name__.lower()

    @property
    def weights(self) -> tuple[Array, ...]:
        """All weight arrays."""
        return ()

    def shape(self, *shapes: Shape) -> Shape:
        """Compute the shape of the value from the shapes of the inputs.

        Raises:
            ModelFileError: the inputs do not fit the node's weights or settings.
        """
        raise NotImplementedError

    def require(self, fits: bool, shapes: Sequence[Shape]) -> None:
        """Reject inputs of these shapes unless they fit."""
        if not fits:
            raise ModelFileError(
                f"layer {self.name!r} ({type(self).__name__}) cannot take {', '.join(map(str, shapes))}: its weights or"
                " its settings do not fit the layer before it; was the file put together from two models?"
            )
