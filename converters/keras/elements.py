"""Nodes that work on elements, or on some axes of every sample."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..graph.nodes import (
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
from .place import Operand, Place, Tensor

_ACTIVATIONS: Mapping[Function, str] = {
    "exp": "exponential", "gelu": "gelu", "hard_sigmoid": "hard_sigmoid", "hard_silu": "hard_silu", "mish": "mish",
    "relu": "relu", "relu6": "relu6", "selu": "selu", "sigmoid": "sigmoid", "silu": "silu", "softplus": "softplus",
    "softsign": "softsign", "tanh": "tanh",
}  # fmt: skip
"""Functions that the layer `Activation` has by name; the others of one argument are `keras.ops` of the same name."""
_LAYERS: Mapping[Operator, str] = {
    "add": "Add", "maximum": "Maximum", "minimum": "Minimum", "multiply": "Multiply", "subtract": "Subtract",
}  # fmt: skip
"""Operators that are layers if both operands depend on the image."""
_GLOBAL_POOLS = {"max": "GlobalMaxPooling", "mean": "GlobalAveragePooling"}


def unary(place: Place, node: Unary, x: Tensor) -> Tensor:
    """Apply an element-wise function."""
    match node.function:
        case "linear":
            return x
        case "elu":
            return place.layer("ELU", x, alpha=float(node.alpha))
        case "leaky_relu":
            return place.layer("LeakyReLU", x, negative_slope=float(node.alpha))
        case "gelu_tanh":
            return place.operation("gelu", x, approximate=True)
        case "hard_sigmoid_keras2":  # clip(0.2 x + 0.5), where Keras 3 has clip(x / 6 + 0.5)
            return place.layer(
                "Activation", place.operation("multiply", x, 1.2, part="scaled"), activation="hard_sigmoid"
            )
        case function if function in _ACTIVATIONS:
            return place.layer("Activation", x, activation=_ACTIVATIONS[function])
        case function:
            return place.operation(function, x)


def affine(place: Place, node: Affine, x: Tensor) -> Tensor:
    """Multiply and add per channel: a batch norm whose statistics are those of a standard normal distribution."""
    epsilon = 1e-3
    statistics = (np.zeros_like(node.scale), np.full_like(node.scale, 1 - epsilon))
    return place.activate(
        place.layer("BatchNormalization", x, (*node.weights, *statistics), epsilon=epsilon), node.activation
    )


def prelu(place: Place, node: PRelu, x: Tensor) -> Tensor:
    """Apply a PReLU."""
    shared = [axis for axis, length in enumerate(node.slope.shape, 1) if length == 1]
    return place.layer("PReLU", x, node.weights, shared_axes=shared)


def binary(place: Place, node: Binary, x: Operand, y: Operand) -> Tensor:
    """Apply an operator to two values with equal numbers of axes."""
    operator = node.operator
    if operator == "add" and place.shapes[1] != place.shape:
        # Keras on TensorFlow may add a second operand that looks like a bias along another axis.
        x, y = y, x
        if place.shapes[0] != place.shape:
            operator = "subtract"
            y = -y if isinstance(y, np.ndarray) else place.operation("negative", y, part="negative")
    if operator in _LAYERS and not isinstance(x, np.ndarray) and not isinstance(y, np.ndarray):
        value = place.layer(_LAYERS[operator], [x, y])
    else:
        value = place.operation(operator, x, y)
    return place.activate(value, node.activation)


def dense(place: Place, node: Dense, x: Tensor) -> Tensor:
    """Multiply by a matrix."""
    return place.layer("Dense", x, node.weights, units=node.kernel.shape[1], activation=node.activation)


def matmul(place: Place, node: MatMul, x: Operand, y: Operand) -> Tensor:
    """Multiply two values as matrices; a constant second factor is a dense layer."""
    if isinstance(y, np.ndarray):
        matrix = y.swapaxes(-1, -2) if node.transposed else y
        if matrix.ndim == 2:
            return place.layer("Dense", x, [matrix], units=matrix.shape[1], use_bias=False)
        return place.operation("matmul", x, matrix)
    if node.transposed:
        rank = len(place.shapes[1])
        y = place.layer("Permute", y, part="transposed", dims=(*range(1, rank - 1), rank, rank - 1))
    return place.operation("matmul", x, y)


def softmax(place: Place, _node: Softmax, x: Tensor) -> Tensor:
    """Apply a softmax over the last axis."""
    return place.layer("Activation", x, activation="softmax")


def normalise(place: Place, node: Normalise, x: Tensor) -> Tensor:
    """Normalise over some axes; a scale and a shift after it are a node of their own."""
    axes = [axis + 1 for axis in sorted(node.axes)]
    return place.layer("LayerNormalization", x, axis=axes, epsilon=float(node.epsilon), center=False, scale=False)


def reduce(place: Place, node: Reduce, x: Tensor) -> Tensor:
    """Reduce axes, by a global pool where the node reduces rows and columns, or steps."""
    axes = [axis + 1 for axis in sorted(node.axes)]
    spatial = len(place.shapes[0]) - 1
    if node.mode in _GLOBAL_POOLS and spatial in (1, 2) and axes == list(range(1, spatial + 1)):
        kind = f"{_GLOBAL_POOLS[node.mode]}{spatial}D"
        return place.layer(kind, x, keepdims=node.keepdims, data_format="channels_last")
    return place.operation(node.mode, x, axis=axes, keepdims=node.keepdims)
