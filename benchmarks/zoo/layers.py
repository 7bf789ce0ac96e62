"""The file for `--layers` that converts the custom layers of `benchmarks.zoo.train`."""

from __future__ import annotations

from benchmarks.zoo.train import GatedConv2D, Positions
from converters.graph.nodes import Conv, Slice, Unary, same_pads
from converters.trained.keras import Layer, Value


def gated_conv2d(layer: Layer) -> Value:
    """Convert to half of a convolution's channels times the sigmoid of the other half."""
    x, size, filters = layer.x, (layer.size("kernel_size"),) * 2, layer.size("filters")
    arrays = layer.read({"kernel": (*size, x.shape[-1], 2 * filters), "bias": (2 * filters,)})
    pads = same_pads(x.shape, size, (1, 1))
    both = layer.put(Conv("both", arrays["kernel"], arrays["bias"], pads=pads), x)
    rows, columns, channels = both.shape
    linear = layer.put(Slice("linear", (0, 0, 0), (rows, columns, filters), (1, 1, 1)), both)
    gate = layer.put(Slice("gate", (0, 0, filters), (rows, columns, channels), (1, 1, 1)), both)
    return layer.binary("", "multiply", linear, layer.put(Unary("sigmoid", "sigmoid"), gate))


def positions(layer: Layer) -> Value:
    """Convert to the addition of a vector for each step."""
    weights = layer.read({"positions": layer.x.shape})
    return layer.binary("", "add", layer.x, layer.constant("positions", weights["positions"]))


LAYERS = {"GatedConv2D": gated_conv2d, "Positions": positions}
KERAS = {"GatedConv2D": GatedConv2D, "Positions": Positions}
