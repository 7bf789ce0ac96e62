"""Conversions of custom layers, as users of the networks in this folder would write them for `--layers`."""

from converters.graph.nodes import Affine, Concat, Conv, Permute, Pool, Reshape, Slice, Unary, same_pads
from converters.trained.keras import Layer, Value
from examples.gated_convolution import full_gated_conv2d, gated_conv2d

_NORM_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")


def conv_block(layer: Layer) -> Value:
    """solivr/tf-crnn: convolution, batch norm, pool and relu."""
    x, size = layer.x, (layer.size("kernel_size"),) * 2
    filters, strides = layer.size("features"), layer.pair("stride")
    layer.expect("cnn_padding", "same")
    arrays = layer.read({"kernel": (*size, x.shape[-1], filters), "bias": (filters,)})
    pads = same_pads(x.shape, size, strides)
    x = layer.put(Conv("conv", arrays["kernel"], arrays["bias"], strides, pads), x)
    if layer.flag("batchnorm"):
        norm = layer.read(dict.fromkeys(_NORM_ROLES, (filters,)))
        scale = norm["gamma"] / (norm["moving_variance"] + 1e-3) ** 0.5
        x = layer.put(Affine("norm", scale, norm["beta"] - norm["moving_mean"] * scale), x)
    pool = layer.pair("pool_size")
    if pool != (1, 1):
        x = layer.put(Pool("pool", "max", pool, pool, same_pads(x.shape, pool, pool)), x)
    return layer.put(Unary("", "relu"), x)


def crnn_reshape(layer: Layer) -> Value:
    """rakeshvar/chamanti_ocr: columns become steps."""
    rows, columns, channels = layer.x.shape
    turned = layer.put(Permute("turned", (1, 0, 2)), layer.x)
    return layer.put(Reshape("", (columns, rows * channels)), turned)


def position_embedding(layer: Layer) -> Value:
    """Add a vector to each step."""
    weights = layer.read({"embeddings": layer.x.shape})
    return layer.binary("", "add", layer.x, layer.constant("positions", weights["embeddings"]))


def windows(layer: Layer) -> Value:
    """Full Stack Deep Learning: windows of 28 columns, every 14, of an image (rows, columns, 1)."""
    rows, columns, _ = layer.x.shape
    parts = []
    for index, start in enumerate(range(0, columns - 28 + 1, 14)):
        cut = layer.put(Slice(f"cut{index}", (0, start, 0), (rows, start + 28, 1), (1, 1, 1)), layer.x)
        parts.append(layer.put(Reshape(f"window{index}", (1, rows, 28, 1)), cut))
    return layer.put(Concat("", 0), *parts)


LAYERS = {
    "CRNNReshape": crnn_reshape,
    "ConvBlock": conv_block,
    "FullGatedConv2D": full_gated_conv2d,
    "GatedConv2D": gated_conv2d,
    "PositionEmbedding": position_embedding,
}
"""The conversions by class; `ONLY` has those of single networks."""
ONLY = {"27": {"lambda": windows}}
