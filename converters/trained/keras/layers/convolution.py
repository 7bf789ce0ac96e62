"""Convolutions, pools, and layers that enlarge or trim feature maps.

They work on maps (rows, columns, channels). The 1-D ones work on a map of one row, and what has its channels first is
turned before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, TypeAlias

from ....graph.nodes import (
    MAX_VALUES,
    NO_PADS,
    Conv,
    ConvTranspose,
    Pad,
    Pads,
    Permute,
    Pool,
    Reduce,
    Resize,
    Shape,
    Slice,
    padded_size,
    same_pads,
)
from ..builder import Layer, Value, converts
from ..config import MAX_SIZE
from .dense import kernels_and_bias
from .elementwise import activate

_Pair: TypeAlias = tuple[int, int]


def on_maps(convert_map: Callable[[Layer, Value], Value]) -> Callable[[Layer], Value]:
    """Extend a function of maps (rows, columns, channels) to layers of any rank and order of axes."""

    @wraps(convert_map)
    def convert_any(layer: Layer) -> Value:
        x = layer.x
        turned = _channels_first(layer)
        if len(x.shape) != _rank(layer) + 1:
            raise layer.error(f"takes {x.shape}, expected {_rank(layer) + 1} axes, that of channels included")
        if turned:
            x = layer.put(Permute("channels last", (*range(1, len(x.shape)), 0)), x)
        if _rank(layer) == 1:
            x = layer.reshape("one row", x, (1, *x.shape))
        x = convert_map(layer, x)
        if turned:
            _refuse_misplaced_bias(layer, x)
        if _rank(layer) == 1:
            x = layer.reshape("without rows", x, x.shape[1:])
        if turned:
            x = layer.put(Permute("channels first", (len(x.shape) - 1, *range(len(x.shape) - 1))), x)
        return x

    return convert_any


def _refuse_misplaced_bias(layer: Layer, x: Value) -> None:
    """Reject a bias that Keras 3 on TensorFlow adds along the columns, if they are as many as the channels."""
    own = not layer.kind.startswith("Conv") or "Transpose" in layer.kind  # Conv2D leaves the bias to TensorFlow
    if own and not layer.keras2 and layer.settings.get("use_bias") and x.shape[1] == x.shape[2]:
        raise layer.error(
            f"Keras adds the bias along the columns here, since there are {x.shape[1]} of them and as many channels;"
            " use data_format='channels_last'"
        )


# --- convolutions ----------------------------------------------------------------------------------------------------


@converts("Conv1D", "Conv2D")
@on_maps
def convolution(layer: Layer, x: Value) -> Value:
    """A convolution, also dilated, grouped or causal."""
    filters, groups = layer.size("filters"), layer.size("groups") if "groups" in layer.settings else 1
    channels = x.shape[-1]
    if channels % groups or filters % groups:
        raise layer.error(f"{channels} channels and {filters} filters in {groups} groups; save the model again")
    size, strides, dilation, pads = _window(layer, x.shape)
    kernel, bias = kernels_and_bias(layer, {"kernel": _stored(layer, size, channels // groups, filters)}, filters)
    kernel = kernel.reshape(*size, channels // groups, filters)
    return activate(layer, layer.put(Conv("", kernel, bias, strides, pads, dilation, groups), x))


@converts("DepthwiseConv1D", "DepthwiseConv2D")
@on_maps
def depthwise_convolution(layer: Layer, x: Value) -> Value:
    """A convolution of every channel by itself."""
    channels = x.shape[-1]
    multiplier = layer.size("depth_multiplier")
    size, strides, dilation, pads = _window(layer, x.shape)
    role = "depthwise_kernel" if layer.keras2 else "kernel"
    shape = _stored(layer, size, channels, multiplier)
    kernel, bias = kernels_and_bias(layer, {role: shape}, _bounded(layer, channels * multiplier))
    kernel = kernel.reshape(*size, 1, channels * multiplier)
    return activate(layer, layer.put(Conv("", kernel, bias, strides, pads, dilation, groups=channels), x))


@converts("SeparableConv1D", "SeparableConv2D")
@on_maps
def separable_convolution(layer: Layer, x: Value) -> Value:
    """A convolution of every channel by itself, then a mix of channels."""
    channels = x.shape[-1]
    multiplier = layer.size("depth_multiplier")
    filters = layer.size("filters")
    between = _bounded(layer, channels * multiplier)
    size, strides, dilation, pads = _window(layer, x.shape)
    kernels = {
        "depthwise_kernel": _stored(layer, size, channels, multiplier),
        "pointwise_kernel": _stored(layer, (1, 1), between, filters),
    }
    depthwise, pointwise, bias = kernels_and_bias(layer, kernels, filters)
    depthwise = depthwise.reshape(*size, 1, between)
    none = depthwise[0, 0, 0] * 0
    x = layer.put(Conv("depthwise", depthwise, none, strides, pads, dilation, groups=channels), x)
    return activate(layer, layer.put(Conv("", pointwise.reshape(1, 1, between, filters), bias), x))


@converts("Conv1DTranspose", "Conv2DTranspose")
@on_maps
def transposed_convolution(layer: Layer, x: Value) -> Value:
    """A transposed convolution, which enlarges the map."""
    layer.expect("dilation_rate", 1, [1], [1, 1])
    filters = layer.size("filters")
    channels = x.shape[-1]
    size, strides = _pair(layer, "kernel_size"), _pair(layer, "strides")
    kernel, bias = kernels_and_bias(layer, {"kernel": _stored(layer, size, filters, channels)}, filters)
    kernel = kernel.reshape(*size, filters, channels).transpose(0, 1, 3, 2)
    lengths = _enlarged(layer, x.shape, size, strides)
    full = tuple((length - 1) * step + extent for length, step, extent in zip(x.shape, strides, size, strict=False))
    if _padding(layer) == "same":
        before = tuple(max(whole - length, 0) // 2 for whole, length in zip(full, lengths, strict=True))
    else:
        before = (0, 0)
    rows, columns = (
        (start, whole - length - start) for start, whole, length in zip(before, full, lengths, strict=True)
    )
    return activate(layer, layer.put(ConvTranspose("", kernel, bias, strides, (rows, columns)), x))


def _enlarged(layer: Layer, shape: Shape, size: _Pair, strides: _Pair) -> tuple[int, ...]:
    """Compute the rows and columns of a transposed convolution as Keras does."""
    same = _padding(layer) == "same"
    if layer.settings.get("output_padding") is None:
        return tuple(
            length * step + (0 if same else max(extent - step, 0))
            for length, step, extent in zip(shape, strides, size, strict=False)
        )
    extra = _whole_numbers(layer, layer.get("output_padding"), "output_padding", _rank(layer))
    extra = (0, *extra)[-2:]
    return tuple(
        (length - 1) * step + extent - (extent // 2 * 2 if same else 0) + more
        for length, step, extent, more in zip(shape, strides, size, extra, strict=False)
    )


# --- pools -----------------------------------------------------------------------------------------------------------


@converts("MaxPooling1D", "MaxPooling2D")
@on_maps
def max_pool(layer: Layer, x: Value) -> Value:
    """The maximum of every window."""
    return _pool(layer, x, "max")


@converts("AveragePooling1D", "AveragePooling2D")
@on_maps
def average_pool(layer: Layer, x: Value) -> Value:
    """The mean of every window, padding not counted."""
    return _pool(layer, x, "average")


def _pool(layer: Layer, x: Value, mode: Literal["max", "average"]) -> Value:
    size = _pair(layer, "pool_size")
    strides = size if layer.settings.get("strides") is None else _pair(layer, "strides")
    pads = same_pads(x.shape, size, strides) if _padding(layer) == "same" else NO_PADS
    return layer.put(Pool("", mode, size, strides, _bearable(layer, x.shape, pads)), x)


@converts("GlobalMaxPooling1D", "GlobalMaxPooling2D")
def global_max_pool(layer: Layer) -> Value:
    """The maximum of every channel."""
    return _reduce(layer, "max")


@converts("GlobalAveragePooling1D", "GlobalAveragePooling2D")
def global_average_pool(layer: Layer) -> Value:
    """The mean of every channel."""
    return _reduce(layer, "mean")


def _reduce(layer: Layer, mode: Literal["max", "mean"]) -> Value:
    rank = _rank(layer)
    if len(layer.x.shape) != rank + 1:
        raise layer.error(f"takes {layer.x.shape}, expected {rank + 1} axes, that of channels included")
    first = 1 if _channels_first(layer) else 0
    keepdims = layer.flag("keepdims") if "keepdims" in layer.settings else False
    return layer.put(Reduce("", mode, tuple(range(first, first + rank)), keepdims), layer.x)


# --- larger and smaller maps -----------------------------------------------------------------------------------------


@converts("ZeroPadding1D", "ZeroPadding2D")
@on_maps
def zero_padding(layer: Layer, x: Value) -> Value:
    """Zeros around a map."""
    return layer.put(Pad("", (*_margins(layer, "padding"), (0, 0))), x)


@converts("Cropping1D", "Cropping2D")
@on_maps
def cropping(layer: Layer, x: Value) -> Value:
    """A map without its margins."""
    margins = (*_margins(layer, "cropping"), (0, 0))
    starts = tuple(before for before, _ in margins)
    stops = tuple(length - after for length, (_, after) in zip(x.shape, margins, strict=True))
    return layer.put(Slice("", starts, stops, (1, 1, 1)), x)


@converts("UpSampling1D", "UpSampling2D")
@on_maps
def upsampling(layer: Layer, x: Value) -> Value:
    """A map enlarged by whole factors."""
    layer.expect("interpolation", "nearest", "bilinear")
    bilinear = layer.settings.get("interpolation") == "bilinear"
    return layer.put(Resize("", _pair(layer, "size"), "bilinear" if bilinear else "nearest"), x)


@converts("Resizing")
@on_maps
def resizing(layer: Layer, x: Value) -> Value:
    """A map enlarged to a size, in whole multiples of its own."""
    layer.expect("interpolation", "bilinear", "nearest")
    layer.expect("crop_to_aspect_ratio", False)
    layer.expect("pad_to_aspect_ratio", False)
    size = (layer.size("height"), layer.size("width"))
    if any(target % length for target, length in zip(size, x.shape, strict=False)):
        raise layer.error(
            f"size {size} of a map {x.shape}; supported: whole multiples of its rows and columns. Choose such a size,"
            " or leave the layer out and resize the images, and save the model again"
        )
    factors = (size[0] // x.shape[0], size[1] // x.shape[1])
    if factors == (1, 1):
        return x
    bilinear = layer.settings.get("interpolation") != "nearest"
    return layer.put(Resize("", factors, "bilinear" if bilinear else "nearest"), x)


# --- settings --------------------------------------------------------------------------------------------------------


def _rank(layer: Layer) -> int:
    """Return the number of spatial axes, from the name of the class."""
    return 1 if "1D" in layer.kind else 2


def _channels_first(layer: Layer) -> bool:
    layer.expect("data_format", "channels_last", "channels_first", None)
    return layer.settings.get("data_format") == "channels_first"


def _padding(layer: Layer) -> str:
    layer.expect("padding", "valid", "same", *(["causal"] if "Conv1D" in layer.kind else []))
    return str(layer.settings.get("padding", "valid"))


def _pair(layer: Layer, setting: str) -> _Pair:
    """Read a setting's integers for rows and columns."""
    return layer.pair(setting) if _rank(layer) == 2 else (1, layer.size(setting))


def _window(layer: Layer, shape: Shape) -> tuple[_Pair, _Pair, _Pair, Pads]:
    """Read size, strides, dilation and padding of a convolution."""
    size, strides = _pair(layer, "kernel_size"), _pair(layer, "strides")
    dilation = _pair(layer, "dilation_rate") if "dilation_rate" in layer.settings else (1, 1)
    match _padding(layer):
        case "same":
            pads = same_pads(shape, size, strides, dilation)
        case "causal":
            pads = ((0, 0), ((size[1] - 1) * dilation[1], 0))
        case _:
            pads = NO_PADS
    return size, strides, dilation, _bearable(layer, shape, pads)


def _stored(layer: Layer, size: _Pair, *channels: int) -> Shape:
    """Return the shape of a kernel in the file."""
    return (*size[-_rank(layer) :], *channels)


def _bearable(layer: Layer, shape: Shape, pads: Pads) -> Pads:
    """Return the padding; reject an absurdly large padded map, whose size the layer's value does not show."""
    if padded_size(shape, pads) > MAX_VALUES:
        rows, columns = (before + length + after for length, (before, after) in zip(shape, pads, strict=False))
        raise layer.error(f"pads a map of {shape} to {rows:,} by {columns:,}; edge-crnn converts no map that large")
    return pads


def _bounded(layer: Layer, channels: int) -> int:
    if channels > MAX_SIZE:
        raise layer.error(f"{channels:,} channels, expected at most {MAX_SIZE:,}")
    return channels


def _margins(layer: Layer, setting: str) -> Pads:
    """Read the rows above and below, and the columns left and right."""
    value = layer.get(setting)
    if _rank(layer) == 1:
        left, right = _whole_numbers(layer, value, setting, 2)
        return (0, 0), (left, right)
    pairs = value if isinstance(value, list) else [value, value]
    if len(pairs) != 2:
        raise layer.error(f"{setting} {value!r}, expected ((above, below), (left, right))")
    above, below = _whole_numbers(layer, pairs[0], setting, 2)
    left, right = _whole_numbers(layer, pairs[1], setting, 2)
    return (above, below), (left, right)


def _whole_numbers(layer: Layer, value: Any, setting: str, count: int) -> tuple[int, ...]:
    """Read `count` non-negative integers; a single one stands for all."""
    numbers = value if isinstance(value, list) else [value] * count
    if len(numbers) != count or not all(type(number) is int and 0 <= number <= MAX_SIZE for number in numbers):
        raise layer.error(f"{setting} {value!r}, expected {count} whole numbers from 0 to {MAX_SIZE:,}")
    return tuple(numbers)
