"""Applies a graph for one step to every step of a sequence, along the first axis.

Most primitives only get one more axis. Convolutions and pools work on maps with three: a convolution gets the maps of
all steps one below the other, far enough apart; where that will not do, the steps go among the channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge_crnn.errors import ModelFileError

from ....graph.graph import INPUT, Graph
from ....graph.nodes import (
    Affine,
    Binary,
    Concat,
    Constant,
    Conv,
    Dense,
    MatMul,
    Node,
    Normalise,
    Pad,
    Permute,
    Pool,
    PRelu,
    Reduce,
    Reshape,
    Resize,
    Reverse,
    Slice,
    Softmax,
    Unary,
)
from ..builder import GraphBuilder, Value


def on_every_step(builder: GraphBuilder, step: Graph, x: Value) -> Value:
    """Apply a graph for one step to every step.

    Args:
        builder: of the whole graph.
        step: the graph for one step.
        x: (steps, *step.input_shape).

    Raises:
        ModelFileError: a node cannot work on steps.
    """
    steps = x.shape[0]
    values = {INPUT: x}
    for node in step.nodes:
        inputs = [values[name] for name in node.inputs]
        if isinstance(node, Concat | MatMul):
            inputs = [_repeated(builder, node.name, value, steps) for value in inputs]
        values[node.name] = _put(builder, replace(node, inputs=()), inputs)
    return _repeated(builder, step.output, values[step.output], steps)


def _repeated(builder: GraphBuilder, name: str, value: Value, steps: int) -> Value:
    """Repeat a value that is the same for all steps."""
    if value.shape[0] == steps:
        return value
    zeros = np.zeros((steps, *(1,) * (len(value.shape) - 1)), np.float32)
    return builder.put(Binary(f"{name}:steps", "add"), value, builder.put(Constant(f"{name}:zeros", zeros)))


def _put(builder: GraphBuilder, node: Node, inputs: Sequence[Value]) -> Value:
    """Put a node with an additional first axis of steps."""
    match node:
        case Affine() | Binary() | Dense() | MatMul() | Softmax() | Unary():
            pass
        case Concat(axis=axis) | Reverse(axis=axis):
            node = replace(node, axis=axis + 1)
        case Normalise(axes=axes) | Reduce(axes=axes):
            node = replace(node, axes=_shifted(axes))
        case Permute(axes=axes):
            node = Permute(node.name, (0, *_shifted(axes)))
        case Reshape(target=target):
            node = Reshape(node.name, (inputs[0].shape[0], *target))
        case Constant(value=value):
            node = Constant(node.name, value[None])
        case PRelu(slope=slope):
            node = PRelu(node.name, slope[None])
        case Pad(pads=pads):
            node = replace(node, pads=((0, 0), *pads))
        case Slice(starts=starts, stops=stops, steps=steps):
            node = Slice(node.name, (0, *starts), (inputs[0].shape[0], *stops), (1, *steps))
        case Conv():
            return _on_rows(builder, node, inputs[0])
        case Pool(pads=((0, 0), _)):
            return _on_rows(builder, node, inputs[0])
        case Pool() | Resize():
            return _on_channels(builder, node, inputs[0])
        case _:
            raise ModelFileError(
                f"layer {node.name!r}: {type(node).__name__} cannot work on every step of a TimeDistributed; use it"
                " outside"
            )
    return builder.put(node, *inputs)


def _shifted(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in axes)


def _on_rows(builder: GraphBuilder, node: Conv | Pool, x: Value) -> Value:
    """Apply a window to the maps of all steps, stacked below each other.

    Every map gets its padding, and rows below until the next one starts at a multiple of the stride. What windows
    across two maps give is cut off.
    """
    steps, rows, columns, channels = x.shape
    (above, below), across = node.pads
    stride = node.strides[0]
    span = (node.kernel.shape[0] - 1) * node.dilation[0] + 1 if isinstance(node, Conv) else node.size[0]
    needed, *_ = node.shape((rows, columns, channels))
    apart = -(-(above + rows + below) // stride) * stride
    x = _moved(builder, Pad(f"{node.name}:apart", ((0, 0), (above, apart - above - rows), (0, 0), (0, 0))), x)
    x = _moved(builder, Reshape(f"{node.name}:rows", (steps * apart, columns, channels)), x)
    end = max(span - stride, 0)  # so that there are as many windows for the last map
    x = builder.put(replace(node, pads=((0, end), across)), x)
    x = _moved(builder, Reshape(f"{node.name}:steps", (steps, apart // stride, *x.shape[1:])), x)
    return _moved(builder, Slice(f"{node.name}:whole", (0,) * 4, (steps, needed, *x.shape[2:]), (1,) * 4), x)


def _on_channels(builder: GraphBuilder, node: Pool | Resize, x: Value) -> Value:
    """Apply a node that treats all channels alike to the channels of all steps."""
    steps, rows, columns, channels = x.shape
    x = builder.put(Permute(f"{node.name}:channels", (1, 2, 0, 3)), x)
    x = builder.put(Reshape(f"{node.name}:flat", (rows, columns, steps * channels)), x)
    x = builder.put(node, x)
    x = builder.put(Reshape(f"{node.name}:apart", (*x.shape[:2], steps, channels)), x)
    return builder.put(Permute(f"{node.name}:steps", (2, 0, 1, 3)), x)


def _moved(builder: GraphBuilder, node: Node, x: Value) -> Value:
    """Put a node that moves elements, unless it changes nothing."""
    return x if node.shape(x.shape) == x.shape else builder.put(node, x)
