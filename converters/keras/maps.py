"""Nodes that work on feature maps."""

from __future__ import annotations

from collections.abc import Mapping
from operator import ge
from typing import Any

import numpy as np

from ..graph import oracle
from ..graph.cells import Array
from ..graph.nodes import NO_PADS, Conv, ConvTranspose, Pads, Pool, Resize, SpatialTransform, same_pads
from .place import Place, Tensor

_LAST: Mapping[str, Any] = {"data_format": "channels_last"}
"""Stated in every layer, because the user's own Keras may have another default."""


def conv(place: Place, node: Conv, x: Tensor) -> Tensor:
    """Convolve a map."""
    if max(node.strides) > 1 and max(node.dilation) > 1:
        raise place.error(f"it has strides {node.strides} and dilation {node.dilation}, and Keras allows one of them")
    height, width, inside, out = node.kernel.shape
    named = _padding(node.pads, same_pads(place.shapes[0], (height, width), node.strides, node.dilation))
    if named is None:
        x = place.layer("ZeroPadding2D", x, part="padding", padding=node.pads, **_LAST)
    settings: dict[str, Any] = {
        "kernel_size": (height, width),
        "strides": node.strides,
        "dilation_rate": node.dilation,
        "padding": named or "valid",
        "activation": node.activation,
        **_LAST,
    }
    # TensorFlow's depthwise convolution takes equal strides alone.
    if inside == 1 and node.groups > 1 and node.strides[0] == node.strides[1]:
        kernel = node.kernel.reshape(height, width, node.groups, out // node.groups)
        return place.layer("DepthwiseConv2D", x, (kernel, node.bias), depth_multiplier=out // node.groups, **settings)
    return place.layer("Conv2D", x, node.weights, filters=out, groups=node.groups, **settings)


def conv_transpose(place: Place, node: ConvTranspose, x: Tensor) -> Tensor:
    """Convolve transposed; a layer of its own cuts off what Keras' paddings do not."""
    height, width, _, out = node.kernel.shape
    weights = (node.kernel.transpose(0, 1, 3, 2), node.bias)
    settings: dict[str, Any] = {
        "filters": out,
        "kernel_size": (height, width),
        "strides": node.strides,
        "activation": node.activation,
        **_LAST,
    }
    overlaps = [size - stride for size, stride in zip((height, width), node.strides, strict=True)]
    starts = [max(overlap, 0) // 2 for overlap in overlaps]
    if node.trims == tuple((start, overlap - start) for start, overlap in zip(starts, overlaps, strict=True)):
        return place.layer("Conv2DTranspose", x, weights, padding="same", **settings)
    added = tuple(max(-after, 0) for _, after in node.trims)
    if min(before for before, _ in node.trims) < 0 or any(map(ge, added, node.strides)):
        raise place.error(f"it adds rows or columns that no input reaches (trims {node.trims})")
    settings |= {"padding": "valid", "output_padding": added}
    cut = tuple((before, max(after, 0)) for before, after in node.trims)
    if cut == NO_PADS:
        return place.layer("Conv2DTranspose", x, weights, **settings)
    whole = place.layer("Conv2DTranspose", x, weights, part="whole", **settings)
    return place.layer("Cropping2D", whole, cropping=cut, **_LAST)


def pool(place: Place, node: Pool, x: Tensor) -> Tensor:
    """Pool a map; padding never counts."""
    kind = "MaxPooling2D" if node.mode == "max" else "AveragePooling2D"
    settings: dict[str, Any] = {"pool_size": node.size, "strides": node.strides, **_LAST}
    named = _padding(node.pads, same_pads(place.shapes[0], node.size, node.strides))
    if named is not None:
        return place.layer(kind, x, padding=named, **settings)
    if node.mode == "max":
        return place.layer(kind, _with_edges_repeated(place, x, node.pads), padding="valid", **settings)
    padded = place.layer("ZeroPadding2D", x, part="padding", padding=node.pads, **_LAST)
    means = place.layer(kind, padded, part="with_padding", padding="valid", **settings)
    return place.operation("divide", means, _shares(node, place.shapes[0]))


def _padding(pads: Pads, same: Pads) -> str | None:
    """Return Keras' name of a padding; None: it has none."""
    if pads == NO_PADS:
        return "valid"
    return "same" if pads == same else None


def _with_edges_repeated(place: Place, x: Tensor, pads: Pads) -> Tensor:
    """Pad a map with copies of its edges, which change no maximum: a window with a copy has the edge, too."""
    for axis, (before, after) in enumerate(pads):
        if before + after == 0:
            continue
        length = place.shapes[0][axis]
        first, last = (
            place.sliced(x, (*(slice(None),) * axis, slice(position, position + 1)), part=f"edge{axis}")
            for position in (0, length - 1)
        )
        x = place.layer("Concatenate", [first] * before + [x] + [last] * after, part=f"padding{axis}", axis=axis + 1)
    return x


def _shares(node: Pool, shape: tuple[int, ...]) -> Array:
    """Return the share of every window that is not padding, (rows, columns, 1)."""
    ones = np.pad(np.ones((1, *shape[:2], 1), np.float32), ((0, 0), *node.pads, (0, 0)))
    shares: Array = oracle.evaluate(Pool(node.name, "average", node.size, node.strides), [ones])[0]
    return shares


def resize(place: Place, node: Resize, x: Tensor) -> Tensor:
    """Enlarge a map by whole factors."""
    return place.layer("UpSampling2D", x, size=node.factors, interpolation=node.mode, **_LAST)


def spatial_transform(place: Place, _node: SpatialTransform, *_: Tensor) -> Tensor:
    """Reject a spatial transformer, for which Keras has no layer."""
    raise place.error("Keras has no layer that samples a map on a grid")
