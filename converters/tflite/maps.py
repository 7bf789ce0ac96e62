"""Lowers padding, pooling and enlarging of feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..graph.cells import Array
from ..graph.nodes import NO_PADS, Conv, Pool, Resize, Shape, same_pads
from .ops import Ops
from .writer import Tensor

_LOWEST = float(np.finfo(np.float32).min)


def padded(
    ops: Ops, node: Conv | Pool, x: Tensor, size: Sequence[int], dilation: Sequence[int] = (1, 1), value: float = 0.0
) -> tuple[Tensor, int]:
    """Return value and padding for a node's op: SAME if that is its padding, or else the padded value and VALID."""
    if node.pads == NO_PADS:
        return x, schema.Padding.VALID
    # XNNPACK before LiteRT 2.1 misplaces windows that are shorter than their stride along one axis.
    steady = all((size[axis] - 1) * dilation[axis] + 1 >= node.strides[axis] for axis in (0, 1))
    if steady and node.pads == same_pads(x.shape[1:], size, node.strides, dilation):
        return x, schema.Padding.SAME
    return ops.pad(f"{node.name}:padded", x, ((0, 0), *node.pads, (0, 0)), value), schema.Padding.VALID


def pool(ops: Ops, node: Pool, shape: Shape, x: Tensor) -> Tensor:
    """Pool a map; the result keeps the quantisation of `x`."""
    average = node.mode == "average"
    lowest = _LOWEST if x.quantisation is None else (-128 - x.quantisation.zero_point) * x.quantisation.scale
    x, padding = padded(ops, node, x, node.size, value=0.0 if average else lowest)
    counted = average and padding == schema.Padding.VALID and node.pads != NO_PADS
    pooled = ops.like(f"{node.name}:pooled" if counted else node.name, shape, x.quantisation)
    options = schema.Pool2DOptionsT(
        padding=padding,
        strideH=node.strides[0],
        strideW=node.strides[1],
        filterHeight=node.size[0],
        filterWidth=node.size[1],
    )
    ops.op("AVERAGE_POOL_2D" if average else "MAX_POOL_2D", [x], pooled, options)
    if not counted:
        return pooled
    # The op has counted the zeros, too.
    return ops.binary("MUL", node.name, pooled, ops.fixed(f"{node.name}/share", _uncounted(node, x.shape[1:], shape)))


def _uncounted(node: Pool, padded_shape: Sequence[int], shape: Shape) -> Array:
    """(1, rows, columns, 1): the number of pixels of a window divided by the number that are not padding."""
    rows, columns = (
        _uncounted_along(length, node.pads[axis], shape[1 + axis], node.size[axis], node.strides[axis])
        for axis, length in enumerate(padded_shape[:2])
    )
    return rows[None, :, None, None] * columns[None, None, :, None]


def _uncounted_along(length: int, pads: tuple[int, int], count: int, size: int, stride: int) -> Array:
    starts = np.arange(count) * stride
    real = np.minimum(starts + size, length - pads[1]) - np.maximum(starts, pads[0])
    return np.asarray(size / real, np.float32)


def resize(ops: Ops, node: Resize, shape: Shape, x: Tensor) -> Tensor:
    """Enlarge a feature map; the result keeps the quantisation of `x`."""
    size = ops.integers(f"{node.name}/size", *shape[1:3])
    if node.mode == "nearest":
        code, options = "RESIZE_NEAREST_NEIGHBOR", schema.ResizeNearestNeighborOptionsT(halfPixelCenters=True)
    else:
        code, options = "RESIZE_BILINEAR", schema.ResizeBilinearOptionsT(halfPixelCenters=True)
    return ops.op(code, [x, size], ops.like(node.name, shape, x.quantisation), options)
