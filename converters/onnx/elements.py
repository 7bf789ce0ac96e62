"""Nodes that work on elements, or on the last axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..graph.nodes import (
    Activation,
    Affine,
    Binary,
    Dense,
    Function,
    MatMul,
    Normalise,
    Operator,
    PRelu,
    Reduce,
    Softmax,
    Unary,
)
from .writer import Place

_OPERATIONS: Mapping[Function, tuple[str, Mapping[str, float]]] = {
    "abs": ("Abs", {}),
    "exp": ("Exp", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_sigmoid_keras2": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    "log": ("Log", {}),
    "negative": ("Neg", {}),
    "relu": ("Relu", {}),
    "selu": ("Selu", {}),
    "sigmoid": ("Sigmoid", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "sqrt": ("Sqrt", {}),
    "tanh": ("Tanh", {}),
}
"""Functions that are one operation."""

_OPERATORS: Mapping[Operator, str] = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "maximum": "Max", "minimum": "Min",
}  # fmt: skip
_REDUCTIONS = {"mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin"}


def activate(place: Place, function: Activation, x: str) -> str:
    """Apply a fused activation."""
    return _function(place, function, 0.0, x)


def unary(place: Place, node: Unary, x: str) -> str:
    """Apply an element-wise function."""
    return _function(place, node.function, node.alpha, x)


def _function(place: Place, function: Function, alpha: float, x: str) -> str:
    if function in _OPERATIONS:
        operation, settings = _OPERATIONS[function]
        return place.add(operation, x, **settings)
    match function:
        case "linear":
            return x
        case "elu":
            return place.add("Elu", x, alpha=float(alpha))
        case "leaky_relu":
            return place.add("LeakyRelu", x, alpha=float(alpha))
        case _:
            return _COMPOSED[function](place, x)


def _relu6(place: Place, x: str) -> str:
    return place.add("Clip", x, place.weight("min", 0), place.weight("max", 6))


def _gelu(place: Place, x: str) -> str:
    """Write out GELU, which opset 17 lacks."""
    error = place.add("Erf", place.add("Div", x, place.weight("root", math.sqrt(2))))
    return _half_of(place, place.add("Mul", x, place.add("Add", error, place.weight("one", 1))))


def _gelu_tanh(place: Place, x: str) -> str:
    cube = place.add("Mul", place.add("Mul", place.add("Mul", x, x), x), place.weight("factor", 0.044715))
    inner = place.add("Mul", place.add("Add", x, cube), place.weight("root", math.sqrt(2 / math.pi)))
    return _half_of(place, place.add("Mul", x, place.add("Add", place.add("Tanh", inner), place.weight("one", 1))))


def _half_of(place: Place, x: str) -> str:
    return place.add("Mul", x, place.weight("half", 0.5))


def _hard_silu(place: Place, x: str) -> str:
    """Write hard SiLU with an operation that every TensorRT has."""
    return place.add("Mul", x, _function(place, "hard_sigmoid", 0.0, x))


def _mish(place: Place, x: str) -> str:
    return place.add("Mul", x, place.add("Tanh", place.add("Softplus", x)))


_COMPOSED: Mapping[Function, Callable[[Place, str], str]] = {
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "hard_silu": _hard_silu,
    "mish": _mish,
    "relu6": _relu6,
    "rsqrt": lambda place, x: place.add("Reciprocal", place.add("Sqrt", x)),
    "silu": lambda place, x: place.add("Mul", x, place.add("Sigmoid", x)),
    "square": lambda place, x: place.add("Mul", x, x),
}


def affine(place: Place, node: Affine, x: str) -> str:
    """Multiply and add per channel."""
    per_channel = (-1, 1, 1) if place.first else (-1,)
    scale = place.weight("scale", node.scale.reshape(per_channel))
    shift = place.weight("shift", node.shift.reshape(per_channel))
    return activate(place, node.activation, place.add("Add", place.add("Mul", x, scale), shift))


def prelu(place: Place, node: PRelu, x: str) -> str:
    """Apply a PReLU; its slope is a constant, as TensorRT requires."""
    slope = node.slope[None]
    return place.add("PRelu", x, place.weight("slope", slope.transpose(0, 3, 1, 2) if place.first else slope))


def binary(place: Place, node: Binary, x: str, y: str) -> str:
    """Apply an operator to two values with equal numbers of axes, so that ONNX broadcasts as the graph does."""
    return activate(place, node.activation, place.add(_OPERATORS[node.operator], x, y))


def dense(place: Place, node: Dense, x: str) -> str:
    """Multiply by a matrix; Gemm would take two axes only."""
    product = place.add("MatMul", x, place.weight("kernel", node.kernel))
    return activate(place, node.activation, place.add("Add", product, place.weight("bias", node.bias)))


def matmul(place: Place, node: MatMul, x: str, y: str) -> str:
    """Multiply two values as matrices."""
    if node.transposed:
        rank = len(place.shapes[1]) + 1
        y = place.add("Transpose", y, perm=(*range(rank - 2), rank - 1, rank - 2))
    return place.add("MatMul", x, y)


def softmax(place: Place, _node: Softmax, x: str) -> str:
    """Apply a softmax over the last axis, which is the last axis in the file, too."""
    return place.add("Softmax", x, axis=-1)


def normalise(place: Place, node: Normalise, x: str) -> str:
    """Normalise by one operation over the last axes; over other axes, it is written out."""
    axes = sorted(place.axis(axis) for axis in node.axes)
    shape = place.shapes[0]
    rank = len(shape) + 1
    if not place.first and axes == list(range(axes[0], rank)):
        # ONNX allows omitting scale and shift, but TensorRT 8.6 reads them.
        ones, zeros = np.ones(shape[axes[0] - 1 :]), np.zeros(shape[axes[0] - 1 :])
        weights = place.weight("scale", ones), place.weight("shift", zeros)
        return place.add("LayerNormalization", x, *weights, axis=axes[0] - rank, epsilon=float(node.epsilon))
    centred = place.add("Sub", x, place.add("ReduceMean", x, axes=axes))
    variance = place.add("ReduceMean", place.add("Mul", centred, centred), axes=axes)
    deviation = place.add("Sqrt", place.add("Add", variance, place.weight("epsilon", node.epsilon)))
    return place.add("Div", centred, deviation)


def reduce(place: Place, node: Reduce, x: str) -> str:
    """Reduce axes; the sum is the only reduction whose axes are an input in this opset."""
    axes = sorted(place.axis(axis) for axis in node.axes)
    settings: dict[str, Any] = {"keepdims": int(node.keepdims)}
    if node.mode == "sum":
        return place.add("ReduceSum", x, place.integers("axes", *axes), **settings)
    return place.add(_REDUCTIONS[node.mode], x, axes=axes, **settings)
