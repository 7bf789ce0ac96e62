"""Layers inside other layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ....graph.cells import Array
from ....graph.nodes import Shape
from ..builder import ITSELF, Layer, Value
from ..config import LayerConfig
from ..file import Part, Weights


def part_of(layer: Layer, config: LayerConfig, part: Part, name: str) -> Layer:
    """Return a layer inside another one, with the other one's inputs; it reads its own weights.

    Args:
        layer: the other one.
        config: of the layer inside.
        part: where it is.
        name: of its nodes.
    """
    return replace(layer.like(replace(config, name=name)), weights=_PartWeights(layer.weights, part))


def only(layer: Layer, result: Value | tuple[Value, ...]) -> Value:
    """Convert a layer inside another one, and return its value.

    Raises:
        ModelFileError: it gives several.
    """
    if isinstance(result, Value):
        return result
    if len(result) != 1:
        raise layer.error(f"the layer inside it gives {len(result)} values, expected one")
    return result[0]


@dataclass(frozen=True)
class _PartWeights:
    """Weights of a layer inside another one, under the other one's name."""

    weights: Weights
    part: Part

    def read(self, layer: str, part: Part, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """See `Weights.read`."""
        return self.weights.read(layer, self._inside(part), shapes)

    def shape(self, layer: str, part: Part, role: str, index: int) -> Shape | None:
        """See `Weights.shape`."""
        return self.weights.shape(layer, self._inside(part), role, index)

    def inside(self, layer: str, entries: list[dict[str, Any]], part: Part = ITSELF) -> Weights:
        """See `Weights.inside`."""
        return self.weights.inside(layer, entries, self._inside(part))

    def _inside(self, part: Part) -> Part:
        if part == ITSELF:
            return self.part
        return Part(f"{self.part.attributes}/{part.attributes}", f"{self.part.name}/{part.name}")
