"""Nodes that move values."""

from __future__ import annotations

from ..graph.nodes import Concat, Pad, Permute, Reshape, Reverse, Slice
from .place import Operand, Place, Tensor


def concat(place: Place, node: Concat, *operands: Operand) -> Tensor:
    """Join values along an axis."""
    if len(operands) == 1:
        return operands[0]
    values = [place.per_sample(operand, f"constant{number}") for number, operand in enumerate(operands, 1)]
    return place.layer("Concatenate", values, axis=node.axis + 1)


def slice_(place: Place, node: Slice, x: Tensor) -> Tensor:
    """Take every `step`-th element of a range of each axis."""
    return place.sliced(x, node.index)


def pad(place: Place, node: Pad, x: Tensor) -> Tensor:
    """Pad with a constant; a layer of Keras pads rows and columns with zeros."""
    *around, channels = node.pads
    if node.value == 0 and channels == (0, 0) and len(around) == 2:
        return place.layer("ZeroPadding2D", x, padding=tuple(around), data_format="channels_last")
    pads = [[0, 0], *map(list, node.pads)]
    return place.operation("pad", x, pads, mode="constant", constant_values=float(node.value))


def reverse(place: Place, node: Reverse, x: Tensor) -> Tensor:
    """Reverse an axis."""
    return place.operation("flip", x, axis=node.axis + 1)


def reshape(place: Place, node: Reshape, x: Tensor) -> Tensor:
    """Reshape in row-major order."""
    return place.layer("Reshape", x, target_shape=node.target)


def permute(place: Place, node: Permute, x: Tensor) -> Tensor:
    """Transpose the sample's axes."""
    return place.layer("Permute", x, dims=tuple(axis + 1 for axis in node.axes))
