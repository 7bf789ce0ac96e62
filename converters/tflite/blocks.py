"""Convolutions of a grey image in int8, with neighbouring columns as channels.

XNNPACK takes the input channels of an int8 convolution by fours, eights or, on a processor with AMX, by 64, and
computes up to 64 output channels together. With one input channel and few output channels, most of that is padding.
If a block of columns becomes the channels of a single column, the kernel has `block` times as many channels on both
sides. It multiplies the same numbers and adds zeros, so that the result is the same to the bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph.nodes import Conv, Shape

_MOST_INPUTS = 8
"""Input channels that cost no more than one on a Cortex-A72."""
_MOST_OUTPUTS = 64
"""Output channels of a tile on a processor with AMX."""


def block_of(node: Conv, shape: Shape, operand: Shape) -> int:
    """Return how many columns to take as channels; 1 means none.

    Args:
        node: the convolution.
        shape: shape of its result, (N, rows, columns, channels).
        operand: shape of its input, (N, rows, columns, channels).
    """
    columns = operand[2]
    if operand[3] > 1 or node.strides[1] > 1 or shape[2] != columns:
        return 1
    most = min(_MOST_INPUTS, _MOST_OUTPUTS // shape[3])
    return max((block for block in range(1, most + 1) if columns % block == 0), default=1)


def in_blocks(node: Conv, block: int) -> Conv:
    """Return the convolution of (rows, columns / block, block) that equals `node` on (rows, columns, 1).

    Its result (…, columns / block, block * channels) is the result (…, columns, channels) in the same order.
    """
    rows, size, _, channels = node.kernel.shape
    left, right = node.pads[1]
    first, last = -left // block, (block - 1 + right) // block
    kernel = np.zeros((rows, last - first + 1, block, block * channels), np.float32)
    for column in range(block):
        outputs = slice(column * channels, (column + 1) * channels)
        for tap in range(size):
            place, within = divmod(column + tap * node.dilation[1] - left, block)
            kernel[:, place - first, within, outputs] = node.kernel[:, tap, 0]
    return replace(
        node,
        kernel=kernel,
        bias=np.tile(node.bias, block),
        pads=(node.pads[0], (-first, last)),
        dilation=(node.dilation[0], 1),
    )
