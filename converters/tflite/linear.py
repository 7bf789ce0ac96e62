"""Lowers products: convolutions, dense layers, norms, and the product of two values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..graph.nodes import NO_PADS, Affine, Conv, ConvTranspose, Dense, MatMul, Pads, Shape
from .blocks import block_of, in_blocks
from .maps import padded
from .ops import FUSED, Ops, Weights
from .writer import Tensor


def conv(ops: Ops, node: Conv, shape: Shape, x: Tensor) -> Tensor:
    """Convolve in 2-D: depthwise, as a whole, group by group, or with columns as channels."""
    block = block_of(node, shape, x.shape) if ops.static else 1
    if block > 1:
        return _in_blocks(ops, node, block, shape, x)
    x, padding = padded(ops, node, x, node.kernel.shape, node.dilation)
    if node.groups == 1:
        return _whole(ops, node.name, node, padding, shape, x)
    if node.groups == x.shape[-1]:
        return _depthwise(ops, node, padding, shape, x)
    kernels, biases = np.split(node.kernel, node.groups, axis=-1), np.split(node.bias, node.groups)
    parts = [
        _whole(
            ops,
            f"{node.name}:{group}",
            replace(node, kernel=kernel, bias=bias),
            padding,
            (*shape[:-1], bias.size),
            part,
        )
        for group, (kernel, bias, part) in enumerate(
            zip(kernels, biases, ops.split(f"{node.name}:group", x, node.groups), strict=True)
        )
    ]
    return ops.concat(node.name, parts)


def _in_blocks(ops: Ops, node: Conv, block: int, shape: Shape, x: Tensor) -> Tensor:
    name = f"{node.name}:blocks"
    taken = ops.reshape(f"{name} of columns", x, (*x.shape[:2], x.shape[2] // block, block))
    blocked = replace(in_blocks(node, block), name=name)
    result = conv(ops, blocked, (*shape[:2], shape[2] // block, block * shape[3]), taken)
    return ops.reshape(node.name, result, shape)


def _whole(ops: Ops, name: str, node: Conv, padding: int, shape: Shape, x: Tensor) -> Tensor:
    options = schema.Conv2DOptionsT(
        padding=padding,
        strideH=node.strides[0],
        strideW=node.strides[1],
        dilationHFactor=node.dilation[0],
        dilationWFactor=node.dilation[1],
        fusedActivationFunction=FUSED[node.activation],
    )
    ohwi = np.ascontiguousarray(node.kernel.transpose(3, 0, 1, 2))
    # With one input channel, int8 weights bring nothing, and XNNPACK has no kernel for them.
    weights = Weights(name, ohwi, node.bias, 0, float_or_static=ohwi.shape[3] == 1)
    return ops.linear("CONV_2D", name, shape, x, weights, options)


def _depthwise(ops: Ops, node: Conv, padding: int, shape: Shape, x: Tensor) -> Tensor:
    """Convolve with one or more kernels per channel."""
    options = schema.DepthwiseConv2DOptionsT(
        padding=padding,
        strideH=node.strides[0],
        strideW=node.strides[1],
        dilationHFactor=node.dilation[0],
        dilationWFactor=node.dilation[1],
        depthMultiplier=shape[-1] // x.shape[-1],
        fusedActivationFunction=FUSED[node.activation],
    )
    kernel = np.ascontiguousarray(node.kernel.transpose(2, 0, 1, 3))
    weights = Weights(node.name, kernel, node.bias, 3, float_or_static=True)
    return ops.linear("DEPTHWISE_CONV_2D", node.name, shape, x, weights, options)


def conv_transpose(ops: Ops, node: ConvTranspose, shape: Shape, x: Tensor) -> Tensor:
    """Convolve transposed: the full result, or the part that padding "same" leaves, without the trimmed margins."""
    longer = [(max(0, -before), max(0, -after)) for before, after in node.trims]
    kernel = np.pad(node.kernel, (*longer, (0, 0), (0, 0)))  # zeros, which become the ends of the result
    sizes = kernel.shape[:2]
    (top, bottom), (left, right) = trims = _positive(node.trims)
    same = trims == _same_trims(sizes, node.strides)
    rows, columns = (
        (length - 1) * stride + size for length, stride, size in zip(x.shape[1:3], node.strides, sizes, strict=True)
    )
    direct = same or trims == NO_PADS
    whole = shape if direct else (shape[0], rows, columns, shape[-1])
    options = schema.TransposeConvOptionsT(
        padding=schema.Padding.SAME if same else schema.Padding.VALID,
        strideH=node.strides[0],
        strideW=node.strides[1],
        fusedActivationFunction=FUSED[node.activation],
    )
    weights = Weights(node.name, np.ascontiguousarray(kernel.transpose(3, 0, 1, 2)), node.bias, 0, float_or_static=True)
    sizes_tensor = ops.integers(f"{node.name}/shape", *whole)
    name = node.name if direct else f"{node.name}:full"
    full = ops.linear("TRANSPOSE_CONV", name, whole, x, weights, options, before=sizes_tensor)
    if direct:
        return full
    stops = (shape[0], rows - bottom, columns - right, shape[-1])
    return ops.slice(node.name, full, (0, top, left, 0), stops, (1, 1, 1, 1))


def _positive(trims: Pads) -> Pads:
    rows, columns = ((max(0, before), max(0, after)) for before, after in trims)
    return rows, columns


def _same_trims(size: Sequence[int], strides: Sequence[int]) -> Pads:
    """Compute what padding "same" cuts off, for kernels at least as long as the strides."""
    totals = [max(length - stride, 0) for length, stride in zip(size, strides, strict=True)]
    rows, columns = ((total // 2, total - total // 2) for total in totals)
    return rows, columns


def dense(ops: Ops, node: Dense, _: Shape, x: Tensor) -> Tensor:
    """Multiply the last axis by a matrix."""
    return ops.product(node.name, x, node.kernel, node.bias, node.activation)


def affine(ops: Ops, node: Affine, _: Shape, x: Tensor) -> Tensor:
    """Compute `x * scale + shift` per channel."""
    name = node.name
    if not ops.static:
        scaled = ops.binary("MUL", f"{name}:scaled", x, ops.fixed(f"{name}/scale", node.scale))
        return ops.binary("ADD", name, scaled, ops.fixed(f"{name}/shift", node.shift), activation=node.activation)
    # In int8 a 1×1 depthwise convolution keeps one scale per channel where MUL and ADD would share one.
    flat = x if len(x.shape) == 4 else ops.reshape(f"{name}:map", x, (1, 1, int(np.prod(x.shape[:-1])), x.shape[-1]))
    options = schema.DepthwiseConv2DOptionsT(
        padding=schema.Padding.VALID,
        strideH=1,
        strideW=1,
        dilationHFactor=1,
        dilationWFactor=1,
        depthMultiplier=1,
        fusedActivationFunction=FUSED[node.activation],
    )
    weights = Weights(name, node.scale.reshape(1, 1, 1, -1), node.shift, 3, parts=("scale", "shift"))
    into = ops.result(name if flat is x else f"{name}:flat", flat.shape)
    shifted = ops.linear("DEPTHWISE_CONV_2D", name, flat.shape, flat, weights, options, result=into)
    return ops.reshape(name, shifted, x.shape)


def matmul(ops: Ops, node: MatMul, shape: Shape, a: Tensor, b: Tensor) -> Tensor:
    """Multiply the last two axes of two values; the op allows at most three axes before them."""
    options = schema.BatchMatMulOptionsT(adjX=False, adjY=node.transposed, asymmetricQuantizeInputs=False)
    if len(shape) <= 5:
        return ops.op("BATCH_MATMUL", [a, b], ops.result(node.name, shape), options)
    flat = [
        ops.reshape(f"{node.name}:{side}", x, (int(np.prod(shape[:-2])), *x.shape[-2:]))
        for side, x in (("left", a), ("right", b))
    ]
    product = ops.result(f"{node.name}:flat", (flat[0].shape[0], *shape[-2:]))
    return ops.reshape(node.name, ops.op("BATCH_MATMUL", flat, product, options), shape)
