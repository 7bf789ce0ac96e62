"""Lowers a spatial transformer to builtin ops in float32; see `SpatialTransform` and the oracle's formula."""

from __future__ import annotations

from functools import reduce

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..graph.cells import Array
from ..graph.nodes import Shape, SpatialTransform
from .ops import Ops
from .writer import Tensor


def spatial_transform(ops: Ops, node: SpatialTransform, shape: Shape, x: Tensor, matrix: Tensor) -> Tensor:
    """Sum the four pixels nearest to a source, each weighted by the area opposite to it."""
    name = node.name
    (batch, rows, columns, channels) = shape
    ops = Ops(ops.subgraph, "float32")
    pairs = ops.reshape(f"{name}:matrix", matrix, (batch, 2, 3))
    sources = ops.product(f"{name}:sources", pairs, _grid(rows, columns), None)
    across, down = ops.split(f"{name}:sources", sources, 2, axis=1)
    pixels = ops.reshape(f"{name}:pixels", x, (batch * rows * columns, channels))
    corners: list[Tensor] = []
    for row, height in _neighbours(ops, f"{name}/row", down, rows):
        start = ops.times(f"{row.name}:start", row, columns)
        for column, width in _neighbours(ops, f"{name}/column", across, columns):
            corner = f"{name}/corner:{len(corners)}"
            index = _places(ops, corner, ops.binary("ADD", f"{corner}:index", start, column), rows * columns)
            taken = ops.like(f"{corner}:pixels", (batch, rows * columns, channels), None)
            ops.op("GATHER", [pixels, index], taken, schema.GatherOptionsT(axis=0))
            area = ops.binary("MUL", f"{corner}:area", height, width)
            area = ops.reshape(f"{corner}:share", area, (batch, rows * columns, 1))
            corners.append(ops.binary("MUL", corner, taken, area))
    total = reduce(lambda a, b: ops.binary("ADD", f"{b.name}:total", a, b), corners)
    return ops.reshape(name, total, shape)


def _grid(rows: int, columns: int) -> Array:
    """(3, pixels): the target's x, y and 1."""
    across, down = np.meshgrid(
        np.linspace(-1, 1, columns, dtype=np.float32), np.linspace(-1, 1, rows, dtype=np.float32)
    )
    return np.stack([across.ravel(), down.ravel(), np.ones(rows * columns, np.float32)])


def _neighbours(ops: Ops, name: str, source: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """The pixels before and after a source along an axis, clipped to the map, and how much each counts."""
    centred = ops.binary("ADD", f"{name}:centred", source, ops.number(f"{name}/one", 1))
    place = ops.times(f"{name}:place", centred, length / 2)
    floor = ops.unary("FLOOR", f"{name}:floor", place)
    before = _clipped(ops, f"{name}:before", floor, length)
    following = ops.binary("ADD", f"{name}:following", floor, ops.number(f"{name}/one", 1))
    after = _clipped(ops, f"{name}:after", following, length)
    return [
        (before, ops.binary("SUB", f"{name}:until", after, place)),
        (after, ops.binary("SUB", f"{name}:since", place, before)),
    ]


def _clipped(ops: Ops, name: str, place: Tensor, length: int) -> Tensor:
    options = schema.MaximumMinimumOptionsT()
    positive = ops.like(f"{name}:positive", place.shape, None)
    ops.op("MAXIMUM", [place, ops.number(f"{name}/first", 0)], positive, options)
    return ops.op(
        "MINIMUM", [positive, ops.number(f"{name}/last", length - 1)], ops.like(name, place.shape, None), options
    )


def _places(ops: Ops, name: str, index: Tensor, count: int) -> Tensor:
    """Convert places (N, 1, pixels) within a sample to places (N, pixels) within the batch, int32."""
    batch = index.shape[0]
    options = schema.CastOptionsT(inDataType=schema.TensorType.FLOAT32, outDataType=schema.TensorType.INT32)
    whole = ops.op("CAST", [index], ops.subgraph.tensor(f"{name}:whole", index.shape, "int32"), options)
    place = ops.reshape(f"{name}:place", whole, (batch, count))
    if batch == 1:
        return place
    starts = ops.subgraph.constant(f"{name}/starts", np.arange(0, batch * count, count, dtype=np.int32)[:, None])
    shifted = ops.subgraph.tensor(f"{name}:shifted", place.shape, "int32")
    return ops.op("ADD", [place, starts], shifted, schema.AddOptionsT())
