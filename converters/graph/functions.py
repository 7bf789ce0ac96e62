"""The element-wise functions and operators of graphs, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .cells import Array, Gate
from .nodes import Activation, Function, Operator

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""Klambauer et al. 2017."""


def apply(function: Function, x: Array, alpha: float = 0.0) -> Array:
    """Apply a function element by element, float32 in and out."""
    if function == "leaky_relu":
        return np.where(x > 0, x, np.float32(alpha) * x)
    if function == "elu":
        return _elu(x, alpha)
    return np.asarray(_FUNCTIONS[function](x), np.float32)


def activate(function: Activation, x: Array) -> Array:
    """Apply a fused activation."""
    return apply(function, x)


def gate(function: Gate, x: Array) -> Array:
    """Apply the function of a recurrent cell's gates."""
    return apply(function, x)


def operate(operator: Operator, a: Array, b: Array) -> Array:
    """Apply an operator with broadcasting."""
    return np.asarray(_OPERATORS[operator](a, b), np.float32)


def softmax(x: Array) -> Array:
    """Compute the softmax over the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5, np.float32)  # no overflow at either end


def _softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _elu(x: Array, alpha: float) -> Array:
    return np.asarray(np.where(x > 0, x, np.float32(alpha) * np.expm1(np.minimum(x, 0))))


def _gelu(x: Array) -> Array:
    """Hendrycks and Gimpel 2016."""
    erf = np.vectorize(math.erf, otypes=[np.float32])
    return np.asarray(0.5 * x * (1 + erf(x * np.float32(math.sqrt(0.5)))))


def _gelu_tanh(x: Array) -> Array:
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x**3)
    return np.asarray(0.5 * x * (1 + np.tanh(inner)))


def _hard_sigmoid(x: Array) -> Array:
    return np.asarray(np.clip(x + 3, 0, 6) / 6)


def _hard_sigmoid_keras2(x: Array) -> Array:
    return np.asarray(np.clip(0.2 * x + 0.5, 0, 1), np.float32)


_FUNCTIONS: Mapping[Function, Callable[[Array], npt.NDArray[Any]]] = {
    "abs": np.abs,
    "exp": np.exp,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "hard_sigmoid": _hard_sigmoid,
    "hard_sigmoid_keras2": _hard_sigmoid_keras2,
    "hard_silu": lambda x: x * _hard_sigmoid(x),
    "linear": lambda x: x,
    "log": np.log,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "negative": np.negative,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "rsqrt": lambda x: np.reciprocal(np.sqrt(x)),
    "selu": lambda x: _SELU_SCALE * _elu(x, _SELU_ALPHA),
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sqrt": np.sqrt,
    "square": np.square,
    "tanh": np.tanh,
}

_OPERATORS: Mapping[Operator, Callable[[Array, Array], npt.NDArray[Any]]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
