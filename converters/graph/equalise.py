"""Equalisation: channels between two convolutions get similar magnitudes, so that int8 keeps the small ones.

ReLU and pooling commute with a positive scale per channel. So a convolution may give a channel divided by a scale, if
the next one multiplies by it (Nagel, van Baalen, Blankevoort, Welling 2019, "Data-free quantization through weight
equalization and bias correction", section 4.1). The scales here are powers of two, so that the values in float32 stay
the same to the last bit.

A channel whose values are large has small weights in the next convolution, whose int8 steps are those of the largest
weights. Batch normalisation before a ReLU easily makes a difference of 40 times.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .cells import Array
from .graph import Graph
from .nodes import Conv, Pad, Pool

_LEAST = 1.0
"""Least standard deviation of the exponents. Where most channels are alike, moving scales gains nothing."""
_MOST = 6.0
"""Greatest exponent of a scale, so that hardly a weight leaves the range of float16."""


def equalised(graph: Graph) -> Graph:
    """Return the graph with scales moved between its convolutions; every result stays the same."""
    nodes = dict(graph.by_name)
    for name in graph.by_name:
        first, following = nodes[name], _next_convolution(name, graph)
        if isinstance(first, Conv) and first.activation == "relu" and following is not None:
            second = nodes[following]
            assert isinstance(second, Conv)
            scales = _scales(first, second)
            nodes[name] = replace(first, kernel=first.kernel / scales, bias=first.bias / scales)
            nodes[following] = replace(second, kernel=second.kernel * scales[:, None])
    return Graph(graph.input_shape, tuple(nodes.values()))


def _next_convolution(name: str, graph: Graph) -> str | None:
    """Return the name of the convolution that alone uses a value, perhaps padded and pooled; None if there is none."""
    while len(graph.consumers[name]) == 1:
        (node,) = graph.consumers[name]
        if isinstance(node, Conv):
            return node.name if node.groups == 1 else None
        if not (isinstance(node, Pool) or (isinstance(node, Pad) and node.value == 0)):
            return None
        name = node.name
    return None


def _scales(first: Conv, second: Conv) -> Array:
    """Return by what to divide each channel between two convolutions: (channels,) float32, powers of two.

    That is the square root of the ratio of its values to the weights that they meet, relative to the other channels.
    """
    squares = np.square(first.kernel, dtype=np.float64).sum((0, 1, 2)) + np.square(first.bias, dtype=np.float64)
    values = np.sqrt(squares)
    weights = np.abs(second.kernel).max((0, 1, 3)).astype(np.float64)
    scales = np.ones(len(values), np.float32)
    used = (values > 0) & (weights > 0)
    if used.any():
        exponents = (np.log2(values[used]) - np.log2(weights[used])) / 2
        exponents = np.clip(np.rint(exponents - exponents.mean()), -_MOST, _MOST)
        if np.std(exponents) >= _LEAST:
            scales[used] = np.exp2(exponents).astype(np.float32)
    return scales
