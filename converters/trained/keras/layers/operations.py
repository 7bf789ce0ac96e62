"""Operations: `keras.ops` of Keras 3, and the functions of TensorFlow that tf.keras 2 wraps in layers.

Both write the same operations under other names with other arguments. There is one function for each, and a table of
names for either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from ....graph.nodes import Constant, Dense, Function, Operator, Reduce, Unary
from ..builder import LAYERS, Convert, Layer, Value, converts
from . import moving
from .arguments import argument, array, axes_of, axis_of, batched, first, listed, number, operand
from .elementwise import softmax_over
from .normalisation import number_like, over_length

_MAX_POWER = 8


# --- one value -------------------------------------------------------------------------------------------------------


def _function(function: Function) -> Convert:
    return lambda layer: layer.put(Unary("", function), first(layer))


def _with_alpha(function: Function, default: float) -> Convert:
    def convert(layer: Layer) -> Value:
        alpha = number(layer, argument(layer, "negative_slope", "alpha", default=default))
        return layer.put(Unary("", function, alpha), first(layer))

    return convert


def _celu(layer: Layer) -> Value:
    if number(layer, argument(layer, "alpha", default=1.0)) != 1:
        raise layer.unsupported("alpha is not 1; supported: 1")
    return layer.put(Unary("", "elu", 1.0), first(layer))


def _gelu(layer: Layer) -> Value:
    return layer.put(Unary("", "gelu_tanh" if argument(layer, "approximate", default=False) else "gelu"), first(layer))


def _softmax(layer: Layer) -> Value:
    x = first(layer)
    return softmax_over(layer, "", x, axes_of(layer, argument(layer, "axis", default=-1), x))


def _log_softmax(layer: Layer) -> Value:
    x = first(layer)
    axes = axes_of(layer, argument(layer, "axis", default=-1), x)
    return layer.put(Unary("", "log"), softmax_over(layer, "softmax", x, axes))


def _identity(layer: Layer) -> Value:
    return first(layer)


def _cast(layer: Layer) -> Value:
    """A cast to a float type, which changes nothing, since all values are float32."""
    x = first(layer)
    kind = str(argument(layer, "dtype", place=1))
    if "float" not in kind and (x.batched or "bool" in kind):
        raise layer.unsupported(f"casts to {kind!r}; supported: floating point")
    return x


def _clip(layer: Layer) -> Value:
    x = first(layer)
    least = argument(layer, "x_min", "clip_value_min", "min", place=1)
    most = argument(layer, "x_max", "clip_value_max", "max", place=2)
    return _clipped(layer, x, number(layer, least), number(layer, most))


def _clipped(layer: Layer, x: Value, least: float, most: float) -> Value:
    if (least, most) == (0, 6):
        return layer.put(Unary("", "relu6"), x)
    above = layer.binary("above", "maximum", x, number_like(layer, "least", x, least))
    return layer.binary("", "minimum", above, number_like(layer, "most", x, most))


def _hard_tanh(layer: Layer) -> Value:
    return _clipped(layer, first(layer), -1, 1)


def _log_sigmoid(layer: Layer) -> Value:
    negated = layer.put(Unary("negated", "negative"), first(layer))
    return layer.put(Unary("", "negative"), layer.put(Unary("softplus", "softplus"), negated))


def _tanh_shrink(layer: Layer) -> Value:
    x = first(layer)
    return layer.binary("", "subtract", x, layer.put(Unary("tanh", "tanh"), x))


def _soft_shrink(layer: Layer) -> Value:
    x = first(layer)
    threshold = number(layer, argument(layer, "threshold", default=0.5))
    if threshold < 0:
        raise layer.error(f"threshold {threshold:g}; supported: at least 0. Write it with other operations")
    above = layer.binary("above", "maximum", x, number_like(layer, "least", x, -threshold))
    between = layer.binary("between", "minimum", above, number_like(layer, "most", x, threshold))
    return layer.binary("", "subtract", x, between)


def _reciprocal(layer: Layer) -> Value:
    x = first(layer)
    return layer.binary("", "divide", number_like(layer, "one", x, 1), x)


def _glu(layer: Layer) -> Value:
    """Dauphin et al. 2017: one half of the channels times the sigmoid of the other."""
    x = first(layer)
    axis = axis_of(layer, argument(layer, "axis", default=-1), x)
    half = x.shape[axis] // 2
    if x.shape[axis] % 2:
        raise layer.error(f"halves an axis of length {x.shape[axis]}")
    straight, gate = (
        moving.along(layer, x, axis, slice(start, start + half, 1), part)
        for part, start in (("half", 0), ("gate", half))
    )
    return layer.binary("", "multiply", straight, layer.put(Unary("sigmoid", "sigmoid"), gate))


def _normalise(layer: Layer) -> Value:
    """`x` over its Euclidean length; Keras bounds the length, TensorFlow its square."""
    x = first(layer)
    if argument(layer, "order", default=2) != 2:
        raise layer.unsupported("order is not 2; supported: 2")
    epsilon = argument(layer, "epsilon", default=None)
    if layer.kind.startswith("ops."):
        least = number(layer, 1e-7 if epsilon is None else epsilon) ** 2
    else:
        least = number(layer, 1e-12 if epsilon is None else epsilon)
    return over_length(layer, x, axes_of(layer, argument(layer, "axis", default=-1), x), least)


def _as_layer(kind: str) -> Convert:
    """Convert an operation as the layer of this class, which has the same settings."""
    return lambda layer: LAYERS[kind](layer)


# --- two values ------------------------------------------------------------------------------------------------------


def _operator(operator: Operator) -> Convert:
    def convert(layer: Layer) -> Value:
        a, b = _operands(layer)
        if layer.kind == "ops.Add":
            _refuse_misplaced_sum(layer, a, b)
        return layer.binary("", operator, a, b)

    return convert


def _refuse_misplaced_sum(layer: Layer, a: Value, b: Value) -> None:
    """Reject a sum with a column that is as long as the last axis, which Keras on TensorFlow mistakes for a bias."""
    long = [axis for axis, length in enumerate(b.shape) if length > 1]
    constant = isinstance(layer.builder.node(b), Constant)
    if constant and len(long) == 1 and long[0] < len(b.shape) - 1 and b.shape[long[0]] == a.shape[-1]:
        raise layer.error(
            f"Keras on TensorFlow adds numbers of shape {b.shape} along the last axis of a value of shape {a.shape};"
            " repeat them to the whole shape before the sum"
        )


def _operands(layer: Layer) -> tuple[Value, Value]:
    first_raw = argument(layer, "x", "x1", place=0)
    second_raw = argument(layer, "y", "x2", place=1)
    values = [value for value in (first_raw, second_raw) if isinstance(value, Value)]
    if not values:
        raise layer.error("takes no value")
    like = batched(values)
    return operand(layer, "constant", first_raw, like), operand(layer, "constant", second_raw, like)


def _maximum(layer: Layer) -> Value:
    """A maximum with 0 is the function that targets fuse."""
    others = [number for number in (*layer.args, *layer.keywords.values()) if isinstance(number, int | float)]
    if len(layer.inputs) == 1 and others == [0]:
        return layer.put(Unary("", "relu"), layer.inputs[0])
    return _operator("maximum")(layer)  # type: ignore[return-value]


def _sum_of_list(layer: Layer) -> Value:
    total, *others = listed(layer)
    for index, other in enumerate(others, 1):
        total = layer.binary("" if index == len(others) else f"sum {index}", "add", total, other)
    return total


def _squared_difference(layer: Layer) -> Value:
    return layer.put(Unary("", "square"), layer.binary("difference", "subtract", *_operands(layer)))


def _power(layer: Layer) -> Value:
    """A power by a small number of the file."""
    x = first(layer)
    exponent = argument(layer, "y", "x2", place=1)
    if isinstance(exponent, Value) or not isinstance(argument(layer, "x", "x1", place=0), Value):
        raise layer.error("raises to a power that is no number of the file; supported: x ** number")
    match number(layer, exponent):
        case 1.0:
            return x
        case 2.0:
            return layer.put(Unary("", "square"), x)
        case 0.5:
            return layer.put(Unary("", "sqrt"), x)
        case -0.5:
            return layer.put(Unary("", "rsqrt"), x)
        case -1.0:
            return _reciprocal(layer)
        case power if power.is_integer() and 2 < power <= _MAX_POWER:
            value = x
            for times in range(2, int(power) + 1):
                value = layer.binary("" if times == power else f"power {times}", "multiply", value, x)
            return value
        case power:
            raise layer.error(f"power {power:g}; supported: -1, -0.5, 0.5, and whole numbers from 1 to {_MAX_POWER}")


def _matmul(layer: Layer) -> Value:
    """A matrix product of the last two axes; a matrix of the file gives a dense layer."""
    a, b = argument(layer, "a", "x1", place=0), argument(layer, "b", "x2", place=1)
    for name in ("transpose_a", "adjoint_a", "adjoint_b"):
        if argument(layer, name, default=False):
            raise layer.unsupported(f"{name}; supported: transpose_b")
    transposed = bool(argument(layer, "transpose_b", default=False))
    if isinstance(a, Value) and not isinstance(b, Value):
        matrix = array(layer, b)
        if matrix.ndim == 2:
            kernel = np.ascontiguousarray(matrix.T if transposed else matrix)
            return layer.put(Dense("", kernel, np.zeros(kernel.shape[1], np.float32)), a)
    values = [factor for factor in (a, b) if isinstance(factor, Value)]
    if not values:
        raise layer.error("takes no value")
    first_value, second = (operand(layer, "constant", factor, batched(values)) for factor in (a, b))
    return layer.matmul("", first_value, second, transposed)


# --- along axes ------------------------------------------------------------------------------------------------------


def _reduction(mode: Literal["mean", "max", "min", "sum"]) -> Convert:
    def convert(layer: Layer) -> Value:
        if argument(layer, "initial", default=None) is not None:
            raise layer.unsupported("has an initial value; supported: none")
        x, axes, keepdims = _reduced(layer)
        return layer.put(Reduce("", mode, axes, keepdims), x)

    return convert


def _reduced(layer: Layer) -> tuple[Value, tuple[int, ...], bool]:
    """Return the operands of a reduction: a value, its axes, and whether these are kept with length 1."""
    x = first(layer)
    axes = axes_of(layer, argument(layer, "axis", "reduction_indices", place=1, default=None), x)
    return x, axes, bool(argument(layer, "keepdims", "keep_dims", default=False))


def _variance(layer: Layer, part: str = "") -> Value:
    x, axes, keepdims = _reduced(layer)
    mean = layer.put(Reduce("mean", "mean", axes, keepdims=True), x)
    square = layer.put(Unary("square", "square"), layer.binary("centred", "subtract", x, mean))
    return layer.put(Reduce(part, "mean", axes, keepdims), square)


def _deviation(layer: Layer) -> Value:
    return layer.put(Unary("", "sqrt"), _variance(layer, "variance"))


# --- names -----------------------------------------------------------------------------------------------------------

_KERAS: Mapping[str, Convert] = {
    "Absolute": _function("abs"), "Abs": _function("abs"), "Add": _operator("add"), "Amax": _reduction("max"),
    "Amin": _reduction("min"), "Arange": moving.arange, "BroadcastTo": moving.broadcast, "Cast": _cast, "Celu": _celu,
    "Clip": _clip, "Concatenate": moving.concat, "Copy": _identity, "Divide": _operator("divide"),
    "Elu": _with_alpha("elu", 1.0), "Exp": _function("exp"), "ExpandDims": moving.expand, "Flip": moving.reverse,
    "Gelu": _gelu, "GetItem": moving.get_item, "Glu": _glu, "HardSigmoid": _function("hard_sigmoid"),
    "HardSilu": _function("hard_silu"), "HardTanh": _hard_tanh, "Identity": _identity,
    "LeakyRelu": _with_alpha("leaky_relu", 0.2), "Log": _function("log"), "LogSigmoid": _log_sigmoid,
    "LogSoftmax": _log_softmax, "Matmul": _matmul, "Max": _reduction("max"), "Maximum": _maximum,
    "Mean": _reduction("mean"), "Min": _reduction("min"), "Minimum": _operator("minimum"),
    "Moveaxis": moving.move_axis, "Multiply": _operator("multiply"), "Negative": _function("negative"),
    "Normalize": _normalise, "OnesLike": moving.ones, "Pad": moving.pad, "Power": _power, "ReLU": _as_layer("ReLU"),
    "Reciprocal": _reciprocal, "Relu": _function("relu"), "Relu6": _function("relu6"), "Repeat": moving.repeat,
    "Reshape": moving.reshape, "Rsqrt": _function("rsqrt"), "Selu": _function("selu"),
    "Sigmoid": _function("sigmoid"), "Silu": _function("silu"), "SoftShrink": _soft_shrink, "Softmax": _softmax,
    "Softplus": _function("softplus"), "Softsign": _function("softsign"), "Split": moving.split,
    "Sqrt": _function("sqrt"), "Square": _function("square"), "Squeeze": moving.squeeze, "Stack": moving.stack,
    "Std": _deviation, "StopGradient": _identity, "Subtract": _operator("subtract"), "Sum": _reduction("sum"),
    "Swapaxes": moving.swap_axes, "Tanh": _function("tanh"), "TanhShrink": _tanh_shrink, "Tile": moving.tile,
    "Transpose": moving.transpose, "TrueDivide": _operator("divide"), "Unstack": moving.unstack, "Var": _variance,
    "ZerosLike": moving.zeros,
}  # fmt: skip
"""Class of an operation of Keras 3 → what converts it."""

TENSORFLOW_OPERATIONS: Mapping[str, Convert] = {
    "__operators__.add": _operator("add"), "__operators__.getitem": moving.get_item, "abs": _function("abs"),
    "broadcast_to": moving.broadcast, "cast": _cast, "clip_by_value": _clip, "compat.v1.pad": moving.pad,
    "compat.v1.shape": moving.shape_of, "compat.v1.squeeze": moving.squeeze, "compat.v1.transpose": moving.transpose,
    "concat": moving.concat, "expand_dims": moving.expand, "identity": _identity, "linalg.l2_normalize": _normalise,
    "linalg.matmul": _matmul, "math.abs": _function("abs"), "math.add": _operator("add"), "math.add_n": _sum_of_list,
    "math.divide": _operator("divide"), "math.exp": _function("exp"), "math.l2_normalize": _normalise,
    "math.log": _function("log"), "math.log_sigmoid": _log_sigmoid, "math.maximum": _maximum,
    "math.minimum": _operator("minimum"), "math.multiply": _operator("multiply"),
    "math.negative": _function("negative"), "math.pow": _power, "math.reciprocal": _reciprocal,
    "math.reduce_max": _reduction("max"), "math.reduce_mean": _reduction("mean"), "math.reduce_min": _reduction("min"),
    "math.reduce_std": _deviation,
    "math.reduce_sum": _reduction("sum"), "math.reduce_variance": _variance, "math.rsqrt": _function("rsqrt"),
    "math.sigmoid": _function("sigmoid"), "math.softplus": _function("softplus"),
    "math.softsign": _function("softsign"), "math.sqrt": _function("sqrt"), "math.square": _function("square"),
    "math.squared_difference": _squared_difference, "math.subtract": _operator("subtract"),
    "math.tanh": _function("tanh"), "math.truediv": _operator("divide"), "nn.elu": _with_alpha("elu", 1.0),
    "nn.gelu": _gelu, "nn.leaky_relu": _with_alpha("leaky_relu", 0.2), "nn.log_softmax": _log_softmax,
    "nn.relu": _function("relu"), "nn.relu6": _function("relu6"), "nn.selu": _function("selu"),
    "nn.sigmoid": _function("sigmoid"), "nn.silu": _function("silu"), "nn.softmax": _softmax,
    "nn.softplus": _function("softplus"), "nn.softsign": _function("softsign"), "nn.swish": _function("silu"),
    "nn.tanh": _function("tanh"), "ones_like": moving.ones, "pad": moving.pad, "range": moving.arange,
    "repeat": moving.repeat, "reshape": moving.reshape, "reverse": moving.reverse, "shape": moving.shape_of,
    "split": moving.split, "squeeze": moving.squeeze, "stack": moving.stack, "stop_gradient": _identity,
    "tile": moving.tile, "transpose": moving.transpose, "unstack": moving.unstack, "zeros_like": moving.zeros,
}  # fmt: skip
"""Name of a function of TensorFlow → what converts it."""

for _name, _convert in _KERAS.items():
    converts(f"ops.{_name}")(_convert)


@converts("TFOpLambda", "SlicingOpLambda")
def tensorflow_function(layer: Layer) -> Value | tuple[Value, ...]:
    """A function of TensorFlow that tf.keras 2 has wrapped in a layer."""
    name = layer.get("function")
    if not isinstance(name, str) or name not in TENSORFLOW_OPERATIONS:
        raise layer.unsupported(
            f"the function tf.{name} is not supported; convert this layer by a function of your own with --layers FILE"
            " (see docs/declare.md)"
        )
    return TENSORFLOW_OPERATIONS[name](layer)
