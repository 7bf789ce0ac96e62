"""Functions of single numbers and softmax, as layers of their own or as another layer's setting `activation`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ....graph.nodes import Affine, Function, Permute, PRelu, Softmax, Unary
from ..builder import Layer, Value, convert, converts
from ..config import layer_config
from ..file import Part
from .nesting import only, part_of

# --- functions by name -----------------------------------------------------------------------------------------------

_Apply: TypeAlias = Callable[[Layer, str, Value], Value]
"""Applies a function to a value, as a part of a layer."""


def _unary(function: Function, alpha: float = 0.0) -> _Apply:
    return lambda layer, part, x: layer.put(Unary(part, function, alpha), x)


def _hard_tanh(layer: Layer, part: str, x: Value) -> Value:
    return _at_most(layer, part, _bounded(layer, piece(part, "lower"), "maximum", x, -1), 1)


def _log_sigmoid(layer: Layer, part: str, x: Value) -> Value:
    """`-softplus(-x)`."""
    negated = layer.put(Unary(piece(part, "negated"), "negative"), x)
    return layer.put(Unary(part, "negative"), layer.put(Unary(piece(part, "softplus"), "softplus"), negated))


def _log_softmax(layer: Layer, part: str, x: Value) -> Value:
    return layer.put(Unary(part, "log"), layer.put(Softmax(piece(part, "softmax")), x))


def _soft_shrink(layer: Layer, part: str, x: Value) -> Value:
    """`x` moved towards 0 by 0.5, and 0 within -0.5 to 0.5."""
    above = _bounded(layer, piece(part, "lower"), "maximum", x, -0.5)
    return layer.binary(part, "subtract", x, _at_most(layer, piece(part, "upper"), above, 0.5))


def _softmax(layer: Layer, part: str, x: Value) -> Value:
    return layer.put(Softmax(part), x)


def _tanh_shrink(layer: Layer, part: str, x: Value) -> Value:
    """`x - tanh(x)`."""
    return layer.binary(part, "subtract", x, layer.put(Unary(piece(part, "tanh"), "tanh"), x))


_FUNCTIONS: Mapping[str, _Apply] = {
    "celu": _unary("elu", 1.0),
    "elu": _unary("elu", 1.0),
    "exponential": _unary("exp"),
    "gelu": _unary("gelu"),
    "hard_sigmoid": _unary("hard_sigmoid"),
    "hard_silu": _unary("hard_silu"),
    "hard_tanh": _hard_tanh,
    "leaky_relu": _unary("leaky_relu", 0.2),
    "linear": lambda _layer, _part, x: x,
    "log_sigmoid": _log_sigmoid,
    "log_softmax": _log_softmax,
    "mish": _unary("mish"),
    "relu": _unary("relu"),
    "relu6": _unary("relu6"),
    "selu": _unary("selu"),
    "sigmoid": _unary("sigmoid"),
    "silu": _unary("silu"),
    "soft_shrink": _soft_shrink,
    "softmax": _softmax,
    "softplus": _unary("softplus"),
    "softsign": _unary("softsign"),
    "tanh": _unary("tanh"),
    "tanh_shrink": _tanh_shrink,
}
"""Keras' name of a function → how it is applied, with Keras' defaults."""
_KERAS2: Mapping[str, _Apply] = {**_FUNCTIONS, "hard_sigmoid": _unary("hard_sigmoid_keras2")}
"""The same for Keras 2, where one function differs."""
_ALIASES = {
    "hard_swish": "hard_silu",
    "log_softmax_v2": "log_softmax",
    "softmax_v2": "softmax",
    "swish": "silu",
}  # fmt: skip


def activate(layer: Layer, x: Value, setting: str = "activation") -> Value:
    """Apply the function in one of the layer's settings; return `x` itself if there is none.

    The part of the layer that applies it has the function's name.

    Raises:
        ModelFileError: the function is unknown.
    """
    return _applied(layer, setting, x, None)


def _applied(layer: Layer, setting: str, x: Value, part: str | None) -> Value:
    """See `activate`. `part` is None where it is named after the function."""
    value = layer.settings.get(setting)
    match value:
        case None:
            name: object = "linear"
        case {"class_name": "function", "config": name}:
            pass
        case {"class_name": str(), "config": dict()}:
            return _by_object(layer, value, x, part)
        case name:
            pass
    functions = _KERAS2 if layer.keras2 else _FUNCTIONS
    function = _ALIASES.get(name, name) if isinstance(name, str) else ""
    if function not in functions:
        raise layer.unsupported(
            f"{setting} {str(name)[:100]!r}; supported: {', '.join(sorted({*functions, *_ALIASES}))}. Use one of them,"
            " or a layer of its own"
        )
    return functions[function](layer, function if part is None else part, x)


def _by_object(layer: Layer, value: Mapping[str, Any], x: Value, part: str | None) -> Value:
    """Apply a layer that another one has as its function, such as a LeakyReLU."""
    config = layer_config(value, layer.keras2)
    name = f"{layer.name}/{config.name}" if part is None else layer.name
    inner = part_of(layer, config, Part("activation", config.name), name)
    return only(layer, convert(inner.like(inner, x)))


# --- layers ----------------------------------------------------------------------------------------------------------


@converts("Activation")
def activation(layer: Layer) -> Value:
    """A function by name."""
    return _applied(layer, "activation", layer.x, "")


@converts("ReLU")
def relu(layer: Layer) -> Value:
    """`x` from 0 to a limit; below, 0 or a slope."""
    slope = _number(layer, "negative_slope", "alpha")
    limit = layer.settings.get("max_value")
    if _number(layer, "threshold") != 0 or slope < 0:
        raise layer.unsupported(
            f"threshold {layer.settings.get('threshold')!r} and slope {slope:g}; supported: 0 and at least 0. Write it"
            " with other layers"
        )
    if limit is None:
        return layer.put(_rectifier("", slope), layer.x)
    most = layer.number("max_value")
    if slope == 0 and most == 6:
        return layer.put(Unary("", "relu6"), layer.x)
    return _at_most(layer, "", layer.put(_rectifier("unlimited", slope), layer.x), most)


@converts("LeakyReLU")
def leaky_relu(layer: Layer) -> Value:
    """`x` above 0, a slope below."""
    return layer.put(_rectifier("", _number(layer, "negative_slope", "alpha", default=0.3)), layer.x)


@converts("PReLU")
def prelu(layer: Layer) -> Value:
    """`x` above 0, a trained slope below; axes may share slopes."""
    shape = layer.x.shape
    shared = layer.settings.get("shared_axes") or []
    axes = {layer.sample_axis(axis, len(shape)) for axis in (shared if isinstance(shared, list) else [shared])}
    slopes = tuple(1 if axis in axes else length for axis, length in enumerate(shape))
    return layer.put(PRelu("", layer.read({"alpha": slopes})["alpha"]), layer.x)


@converts("ELU")
def elu(layer: Layer) -> Value:
    """`x` above 0, `alpha (exp(x) - 1)` below."""
    return layer.put(Unary("", "elu", _number(layer, "alpha", default=1.0)), layer.x)


@converts("Softmax")
def softmax(layer: Layer) -> Value:
    """Softmax over one axis or several."""
    axis = layer.settings.get("axis", -1)
    rank = len(layer.x.shape)
    axes = [layer.sample_axis(place, rank) for place in (axis if isinstance(axis, list) else [axis])]
    if not axes or len(set(axes)) != len(axes):
        raise layer.error(f"axis {axis!r}, expected different axes")
    return softmax_over(layer, "", layer.x, axes)


@converts("Rescaling")
def rescaling(layer: Layer) -> Value:
    """`x * scale + offset`, by channel or for all."""
    channels = layer.x.shape[-1]
    return layer.put(Affine("", layer.numbers("scale", channels), layer.numbers("offset", channels)), layer.x)


# --- for other layers ------------------------------------------------------------------------------------------------


def softmax_over(layer: Layer, part: str, x: Value, axes: Sequence[int]) -> Value:
    """Softmax over axes of a sample, of which the last one alone is a primitive."""
    last = len(x.shape) - 1
    if list(axes) == [last]:
        return layer.put(Softmax(part), x)
    order = [*(axis for axis in range(last + 1) if axis not in axes), *axes]
    turned = layer.put(Permute(piece(part, "axes last"), tuple(order)), x)
    kept = turned.shape[: -len(axes)]
    flat = layer.reshape(piece(part, "axes as one"), turned, (*kept, math.prod(turned.shape[len(kept) :])))
    shares = layer.put(Softmax(piece(part, "softmax")), flat)
    whole = layer.reshape(piece(part, "axes apart"), shares, turned.shape)
    return layer.put(Permute(part, tuple(int(axis) for axis in np.argsort(order))), whole)


def piece(part: str, name: str) -> str:
    """Make the name of a primitive that is not the last one of its part of a layer."""
    return f"{part}:{name}".lstrip(":")


def _rectifier(part: str, slope: float) -> Unary:
    return Unary(part, "leaky_relu", slope) if slope else Unary(part, "relu")


def _bounded(layer: Layer, part: str, operator: Any, x: Value, bound: float) -> Value:
    constant = layer.constant(piece(part, "bound"), np.full((1,) * len(x.shape), bound, np.float32))
    return layer.binary(part, operator, x, constant)


def _at_most(layer: Layer, part: str, x: Value, limit: float) -> Value:
    return _bounded(layer, part, "minimum", x, limit)


def _number(layer: Layer, *settings: str, default: float = 0.0) -> float:
    """Read the first of these settings that the file has; Keras 2 and Keras 3 name some differently."""
    setting = next((name for name in settings if layer.settings.get(name) is not None), None)
    return default if setting is None else layer.number(setting)
