"""Lowers nodes that only move elements; in int8 these keep their quantisation where possible."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from ..graph.nodes import Concat, Pad, Permute, Reshape, Reverse, Shape, Slice
from .ops import Ops
from .writer import Tensor


def reshape(ops: Ops, node: Reshape, shape: Shape, x: Tensor) -> Tensor:
    """Reshape in row-major order."""
    return ops.reshape(node.name, x, shape)


def permute(ops: Ops, node: Permute, _: Shape, x: Tensor) -> Tensor:
    """Permute the axes."""
    return ops.transpose(node.name, x, (0, *(axis + 1 for axis in node.axes)))


def cut(ops: Ops, node: Slice, shape: Shape, x: Tensor) -> Tensor:
    """Slice along each axis."""
    return ops.slice(node.name, x, (0, *node.starts), (shape[0], *node.stops), (1, *node.steps))


def reverse(ops: Ops, node: Reverse, shape: Shape, x: Tensor) -> Tensor:
    """Reverse an axis."""
    axes = ops.integers(f"{node.name}/axes", node.axis + 1)
    return ops.op("REVERSE_V2", [x, axes], ops.like(node.name, shape, x.quantisation), schema.ReverseV2OptionsT())


def pad(ops: Ops, node: Pad, _: Shape, x: Tensor) -> Tensor:
    """Pad a value with a number; a number other than zero may need another quantisation."""
    if ops.static and node.value != 0:
        x = ops.requantised(f"{node.name}:requantised", x, ops.quantisation(node.name))
    return ops.pad(node.name, x, ((0, 0), *node.pads), node.value)


def concat(ops: Ops, node: Concat, _: Shape, *parts: Tensor) -> Tensor:
    """Join values; in int8 all get the quantisation of the result."""
    if ops.static:
        whole = ops.quantisation(node.name)
        parts = tuple(ops.requantised(f"{node.name}:{place}", part, whole) for place, part in enumerate(parts))
    return ops.concat(node.name, parts, node.axis + 1)
