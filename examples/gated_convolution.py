"""Gated convolutions, which Keras does not have: `--layers examples/gated_convolution.py` converts them.

Copy this file and put your own layers in it. Each needs a function that says what the layer computes in terms of a few
primitives (`converters.graph.nodes` lists them), and the class that you trained with, which verification runs.

Axes and shapes are those of one image, without the batch: a feature map is (rows, columns, channels).
"""

import keras

from converters.graph.nodes import Conv, Slice, Unary, same_pads
from converters.trained.keras import Layer, Part, Value

# --- the layers as they were trained ---------------------------------------------------------------------------------


class GatedConvolution(keras.layers.Layer):
    """A convolution to twice the channels, one half of which gates the other (Dauphin et al. 2017)."""

    def __init__(self, filters, kernel_size=(3, 3), **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size = filters, kernel_size
        self.convolution = keras.layers.Conv2D(2 * filters, kernel_size, padding="same", name="convolution")

    def build(self, input_shape):
        self.convolution.build(input_shape)

    def call(self, x):
        straight, gate = keras.ops.split(self.convolution(x), 2, axis=-1)
        return straight * keras.ops.sigmoid(gate)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size}


class FullGatedConv2D(keras.layers.Conv2D):
    """The same gate in a subclass of Conv2D, as in handwriting recognisers after Flor de Sousa Neto et al. 2020."""

    def __init__(self, filters, **kwargs):
        super().__init__(filters=2 * filters, **kwargs)
        self.nb_filters = filters

    def call(self, x):
        y = super().call(x)
        return y[..., : self.nb_filters] * keras.ops.sigmoid(y[..., self.nb_filters :])

    def compute_output_shape(self, input_shape):
        return (*super().compute_output_shape(input_shape)[:-1], self.nb_filters)

    def get_config(self):
        config = super().get_config()
        del config["filters"]
        return {**config, "nb_filters": self.nb_filters}

    @classmethod
    def from_config(cls, config):
        return cls(filters=config.pop("nb_filters"), **config)


class GatedConv2D(keras.layers.Conv2D):
    """The input, gated by a convolution of it (Bluche and Messina 2017)."""

    def call(self, x):
        return x * keras.ops.sigmoid(super().call(x))


# --- their computation -----------------------------------------------------------------------------------------------


def convolved(layer: Layer, filters: int, part: Part) -> Value:
    """Put a convolution with padding "same"; `part` is the part of the layer that has its weights."""
    size = layer.pair("kernel_size")
    arrays = layer.read({"kernel": (*size, layer.x.shape[-1], filters), "bias": (filters,)}, part)
    pads = same_pads(layer.x.shape, size, (1, 1))
    return layer.put(Conv("convolved", arrays["kernel"], arrays["bias"], pads=pads), layer.x)


def half_gated(layer: Layer, x: Value) -> Value:
    """Multiply the first half of the channels by the sigmoid of the second."""
    rows, columns, channels = x.shape
    half = channels // 2
    straight = layer.put(Slice("straight", (0, 0, 0), (rows, columns, half), (1, 1, 1)), x)
    gate = layer.put(Slice("gate", (0, 0, half), (rows, columns, channels), (1, 1, 1)), x)
    return layer.binary("", "multiply", straight, layer.put(Unary("sigmoid", "sigmoid"), gate))


def gated_convolution(layer: Layer) -> Value:
    """Convert a layer with a Conv2D in its attribute `convolution`, which is also named "convolution"."""
    return half_gated(layer, convolved(layer, 2 * layer.size("filters"), Part("convolution", "convolution")))


def full_gated_conv2d(layer: Layer) -> Value:
    """Convert a subclass of Conv2D, whose weights are the layer's own."""
    layer.expect("padding", "same")
    return half_gated(layer, convolved(layer, 2 * layer.size("nb_filters"), Part()))


def gated_conv2d(layer: Layer) -> Value:
    """Convert to the input times the sigmoid of its convolution."""
    layer.expect("padding", "same")
    gate = layer.put(Unary("sigmoid", "sigmoid"), convolved(layer, layer.size("filters"), Part()))
    return layer.binary("", "multiply", layer.x, gate)


LAYERS = {
    "FullGatedConv2D": full_gated_conv2d,
    "GatedConv2D": gated_conv2d,
    "GatedConvolution": gated_convolution,
}
KERAS = {
    "FullGatedConv2D": FullGatedConv2D,
    "GatedConv2D": GatedConv2D,
    "GatedConvolution": GatedConvolution,
}
